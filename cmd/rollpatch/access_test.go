package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/skeema/knownhosts"
	"golang.org/x/crypto/ssh"
)

// hostSigner is the key of one name, the same each time: the docs show its fingerprint.
func hostSigner(t *testing.T, name string) ssh.Signer {
	t.Helper()
	seed := sha256.Sum256([]byte(name))
	signer, err := ssh.NewSignerFromKey(ed25519.NewKeyFromSeed(seed[:]))
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

// sshd answers with that key on the loopback, and lets nobody in.
func sshd(t *testing.T, key ssh.Signer) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	config := &ssh.ServerConfig{PublicKeyCallback: func(ssh.ConnMetadata, ssh.PublicKey) (*ssh.Permissions, error) {
		t.Error("somebody tries to log in")
		return nil, fmt.Errorf("not known here")
	}}
	config.AddHostKey(key)
	go func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer nc.Close()
				_, _, _, _ = ssh.NewServerConn(nc, config) // it ends with the key
			}()
		}
	}()
	return l.Addr().String()
}

// scanEstate is an inventory of a host that is new, one that is known, one that changed, and its known_hosts.
func scanEstate(t *testing.T) (args func(...string) []string, known, before string, keys []ssh.Signer, addrs []string) {
	t.Helper()
	dir := t.TempDir()
	known = filepath.Join(dir, "known_hosts")
	var hosts strings.Builder
	for i, name := range []string{"web-1", "web-2", "db-1"} {
		keys = append(keys, hostSigner(t, name))
		addrs = append(addrs, sshd(t, keys[i]))
		_, port, err := net.SplitHostPort(addrs[i])
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&hosts, "  - {name: %s, address: 127.0.0.1, access: {port: %s}}\n", name, port)
	}
	before = "# ours\n" + knownhosts.Line([]string{addrs[1]}, keys[1].PublicKey()) + "\n" + knownhosts.Line([]string{addrs[2]}, hostSigner(t, "db-1 of last year").PublicKey()) + "\n"
	for path, text := range map[string]string{
		known: before,
		filepath.Join(dir, "inventory.yaml"): "access: {user: ops, known_hosts: known_hosts}\nhosts:\n" + hosts.String() +
			"clusters:\n  - {name: web, members: [web-1, web-2, db-1], services: [{name: web, port: 80}]}\n",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return func(more ...string) []string {
		return append([]string{"access", "scan", "-i", filepath.Join(dir, "inventory.yaml")}, more...)
	}, known, before, keys, addrs
}

func TestAccessScan(t *testing.T) {
	args, known, before, keys, addrs := scanEstate(t)
	scan := func(typed string, terminal bool, more ...string) (int, string, string) {
		var out, stderr bytes.Buffer
		d := &desk{
			in: strings.NewReader(typed), out: &out, err: &stderr, environ: []string{"HOME=" + t.TempDir()}, getwd: os.Getwd, now: nil,
			terminal: func(v any) bool { return terminal && v != any(&out) },
		}
		return d.run(t.Context(), args(more...)), out.String(), stderr.String()
	}
	file := func() string {
		raw, err := os.ReadFile(known)
		if err != nil {
			t.Fatal(err)
		}
		return string(raw)
	}
	code, out, _ := scan("", false, "--output", "json")
	var shown scanned
	if err := json.Unmarshal([]byte(out), &shown); err != nil || len(shown.Hosts) != 3 || fmt.Sprint(shown.Write) != "[web-1]" || shown.Digest == "" {
		t.Fatalf("got %v, %s", err, out)
	}
	digest := shown.Digest
	if fresh := ssh.FingerprintSHA256(keys[0].PublicKey()); code != exitHalted || !strings.Contains(out, fresh) {
		t.Errorf("exits with %d, and does not show %s", code, fresh)
	}
	for _, row := range []struct {
		typed    string
		terminal bool
		more     []string
		code     int
		says     string
	}{
		{"", false, nil, exitHalted, "rollpatch: KEY CHANGED: db-1 at " + addrs[2]},
		{"", false, nil, exitHalted, "1 key to be written; compare"},
		{"1\n", false, []string{"--accept"}, exitUsage, "nobody is there to confirm"},
		{"", false, []string{"--accept", "--digest", "0123"}, exitUsage, "not what was shown before"},
		{"", false, []string{"--digest", digest}, exitUsage, "--digest means nothing without --accept"},
		{"", false, []string{"--accept", "--digest", digest, "--changed", "db-1"}, exitUsage, "not what was shown before"}, // it is about fewer keys
		{"y\n", true, []string{"--accept"}, exitUsage, `"y" is neither`},
		{"2\n", true, []string{"--accept"}, exitUsage, `"2" is neither`},
		{"", true, []string{"--accept"}, exitUsage, "the input has ended"},
		{"", false, []string{"--changed", "nobody"}, exitUsage, `--changed "nobody" is no host`},
	} {
		code, _, stderr := scan(row.typed, row.terminal, row.more...)
		if code != row.code || !strings.Contains(stderr, row.says) {
			t.Errorf("%v exits with %d and says %s, want %d and %q", row.more, code, stderr, row.code, row.says)
		}
		if file() != before {
			t.Fatalf("%v %q: known_hosts is written:\n%s", row.more, row.typed, file())
		}
	}
	// Confirmed, what is new is written, and what changed is not.
	if code, _, stderr := scan("", false, "--accept", "--digest", digest); code != exitHalted || !strings.Contains(stderr, "1 key written to "+known) {
		t.Errorf("exits with %d and says %s", code, stderr)
	}
	first := knownhosts.Line([]string{addrs[0]}, keys[0].PublicKey()) + "\n"
	if file() != before+first {
		t.Fatalf("got\n%swant\n%s", file(), before+first)
	}
	// A changed one takes its host's name, and the number typed.
	code, out, stderr := scan("1\n", true, "--accept", "--changed", "db-1")
	if code != exitDone || !strings.Contains(out, "CHANGED") {
		t.Errorf("exits with %d, prints %s and says %s", code, out, stderr)
	}
	lines := strings.SplitAfter(before, "\n")
	if want := lines[0] + lines[1] + first + knownhosts.Line([]string{addrs[2]}, keys[2].PublicKey()) + "\n"; file() != want {
		t.Errorf("got\n%swant\n%s", file(), want)
	}
	if code, out, stderr := scan("", false); code != exitDone || strings.Contains(out, "new") || strings.Contains(out, "CHANGED") {
		t.Errorf("scanned again, it exits with %d, prints %s and says %s", code, out, stderr)
	}
}

// TestFirstDayScan plays the session of docs/first-day.md that makes hosts known. Its hosts listen on the loopback, so that addresses, what depends
// on them and the width of columns differ.
func TestFirstDayScan(t *testing.T) {
	shown := ""
	for _, b := range (page{"first-day.md", pageOf(t, "docs/first-day.md")}).blocks() {
		if strings.HasPrefix(b.text, "$ rollpatch access scan\n") {
			shown = b.text
		}
	}
	args, known, _, _, addrs := scanEstate(t)
	names := strings.NewReplacer(addrs[0], "192.0.2.11:22", addrs[1], "192.0.2.12:22", addrs[2], "192.0.2.31:22", known, "~/.ssh/known_hosts")
	digest := regexp.MustCompile(`[0-9a-f]{32}`)
	spaces := regexp.MustCompile(`  +`)
	like := func(text string) string {
		return spaces.ReplaceAllString(digest.ReplaceAllString(names.Replace(text), "DIGEST"), "  ")
	}
	var session strings.Builder
	last := ""
	for _, m := range typed.FindAllStringSubmatch(shown, -1) {
		words, err := shellWords(digest.ReplaceAllString(m[1], last))
		if err != nil {
			t.Fatal(err)
		}
		var out, all bytes.Buffer
		run(t.Context(), args(words[3:]...), nil, &out, &all, []string{"HOME=" + t.TempDir()})
		session.WriteString("$ " + m[1] + "\n" + out.String() + all.String())
		last = digest.FindString(all.String())
	}
	if shown == "" || like(session.String()) != like(shown) {
		t.Errorf("docs/first-day.md shows\n%s\nwhat is printed is\n%s", shown, names.Replace(session.String()))
	}
}
