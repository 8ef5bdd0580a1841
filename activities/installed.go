package activities

import "github.com/rollpatch/rollpatch/workflows/advisory"

// holdings are what pending says of every package of a host, where that was asked for.
type holdings struct {
	installed []advisory.Package
	offered   map[string]string // the version of its source that would come, by name
	kept      map[string]string // why nothing would
}

func readInstalled(table [][]string) holdings {
	h := holdings{offered: map[string]string{}, kept: map[string]string{}}
	for _, r := range table {
		switch {
		case r[0] == "installed" && len(r) >= 4:
			h.installed = append(h.installed, advisory.Package{Name: r[1], Source: r[2], SourceVersion: r[3]})
		case r[0] == "offered" && len(r) >= 5:
			h.offered[r[1]] = r[4]
		case r[0] == "held" && len(r) >= 3:
			h.kept[r[1]] = "it is held there: apt-mark unhold " + r[1]
		case r[0] == "left" && len(r) >= 4:
			h.kept[r[1]] = "version " + r[3] + " is in quarantine: rollpatch quarantine list"
		}
	}
	return h
}

func (h holdings) names() []string {
	var names []string
	for _, p := range h.installed {
		names = append(names, p.Name)
	}
	return names
}
