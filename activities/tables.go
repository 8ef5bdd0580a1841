package activities

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// rows reads what a playbook script prints: tab-separated lines, the first field names the kind of row.
func rows(out []byte) [][]string {
	var t [][]string
	for _, line := range strings.Split(string(out), "\n") {
		if line != "" {
			t = append(t, strings.Split(line, "\t"))
		}
	}
	return t
}

// facts is what `facts` prints.
type facts struct {
	OS, Release, Arch, Kernel, Boot string
	Seq                             int64
	Runs                            []string // that go on
	Dirty                           bool
	Reboot                          bool // is asked for already
	Versions                        map[string]string
}

func parseFacts(out []byte) (facts, error) {
	f := facts{Versions: map[string]string{}}
	told := false
	for _, r := range rows(out) {
		if len(r) < 2 {
			continue
		}
		switch r[0] {
		case "os":
			f.OS = r[1]
		case "release":
			f.Release = r[1]
		case "arch":
			f.Arch = r[1]
		case "kernel":
			f.Kernel = r[1]
		case "boot_id":
			f.Boot = r[1]
		case "seq":
			n, err := strconv.ParseInt(r[1], 10, 64)
			if err != nil {
				return f, fmt.Errorf("facts: seq %q is no number", r[1])
			}
			f.Seq = n
		case "run":
			f.Runs = append(f.Runs, r[1])
		case "reboot_pending":
			f.Reboot = r[1] == "1"
		case "dpkg":
			f.Dirty, told = r[1] != "clean", true
		case "pkg":
			if len(r) < 3 {
				return f, fmt.Errorf("facts: row %q has no version", strings.Join(r, " "))
			}
			f.Versions[r[1]] = r[2]
		}
	}
	if f.Boot == "" || f.OS == "" {
		return f, fmt.Errorf("facts: no os or boot id in %d rows", len(rows(out)))
	}
	if !told {
		return f, errors.New("facts: not a word on whether the package database is clean")
	}
	return f, nil
}

// parseChanges reads the rows `<kind> name old new` of fetch and apply.
func parseChanges(out []byte, kind string) []Change {
	var cs []Change
	for _, r := range rows(out) {
		if r[0] == kind && len(r) >= 4 {
			cs = append(cs, Change{Name: r[1], Old: undash(r[2]), New: undash(r[3])})
		}
	}
	return cs
}

func undash(s string) string {
	if s == "-" {
		return ""
	}
	return s
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// changeLines is how a transaction is given to a script.
func changeLines(cs []Change) string {
	var b strings.Builder
	for _, c := range cs {
		fmt.Fprintf(&b, "%s\t%s\t%s\n", c.Name, dash(c.Old), dash(c.New))
	}
	return b.String()
}

// installed reads the rows `pkg name version status` of verify.
func installed(out []byte) (versions map[string]string, clean bool) {
	versions = map[string]string{}
	for _, r := range rows(out) {
		switch {
		case r[0] == "pkg" && len(r) >= 3:
			versions[r[1]] = undash(r[2])
		case r[0] == "dpkg" && len(r) >= 2:
			clean = r[1] == "clean"
		}
	}
	return versions, clean
}
