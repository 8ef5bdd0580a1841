package sshrun

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
	xknownhosts "golang.org/x/crypto/ssh/knownhosts"

	"github.com/rollpatch/rollpatch/activities"
)

func otherKind(t *testing.T) ssh.PublicKey {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ssh.NewPublicKey(&private.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestHostKeyStands(t *testing.T) {
	h := newTestHost(t)
	key, other := h.newKey(), otherKind(t)
	name := xknownhosts.Normalize(h.addr())
	strange := newTestHost(t).newKey()
	line := func(name string, k ssh.PublicKey) string {
		return name + strings.TrimPrefix(xknownhosts.Line([]string{"x"}, k), "x") + "\n"
	}
	for what, row := range map[string]struct {
		known string
		want  Standing
	}{
		"nothing is known":            {"", KeyNew},
		"of somebody else":            {line("192.0.2.1", key), KeyNew},
		"it is known":                 {line(name, key), KeySame},
		"under a hashed name":         {line(xknownhosts.HashHostname(name), key), KeySame},
		"beside one of another kind":  {line(name, other) + line(name, key), KeySame},
		"another is known":            {line(name, strange), KeyChanged},
		"another, under a hash":       {line(xknownhosts.HashHostname(name), strange), KeyChanged},
		"one of a kind it has not":    {line(name, other), KeyChanged},
		"it is revoked":               {"@revoked " + line("*", key), KeyRevoked},
		"the file is no known_hosts":  {"one two\n", KeyUnseen},
		"another, by a pattern":       {line(strings.Replace(name, "127.0.0.1", "127.0.0.*", 1), strange), KeyChanged},
		"only an authority for it is": {"@cert-authority " + line(name, strange), KeyChanged},
	} {
		writeFile(t, h.known, row.known, 0o600)
		pool := New(Options{})
		got := pool.HostKey(t.Context(), h.target())
		pool.Shutdown()
		if got.Standing != row.want || (got.Key == nil) != (row.want == KeyUnseen) || (len(got.Known) > 0) != (row.want == KeyChanged) {
			t.Errorf("%s: got %s %v %q, want %s", what, got.Standing, got.Known, got.Why, row.want)
		}
		if got.Key != nil && Fingerprint(got.Key) != Fingerprint(key) {
			t.Errorf("%s: got another key than the host has", what)
		}
	}
	if h.logins != 0 {
		t.Errorf("%d logins, want none", h.logins)
	}
	h.stop()
	if err := os.Remove(h.known); err != nil {
		t.Fatal(err)
	}
	pool := New(Options{})
	defer pool.Shutdown()
	if got := pool.HostKey(t.Context(), h.target()); got.Standing != KeyUnseen || !strings.Contains(got.Why, "refused") {
		t.Errorf("of a host that is away: got %s %q", got.Standing, got.Why)
	}
}

func TestWriteKnown(t *testing.T) {
	a, b, c := newTestHost(t).newKey(), newTestHost(t).newKey(), otherKind(t)
	line := func(name string, k ssh.PublicKey) string {
		return name + strings.TrimPrefix(xknownhosts.Line([]string{"x"}, k), "x") + "\n"
	}
	const addr, name = "192.0.2.1:22", "192.0.2.1"
	others := "# kept as it is \r\n\n" + line("192.0.2.9,other", b)
	for what, row := range map[string]struct {
		before   string
		standing Standing
		want     string // empty: refused
	}{
		"new, at the end":                     {others, KeyNew, others + line(name, a)},
		"into an empty file":                  {"", KeyNew, line(name, a)},
		"behind a line without an end":        {strings.TrimSuffix(others, "\n"), KeyNew, others + line(name, a)},
		"changed, all kinds of it go":         {line(name, b) + others + line(name, c), KeyChanged, others + line(name, a)},
		"changed, the other names stay":       {line("web,"+name+",192.0.2.8", b), KeyChanged, line("web,192.0.2.8", b) + line(name, a)},
		"a pattern is nobody's to change":     {line("192.0.2.*", b), KeyChanged, ""},
		"nor is an authority":                 {"@cert-authority " + line(name, b), KeyChanged, ""},
		"new, but it is known by now":         {line(name, a), KeyNew, ""},
		"new, but something else is known":    {line(name, b), KeyNew, ""},
		"changed, but nothing is known now":   {others, KeyChanged, ""},
		"what was the same is not written":    {line(name, a), KeySame, ""},
		"what was not seen is not written":    {others, KeyUnseen, ""},
		"a revoked key is written by nobody":  {"@revoked " + line("*", a), KeyNew, ""},
		"a file that is none is not appended": {"one two\n", KeyNew, ""},
	} {
		path := filepath.Join(t.TempDir(), "known_hosts")
		writeFile(t, path, row.before, 0o640)
		err := WriteKnown(path, []Offered{{Target: activities.Target{Host: "web-1", Addr: addr}, Standing: row.standing, Key: a}})
		got, readErr := os.ReadFile(path)
		if readErr != nil {
			t.Fatal(readErr)
		}
		want := row.want
		if want == "" {
			want = row.before
		}
		if string(got) != want || (err == nil) != (row.want != "") {
			t.Errorf("%s: got %v and\n%swant\n%s", what, err, got, want)
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o640 {
			t.Errorf("%s: the mode is %v, %v", what, info.Mode(), err)
		}
		if left, err := os.ReadDir(filepath.Dir(path)); err != nil || len(left) != 1 {
			t.Errorf("%s: %d files are left, %v", what, len(left), err)
		}
	}
}

func TestWriteKnownHashesWhereNamesAreHashed(t *testing.T) {
	a, b := newTestHost(t).newKey(), newTestHost(t).newKey()
	dir := t.TempDir()
	real, path := filepath.Join(dir, "real"), filepath.Join(dir, "known_hosts")
	if err := os.Symlink("real", path); err != nil {
		t.Fatal(err)
	}
	kept := xknownhosts.HashHostname("192.0.2.9") + strings.TrimPrefix(xknownhosts.Line([]string{"x"}, b), "x") + "\n"
	writeFile(t, real, kept+xknownhosts.HashHostname("192.0.2.1")+strings.TrimPrefix(xknownhosts.Line([]string{"x"}, b), "x")+"\n", 0o600)
	err := WriteKnown(path, []Offered{
		{Target: activities.Target{Host: "web-1", Addr: "192.0.2.1:22"}, Standing: KeyChanged, Key: a},
		{Target: activities.Target{Host: "web-2", Addr: "192.0.2.2:2222"}, Standing: KeyNew, Key: a},
	})
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(real)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(string(raw), kept) || strings.Count(string(raw), "\n") != 3 || strings.Count(string(raw), "|1|") != 3 {
		t.Errorf("got\n%s", raw)
	}
	if info, err := os.Lstat(path); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link is gone: %v", err)
	}
	keys, err := new(knownKeys).read(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, addr := range []string{"192.0.2.1:22", "192.0.2.2:2222"} {
		if s, _, _ := stands(keys, addr, &net.TCPAddr{IP: net.IPv4zero}, a); s != KeySame {
			t.Errorf("%s: its key stands as %s", addr, s)
		}
	}
}
