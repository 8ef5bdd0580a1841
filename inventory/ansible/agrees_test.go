package ansible_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/rollpatch/rollpatch/inventory/ansible"
	"github.com/rollpatch/rollpatch/inventory/file"
)

var update = flag.Bool("update", false, "record anew what ansible-inventory prints: install ansible-core first")

// golden is the part of a fixture that ansible-inventory wrote; refused is what stands there when it would not.
const (
	golden  = "want.json"
	refused = "refused\n"
)

type fixture struct {
	path    string
	archive *txtar.Archive
	files   fstest.MapFS
	args    []string // of ansible-inventory
	want    []byte
}

func fixtures(t *testing.T) map[string]fixture {
	t.Helper()
	paths, err := filepath.Glob("testdata/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]fixture{}
	for _, p := range paths {
		f := fixture{path: p, files: fstest.MapFS{}}
		if f.archive, err = txtar.ParseFile(p); err != nil {
			t.Fatal(err)
		}
		_, line, ok := strings.Cut(string(f.archive.Comment), "$ ansible-inventory --list ")
		if !ok {
			t.Fatalf("%s: says no command line", p)
		}
		f.args = strings.Fields(line)
		for _, part := range f.archive.Files {
			if part.Name == golden {
				f.want = part.Data
				continue
			}
			f.files[part.Name] = &fstest.MapFile{Data: part.Data, Mode: 0o644}
		}
		out[strings.TrimSuffix(filepath.Base(p), ".txtar")] = f
	}
	if len(out) < 30 {
		t.Fatalf("%d fixtures", len(out))
	}
	return out
}

// read is what we make of it.
func (f fixture) read() (*ansible.Inventory, error) {
	var sources, playbooks []string
	for i := 0; i+1 < len(f.args); i += 2 {
		if f.args[i] == "-i" {
			sources = append(sources, f.args[i+1])
		} else {
			playbooks = append(playbooks, f.args[i+1])
		}
	}
	return ansible.Read(f.files, sources, playbooks...)
}

// ask is what Ansible makes of it.
func (f fixture) ask(t *testing.T) []byte {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(filepath.Join(dir, "files"), f.files); err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(dir, "ansible.cfg") // an empty one, and not that of this machine
	if err := os.WriteFile(config, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"--list"}
	for _, a := range f.args {
		if !strings.HasPrefix(a, "-") {
			a = filepath.Join(dir, "files", a)
		}
		args = append(args, a)
	}
	cmd := exec.Command("ansible-inventory", args...)
	cmd.Dir = t.TempDir() // variables beside where it is typed would count
	cmd.Env = append(os.Environ(), "HOME="+dir, "ANSIBLE_CONFIG="+config, "ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED=true", "ANSIBLE_LOCALHOST_WARNING=false")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if exit := new(exec.ExitError); errors.As(err, &exit) && bytes.Contains(stderr.Bytes(), []byte("ERROR! Completely failed to parse inventory source")) {
		return []byte(refused)
	} else if err != nil {
		t.Fatalf("%v: %s", err, &stderr)
	}
	return out
}

func (f fixture) agrees(t *testing.T, want []byte) {
	t.Helper()
	inv, err := f.read()
	if string(want) == refused {
		if found := (file.Findings{}); !errors.As(err, &found) || len(found) == 0 {
			t.Errorf("%s: read with %v, and Ansible refuses it", f.path, err)
		}
		return
	}
	if err != nil {
		t.Errorf("%s: %v", f.path, err)
		return
	}
	raw, err := json.Marshal(inv.List())
	if err != nil {
		t.Fatal(err)
	}
	got, wanted := decoded(t, raw), decoded(t, want)
	if !reflect.DeepEqual(got, wanted) {
		g, _ := json.MarshalIndent(got, "", "  ")
		w, _ := json.MarshalIndent(wanted, "", "  ")
		t.Errorf("%s: got\n%s\nwant\n%s", f.path, g, w)
	}
}

// decoded is JSON without what the two write differently: digits after the point, and values that are encrypted.
func decoded(t *testing.T, raw []byte) any {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%v: %s", err, raw)
	}
	var alike func(v any) any
	alike = func(v any) any {
		switch v := v.(type) {
		case json.Number:
			n, ok := new(big.Rat).SetString(v.String())
			if !ok {
				t.Fatalf("%s is no number", v)
			}
			return n.RatString()
		case []any:
			for i := range v {
				v[i] = alike(v[i])
			}
		case map[string]any:
			if _, vault := v["__ansible_vault"]; vault {
				return map[string]any{}
			}
			if text, unsafe := v["__ansible_unsafe"]; unsafe {
				return text
			}
			for k := range v {
				v[k] = alike(v[k])
			}
		}
		return v
	}
	return alike(v)
}

// TestAgreesWithAnsible holds what is read against what ansible-inventory --list of Debian's ansible-core printed.
func TestAgreesWithAnsible(t *testing.T) {
	for name, f := range fixtures(t) {
		t.Run(name, func(t *testing.T) {
			if *update {
				f.want = f.ask(t)
				f.archive.Files = slices.DeleteFunc(f.archive.Files, func(p txtar.File) bool { return p.Name == golden })
				f.archive.Files = append(f.archive.Files, txtar.File{Name: golden, Data: f.want})
				if err := os.WriteFile(f.path, txtar.Format(f.archive), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if f.want == nil {
				t.Fatalf("%s holds no %s: go test ./inventory/ansible -update records it", f.path, golden)
			}
			f.agrees(t, f.want)
		})
	}
}

// TestAgreesWithAnsibleHere does the same with the Ansible of this machine, whichever version that is. Each asking takes it a second of work, so
// that only those fixtures are asked about in which most comes together; -update asks about all.
func TestAgreesWithAnsibleHere(t *testing.T) {
	if _, err := exec.LookPath("ansible-inventory"); err != nil {
		t.Skip("no ansible-inventory on this machine: what another one printed is compared by TestAgreesWithAnsible")
	}
	all := fixtures(t)
	for _, name := range []string{"estate", "ini-literals", "ini-ranges", "yaml-scalars", "vars-files", "folder", "sources", "refused-child"} {
		t.Run(name, func(t *testing.T) {
			f, ok := all[name]
			if !ok {
				t.Fatal("there is no such fixture")
			}
			f.agrees(t, f.ask(t))
		})
	}
}
