package activities

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/rollpatch/rollpatch/workflows/plan"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

// inFolder runs a script as on a host whose root is a folder.
func (w *world) inFolder(host string, script []byte, env map[string]string) ([]byte, error) {
	root, ok := w.roots[host]
	if !ok {
		return nil, errAway
	}
	w.note("%s on %s", map[string]string{hasSoaked: "has", readSoaked: "read", writeSoaked: "write", placeSoaked: "place", dropSoaked: "drop", readAhead: "read ahead", writeAhead: "write ahead"}[string(script)], host)
	cmd := exec.Command("sh", "-s")
	cmd.Stdin = bytes.NewReader(append([]byte("rollpatch_body=$(cat <<'END'\n"+env["ROLLPATCH_BODY"]+"\nEND\n)\nexport ROLLPATCH_BODY=\"$rollpatch_body\"\n"), script...))
	cmd.Env = append(os.Environ(), "ROLLPATCH_ROOT="+root)
	for k, v := range env {
		if k != "ROLLPATCH_BODY" { // too long for an environment
			cmd.Env = append(cmd.Env, k+"="+v)
		}
	}
	out, err := cmd.Output()
	if w.spoilt && string(script) == readSoaked {
		out = append([]byte("AAAA"), out[4:]...)
	}
	return out, err
}

func TestParseFiles(t *testing.T) {
	sum := strings.Repeat("a", 64)
	good := "file\topenssl\t1:1.1\t" + sum + "\t12\topenssl_1%3a1.1_amd64.deb\n"
	fs, err := parseFiles([]byte("change\topenssl\t1.0\t1:1.1\n" + good))
	if want := []PackageFile{{"openssl", "1:1.1", sum, 12, "openssl_1%3a1.1_amd64.deb"}}; err != nil || !reflect.DeepEqual(fs, want) {
		t.Errorf("parseFiles = %v, %v, want %v", fs, err, want)
	}
	for says, bad := range map[string]string{
		"a row that is cut short":   "file\topenssl\t1.1\t" + sum + "\t12\n",
		"a size that is none":       strings.Replace(good, "\t12\t", "\t-1\t", 1),
		"a digest that is none":     strings.Replace(good, sum, "abc", 1),
		"a file in another folder":  strings.Replace(good, "\topenssl_", "\t../openssl_", 1),
		"a size that is no number":  strings.Replace(good, "\t12\t", "\ttwelve\t", 1),
		"a file of another manager": strings.Replace(good, "\topenssl_", "\t/openssl_", 1),
	} {
		if _, err := parseFiles([]byte(bad)); err == nil {
			t.Errorf("%s is taken", says)
		}
	}
}

// What the repository dropped since comes from who has it, piece by piece, and only if it is that very file.
func TestFetchBringsWhatSoaked(t *testing.T) {
	body := bytes.Repeat([]byte("what soaked is what ships\n\x00"), 50_000) // more than two pieces
	sum := sha256.Sum256(body)
	file := PackageFile{"openssl", "1.1", hex.EncodeToString(sum[:]), int64(len(body)), "openssl_1.1_amd64.deb"}
	soaked := Manifest{OS: "debian", Release: "12", Arch: "amd64", Host: "web-2", Changes: []Change{{"openssl", "1.0", "1.1"}}, Files: []PackageFile{file}}
	place := func(root string) string {
		return filepath.Join(root, "var/lib/rollpatch/ledger", instance, "new", file.File)
	}
	given := func(also func(w *world)) func(w *world, p *plan.Part, in *StepInput) {
		return func(w *world, p *plan.Part, in *StepInput) {
			w.says["facts"] = debian
			w.says["pending"] = "upgrade\topenssl\t1.0\t1.2\tdebian\t1\t9\nabsent\topenssl\t1.1\nabsent\tnginx\t1.1\n"
			w.stdout = "change\topenssl\t1.0\t1.1\nback\topenssl\t1.0\tabc\n"
			in.Manifest, _ = w.Put(context.Background(), plan.Body(soaked))
			w.roots = map[string]string{}
			for _, name := range []string{"web-1", "web-2", "web-3"} {
				w.roots[name] = t.TempDir()
				if err := os.MkdirAll(filepath.Dir(place(w.roots[name])), 0o700); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.WriteFile(place(w.roots["web-2"]), body, 0o600); err != nil {
				t.Fatal(err)
			}
			also(w)
		}
	}
	arrived := func(from string) func(t *testing.T, w *world, r StepResult) {
		return func(t *testing.T, w *world, r StepResult) {
			got, err := os.ReadFile(place(w.roots["web-1"]))
			if err != nil || !bytes.Equal(got, body) {
				t.Errorf("%d bytes arrived, %v; want %d", len(got), err, len(body))
			}
			if w.did("read on "+from) != 3 {
				t.Errorf("asked: %q, want three pieces from %s", w.log, from)
			}
			if got := w.runs[0].Env["ROLLPATCH_FILES"]; got != "openssl\t1.1\t"+file.SHA256+"\t"+file.File+"\n" {
				t.Errorf("the script is told of the files %q", got)
			}
		}
	}
	nothing := func(t *testing.T, w *world, r StepResult) {
		if len(w.runs) > 0 || r.Changes != "" {
			t.Errorf("runs %v, transaction %q", w.runs, r.Changes)
		}
		if left, _ := filepath.Glob(filepath.Join(filepath.Dir(place(w.roots["web-1"])), "*")); len(left) > 0 {
			t.Errorf("it left %q", left)
		}
	}
	tell(t, "fetch", (*Activities).Fetch, []stepRow{
		{"from the canary", given(func(w *world) {}), rollout.Pass, "1 packages fetched", arrived("web-2")},
		{"what is offered or in the ledger is not copied", given(func(w *world) { w.says["pending"] = "upgrade\topenssl\t1.0\t1.1\tdebian\t1\t9\n" }), rollout.Pass, "1 packages fetched", func(t *testing.T, w *world, r StepResult) {
			if w.did("has on web-2") > 0 {
				t.Errorf("asked: %q", w.log)
			}
			if w.given["pending"]["ROLLPATCH_FILES"] == "" || w.given["pending"]["ROLLPATCH_LEDGER"] != instance {
				t.Errorf("pending is given %q", w.given["pending"])
			}
		}},
		{"from another member that has it, if the canary has lost it", given(func(w *world) {
			if err := os.Rename(place(w.roots["web-2"]), place(w.roots["web-3"])); err != nil {
				t.Fatal(err)
			}
		}), rollout.Pass, "1 packages fetched", arrived("web-3")},
		{"from another one, if the canary cannot be reached", given(func(w *world) {
			if err := os.Rename(place(w.roots["web-2"]), place(w.roots["web-3"])); err != nil {
				t.Fatal(err)
			}
			delete(w.roots, "web-2")
		}), rollout.Pass, "1 packages fetched", arrived("web-3")},
		{"where nobody has it the member waits, and says what, and where it was looked for", given(func(w *world) {
			if err := os.Remove(place(w.roots["web-2"])); err != nil {
				t.Fatal(err)
			}
			delete(w.roots, "web-3")
		}), rollout.Inconclusive, "openssl 1.1, which soaked, is not to be had: the repositories do not have it any more, and web-2 does not have it; web-3 cannot be asked: ", nothing},
		{"and what to do", given(func(w *world) { delete(w.roots, "web-2"); delete(w.roots, "web-3") }), rollout.Inconclusive,
			"the file with sha256 " + file.SHA256 + " is there as /var/lib/rollpatch/ledger/" + instance + "/new/openssl_1.1_amd64.deb", nothing},
		{"what arrives as another file is not put into place", given(func(w *world) { w.spoilt = true }), rollout.Inconclusive, "it could not be copied from web-2: what arrived on web-1 is not the file that soaked", nothing},
		{"another file under its name is none", given(func(w *world) {
			if err := os.WriteFile(place(w.roots["web-2"]), append([]byte("x"), body[1:]...), 0o600); err != nil {
				t.Fatal(err)
			}
		}), rollout.Inconclusive, "web-2 has another file under its name", nothing},
		{"a repository that lists it and does not have it", given(func(w *world) {
			w.says["pending"] = "upgrade\topenssl\t1.0\t1.1\tdebian\t1\t9\n"
			w.outcome = exits(14)
		}), rollout.Inconclusive, "1 files that soaked were copied from other members, because: the repository cannot be reached", func(t *testing.T, w *world, r StepResult) {
			spent(t, w, r)
			arrived("web-2")(t, w, r)
		}},
		{"or that has another one under its name", given(func(w *world) {
			w.says["pending"] = "upgrade\topenssl\t1.0\t1.1\tdebian\t1\t9\n"
			w.outcome = exits(12)
		}), rollout.Inconclusive, "1 files that soaked were copied from other members", spent},
		{"what is with the member already and does not install is a fail", given(func(w *world) {
			w.says["pending"] = "upgrade\topenssl\t1.0\t1.1\tdebian\t1\t9\n"
			w.outcome = exits(12)
			if err := os.Rename(place(w.roots["web-2"]), place(w.roots["web-1"])); err != nil {
				t.Fatal(err)
			}
		}), rollout.Fail, "a version is not to be had", nil},
	})
}

// A canary's manifest says from what its packages were installed.
func TestManifestHasTheFiles(t *testing.T) {
	sum := strings.Repeat("b", 64)
	tell(t, "fetch", (*Activities).Fetch, []stepRow{{"the canary", func(w *world, p *plan.Part, in *StepInput) {
		w.says["facts"] = debian
		w.says["pending"] = "upgrade\topenssl\t1.0\t1.1\tdebian\t1\t9\n"
		w.stdout = "change\topenssl\t1.0\t1.1\nfile\topenssl\t1.1\t" + sum + "\t12\topenssl_1.1_amd64.deb\nback\topenssl\t1.0\tabc\n"
	}, rollout.Pass, "1 packages fetched", func(t *testing.T, w *world, r StepResult) {
		var m Manifest
		if err := json.Unmarshal(w.bodies[r.Manifest], &m); err != nil {
			t.Fatal(err)
		}
		if want := []PackageFile{{"openssl", "1.1", sum, 12, "openssl_1.1_amd64.deb"}}; !reflect.DeepEqual(m.Files, want) || m.Host != "web-1" {
			t.Errorf("the manifest of %q has the files %v, want %v", m.Host, m.Files, want)
		}
	}}})
}
