package playbooks_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rollpatch/rollpatch/playbooks"
)

// A version that its repository gives to some hosts first comes to every member alike, whatever its machine id draws and its own apt is told: a cluster whose
// canary has it and whose peers have not is no cluster.
func TestFolderPhasedUpdatesAreTheSameForAll(t *testing.T) {
	f := newFolder(t)
	f.publish("1.0", "1.1")
	f.shell("sed -i '/^Version: 1.1$/a Phased-Update-Percentage: 30' " + filepath.Join(f.repo, "Packages"))
	id := func(digit string) string { return "APT::Machine-ID \"" + strings.Repeat(digit, 32) + "\";\n" }
	var first string
	kept := 0
	for _, row := range []struct{ says, conf string }{
		{"one machine id", id("0")}, {"another", id("1")}, {"a third", id("7")}, {"a fourth", id("c")},
		{"phased updates are never taken by its own configuration", "APT::Get::Never-Include-Phased-Updates \"true\";\n" + id("0")},
		{"nor are they by its policy", "APT::Get::Phase-Policy \"true\";\nAPT::Get::Never-Include-Phased-Updates \"true\";\n" + id("1")},
	} {
		if err := os.WriteFile(filepath.Join(f.root, "etc/apt/apt.conf.d/99own"), []byte(row.conf), 0o644); err != nil {
			t.Fatal(err)
		}
		p, _ := f.run(playbooks.Pending, 0, nil)
		if alone := f.shell("apt-get -s dist-upgrade"); !strings.Contains(alone, "Inst lab-web ") {
			kept++
		}
		if got := fmt.Sprint(p["phased"]); got != "[[lab-web 1.1 30] [lab-web-data 1.1 30]]" {
			t.Errorf("%s: phased %s, want both packages with their percentage", row.says, got)
		}
		would, _ := f.run(playbooks.Fetch, 0, env("WANT", want("1.1"), "SIMULATE", "1"))
		if got := fmt.Sprint(p["upgrade"], would["change"]); first == "" {
			first = got
		} else if got != first {
			t.Errorf("%s: it would get %s, and the first host %s", row.says, got, first)
		}
	}
	if !strings.Contains(first, "lab-web 1.0 1.1") {
		t.Errorf("the hosts would get %s, want 1.1", first)
	}
	if kept == 0 {
		t.Error("apt by itself keeps it from none of these hosts: this proves nothing")
	}

	// What is held stays on every host, and is told.
	f.shell("printf 'lab-web hold\\nlab-web-data hold\\n' | dpkg --set-selections")
	p, _ := f.run(playbooks.Pending, 0, nil)
	if fmt.Sprint(p["held"]) != "[[lab-web 1.0] [lab-web-data 1.0]]" || len(p["upgrade"])+len(p["phased"]) > 0 {
		t.Errorf("held: %v, and of what would come: %v %v", p["held"], p["upgrade"], p["phased"])
	}
}
