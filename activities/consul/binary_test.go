package consul

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// consulBinary returns the Consul that the lab has built and keeps, or else the machine's own.
func consulBinary(t *testing.T) string {
	t.Helper()
	if cache, err := os.UserCacheDir(); err == nil {
		// The name ends with a digest of what it was built from; a build that goes on has another ending.
		kept, err := filepath.Glob(filepath.Join(cache, "rollpatch", "consul-????????????"))
		if err != nil {
			t.Fatal(err)
		}
		if len(kept) > 0 {
			return kept[len(kept)-1]
		}
	}
	own, err := exec.LookPath("consul")
	if err != nil {
		const why = "no Consul to test against: the lab has not built one yet (LAB=real make test ONLY=build), and there is no consul in PATH"
		if os.Getenv("LAB") == "real" {
			t.Fatal("LAB=real: " + why)
		}
		t.Skip(why)
	}
	return own
}
