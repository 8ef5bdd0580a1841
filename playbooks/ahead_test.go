package playbooks_test

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/rollpatch/rollpatch/playbooks"
)

// What was fetched ahead is all that the night needs: with neither repository nor cache, the same fetch tells the same, and the patch installs it.
func TestFolderFetchedAheadNeedsNoRepository(t *testing.T) {
	f := newFolder(t)
	f.publish("1.0", "1.1")
	p, _ := f.run(playbooks.Pending, 0, nil)
	if len(p["upgrade"]) != 2 || len(p["upgrade"][0]) != 7 || p["upgrade"][0][6] != f.shell("sha256sum "+f.deb("lab-web", "1.1")+" | cut -c 1-64 | tr -d '\\n'") {
		t.Fatalf("pending: %q, want the digest at the end of a row", p["upgrade"])
	}
	fetched, _ := f.run(playbooks.Fetch, 0, env("WANT", want("1.1"), "LEDGER", ledger))
	f.at("1.0")
	f.shell("mv " + f.repo + " " + f.repo + ".away; rm -rf " + f.root + "/var/cache/apt/archives/*.deb")
	again, _ := f.run(playbooks.Fetch, 0, env("WANT", want("1.1"), "LEDGER", ledger, "FILES", soakedOf(fetched)))
	if fmt.Sprint(again) != fmt.Sprint(fetched) {
		t.Errorf("on the night: %q, want as before: %q", again, fetched)
	}
	f.run(playbooks.Apply, 0, env("CHANGES", changes("1.0", "1.1"), "LEDGER", ledger))
	f.at("1.1")
}

// Two fetches into one ledger go one after the other.
func TestFolderFetchesWaitForEachOther(t *testing.T) {
	f := newFolder(t)
	f.publish("1.0", "1.1")
	f.run(playbooks.Pending, 0, nil)
	f.run(playbooks.Fetch, 0, env("WANT", want("1.1"), "LEDGER", ledger))
	lock, err := os.Open(f.root + "/var/lib/rollpatch/ledger/" + ledger + "/.fetch")
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	if _, said := f.run(playbooks.Fetch, playbooks.ExitLocked, env("WANT", want("1.1"), "LEDGER", ledger, "LOCK_WAIT", "1")); !strings.Contains(said, "another fetch into") {
		t.Errorf("it says %s", said)
	}
	if err := lock.Close(); err != nil {
		t.Fatal(err)
	}
	f.run(playbooks.Fetch, 0, env("WANT", want("1.1"), "LEDGER", ledger, "LOCK_WAIT", "1"))
}
