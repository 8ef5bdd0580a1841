package signed

import (
	"strings"
	"testing"
	"time"
)

// A file of keys is read whole or not at all, whatever is in it: every line that says something is a signer or a mistake.
func FuzzAllowedSigners(f *testing.F) {
	const key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAo3D7CGN01tTYY/dLKXEv8RxRyxa32c51X0uKMhnMab"
	f.Add("ann " + key)
	f.Add("# none\n\n\"ann\",b cert-authority,namespaces=\"a,b\",valid-after=\"20260101Z\" " + key + " x")
	f.Fuzz(func(t *testing.T, raw string) {
		all, err := allowedSigners("f", []byte(raw), time.UTC)
		wrong := 0
		if err != nil {
			wrong = strings.Count(err.Error(), "\n") + 1
		}
		said := 0
		for _, l := range lines([]byte(raw)) {
			if l != "" {
				said++
			}
		}
		if len(all) > said || len(all)+wrong < said {
			t.Errorf("%q: %d lines that say something, %d signers, %d mistakes", raw, said, len(all), wrong)
		}
		for _, s := range all {
			if len(s.principals) == 0 || s.principals[0] == "" || len(s.key) == 0 {
				t.Errorf("%q: %+v", raw, s)
			}
		}
		_, _ = revokedKeys("f", []byte(raw))
	})
}
