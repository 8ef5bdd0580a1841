package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rollpatch/rollpatch/inventory"
	"github.com/rollpatch/rollpatch/workflows/plan"
	"github.com/rollpatch/rollpatch/workflows/preflight"
)

// lookedAt are what workers find on the hosts of the scripts, by the rules, from what each host tells; one cannot be reached.
func lookedAt() []plan.Answer {
	healthy := fmt.Sprintf("disk\t/\t9000000\t500000\t650000\trw\nkernel\t6.1.0-41-amd64\t6.1.0-41-amd64\t6.1.0-41-amd64\nclock\t%d\tyes\n", sceneStart.Unix())
	nightly := &preflight.BackupRule{MaxAge: 26 * time.Hour, Proven: sceneStart.AddDate(0, -1, 0)}
	var all []plan.Answer
	on := func(host, tells string, backup *preflight.BackupRule, accept ...preflight.Acceptance) {
		var rows [][]string
		for line := range strings.Lines(tells + healthy) {
			rows = append(rows, strings.Split(strings.TrimSuffix(line, "\n"), "\t"))
		}
		f, err := preflight.Read(rows)
		if err != nil {
			panic(err)
		}
		found := preflight.Accept(preflight.Judge(host, f, preflight.Need{Now: sceneStart, Backup: backup}), accept, sceneStart)
		all = append(all, plan.Answer{Host: host, OS: "debian", Release: "12", Arch: "amd64", Findings: found})
	}
	on("web-1", "held\tnginx-light\t1.22.1-9\n", nil)
	on("web-2", "mount\t/srv/media\t192.0.2.40:/media\tno\n", nil,
		preflight.Acceptance{Check: preflight.MountOff, Reason: "moves in January, CHG-1301", Until: sceneStart.AddDate(0, 3, 0), Written: "2027-01-31"})
	away := preflight.NoAccess("web-3", "patch", "192.0.2.13", `host "web-3": unreachable: 192.0.2.13:22: connection refused`)
	all = append(all, plan.Answer{Host: "web-3", Findings: []preflight.Finding{away}})
	on("cache-1", fmt.Sprintf("backup\t%d\n", sceneStart.Add(-75*time.Hour).Unix()), nightly)
	on("cache-2", fmt.Sprintf("backup\t%d\n", sceneStart.Add(-5*time.Hour).Unix()), nightly)
	on("solo-1", "failed\tbackup.service\nrunning\tbatch.service\tdisabled\tno\n", nil,
		preflight.Acceptance{Check: preflight.Units, Reason: "known", Until: sceneStart, Written: "2026-10-31"})
	return all
}

// documentedCheck is what docs/check.md says that check prints.
func documentedCheck() (string, error) { return documented("check.md", "rollpatch check") }

// documented is what a page shows that a command prints.
func documented(page, command string) (string, error) {
	raw, err := os.ReadFile(filepath.Join(top, "docs", page))
	if err != nil {
		return "", err
	}
	_, session, found := strings.Cut(string(raw), "\n$ "+command+"\n")
	session, _, closed := strings.Cut(session, "```")
	if !found || !closed {
		return "", errors.New("docs/" + page + " shows no session of " + command)
	}
	out := ""
	for line := range strings.Lines(session) {
		if !strings.HasPrefix(line, "rollpatch: ") {
			out += line
		}
	}
	return out, nil
}

// A word is a cluster, else a host, or labels of clusters; whatever else it is, is said.
func TestSelected(t *testing.T) {
	inv := inventory.Inventory{
		Hosts: []inventory.Host{{Name: "web-1"}, {Name: "web-2"}, {Name: "cache-1"}, {Name: "spare"}},
		Clusters: []inventory.Cluster{
			{Name: "web", Members: []string{"web-1", "web-2"}, Labels: inventory.Labels{"env": "production", "tier": "front"}},
			{Name: "cache", Members: []string{"cache-1", "web-1"}, Labels: inventory.Labels{"env": "production"}},
		},
	}
	for word, want := range map[string]string{
		"": "[web cache] ", "web": "[web] ", "cache-1": "[cache] cache-1", "web-1": "[web] web-1", "env=production": "[web cache] ", "env=production,tier=front": "[web] ",
		"env=staging": `[] : check: "env=staging" is no cluster, no host and no label of a cluster of this inventory`,
		"env=,front":  `[] : check: "front" is no label: write LABEL=VALUE, several with commas between them`,
		"wbe":         `[] : check: "wbe" is no cluster, no host and no label of a cluster of this inventory; did you mean "web"?`,
		"spare":       `[] : check: host "spare" is in no cluster: nobody would patch it, and nobody asks it`,
	} {
		clusters, host, err := selected(inv, word)
		got := fmt.Sprintf("%v %s", clusters, host)
		if err != nil {
			got += ": " + err.Error()
		}
		if got != want {
			t.Errorf("%q is %s, want %s", word, got, want)
		}
	}
}
