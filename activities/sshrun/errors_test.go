package sshrun

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// What keeps a host from being reached is told again and again, as long as it lasts: the text must fit into a table, and be the same
// each time, also when an attempt had no time to be made.
func TestTroubleIsToldInTheSameShortWordsEachTime(t *testing.T) {
	for _, row := range []struct {
		says   string
		given  func(h *testHost)
		want   string // with ADDR, the host's address
		shared string // with other hosts
	}{
		{"an unknown host key", func(h *testHost) { h.trust() },
			`host "web-1": ADDR: host key: home/alice/.ssh/known_hosts holds none for it (offered: KEY); ssh-keyscan -p PORT 127.0.0.1 >>home/alice/.ssh/known_hosts fetches it; compare it with what the host's console says`,
			"host key: home/alice/.ssh/known_hosts holds none for it"},
		{"another host key", func(h *testHost) { h.newKey() },
			`host "web-1": ADDR: host key: not the one in home/alice/.ssh/known_hosts: somebody else answers, or it was made anew (offered: KEY); if so, on purpose: ssh-keygen -f home/alice/.ssh/known_hosts -R '[127.0.0.1]:PORT' && ssh-keyscan -p PORT 127.0.0.1 >>home/alice/.ssh/known_hosts`,
			"host key: not the one in home/alice/.ssh/known_hosts: somebody else answers, or it was made anew"},
		{"a key that is not accepted", func(h *testHost) { h.locked() },
			`host "web-1": log in as "patch": refused: none of our keys is accepted; try it with: ssh -i IDENTITY -p PORT patch@127.0.0.1`,
			`log in as "patch": refused: none of our keys is accepted`},
		{"nobody listens", func(h *testHost) { h.stop() }, `host "web-1": unreachable: ADDR: connection refused`, "unreachable: connection refused"},
		{"nobody answers", func(h *testHost) { h.set(func() { h.silent = true }) }, `host "web-1": unreachable: no answer`, "unreachable: no answer"},
		{"the connection breaks off", func(h *testHost) { h.set(func() { h.rude = true }) }, `host "web-1": unreachable: the connection was closed`, "unreachable: the connection was closed"},
	} {
		t.Run(row.says, func(t *testing.T) {
			t.Chdir(t.TempDir())
			h := newTestHost(t)
			h.known = "home/alice/.ssh/known_hosts"
			h.trust(h.newKey())
			row.given(h)
			target := h.target()
			target.Access.IdentityFile = filepath.Join(filepath.Dir(h.dir), "id")
			p := newPool(t, Options{HandshakeTimeout: 200 * time.Millisecond})
			var first string
			for i, patience := range []time.Duration{20 * time.Second, time.Millisecond, 20 * time.Second, 10 * time.Millisecond} {
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				_, err := p.BootID(ctx, target)
				cancel()
				trouble, ok := err.(interface{ Trouble() (string, string) })
				if !ok {
					t.Fatalf("attempt %d: %v, want an error that says what the trouble is", i, err)
				}
				if first == "" {
					first = err.Error()
				}
				if err.Error() != first {
					t.Errorf("attempt %d says\n%s\nand the first said\n%s", i, err, first)
				}
				if what, _ := trouble.Trouble(); what != row.shared {
					t.Errorf("shared: %q, want %q", what, row.shared)
				}
			}
			_, port, _ := strings.Cut(h.addr(), ":")
			want := strings.NewReplacer("ADDR", h.addr(), "PORT", port, "IDENTITY", target.Access.IdentityFile).Replace(row.want)
			before, after, offered := strings.Cut(want, "KEY")
			if !strings.HasPrefix(first, before) || !strings.HasSuffix(first, after) || !offered && first != want {
				t.Errorf("says\n%s\nwant\n%s", first, want)
			}
			if n := len(first) - len(target.Access.IdentityFile) + len("/home/alice/.ssh/id_ed25519"); n >= 300 {
				t.Errorf("%d bytes: %s", n, first)
			}
		})
	}
}
