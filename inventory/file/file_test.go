package file_test

import (
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/rollpatch/rollpatch/inventory"
	"github.com/rollpatch/rollpatch/inventory/campaign"
	"github.com/rollpatch/rollpatch/inventory/file"
)

var update = flag.Bool("update", false, "write the expected files anew")

func read(t testing.TB, name string) file.Source {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return file.Source{Name: name, Raw: raw}
}

// check reads a fixture: an inventory by itself, a campaign also against the good inventory.
func check(t *testing.T, source file.Source) error {
	t.Helper()
	if strings.HasPrefix(source.Name, "inventory-") {
		_, err := file.ParseInventory(source)
		return err
	}
	c, parsed := file.ParseCampaign(source)
	inv, err := file.ParseInventory(read(t, "inventory-good.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	checked := file.CheckCampaign(c, inv.Value)
	if parsed != nil && checked == nil {
		t.Errorf("CheckCampaign forgot what ParseCampaign found: %v", parsed)
	}
	return checked
}

func TestFixtures(t *testing.T) {
	names, err := filepath.Glob("testdata/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	bad := 0
	for _, path := range names {
		name := filepath.Base(path)
		t.Run(name, func(t *testing.T) {
			err := check(t, read(t, name))
			if strings.Contains(name, "-good") {
				if err != nil {
					t.Fatalf("a good file was refused:\n%v", err)
				}
				return
			}
			bad++
			var findings file.Findings
			if !errors.As(err, &findings) {
				t.Fatalf("error = %v (%T), want Findings", err, err)
			}
			expected := strings.TrimSuffix(path, ".yaml") + ".txt"
			got := err.Error() + "\n"
			if *update {
				if err := os.WriteFile(expected, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(expected)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("got:\n%s\nwant:\n%s", got, want)
			}
			for i, f := range findings {
				if f.File != name || f.Line < 1 {
					t.Errorf("finding without a place: %+v", f)
				}
				if i > 0 && f.Line < findings[i-1].Line {
					t.Errorf("line %d comes after line %d", f.Line, findings[i-1].Line)
				}
			}
			// Fixtures that put a secret where a reference belongs all use this one.
			if strings.Contains(got, "hunter2") {
				t.Errorf("a message repeats a secret:\n%s", got)
			}
		})
	}
	if bad < 30 {
		t.Errorf("%d bad fixtures, want at least 30", bad)
	}
}

// Another reader of the same types, the library's own in its strict mode, must see what ours sees.
func TestReadsAsTheLibraryDoes(t *testing.T) {
	for _, name := range []string{"inventory-good.yaml", "inventory-good-small.yaml"} {
		var want inventory.Inventory
		if err := yaml.UnmarshalWithOptions(read(t, name).Raw, &want, yaml.Strict()); err != nil {
			t.Fatal(err)
		}
		if got, err := file.ParseInventory(read(t, name)); err != nil || !reflect.DeepEqual(got.Value, want) {
			t.Errorf("%s reads as\n%+v, %v\nwant\n%+v", name, got.Value, err, want)
		}
	}
	for _, name := range []string{"campaign-good.yaml", "campaign-good-small.yaml"} {
		var want campaign.Campaign
		if err := yaml.UnmarshalWithOptions(read(t, name).Raw, &want, yaml.Strict(), yaml.CustomUnmarshaler(listOrKeys)); err != nil {
			t.Fatal(err)
		}
		if got, err := file.ParseCampaign(read(t, name)); err != nil || !reflect.DeepEqual(got.Value, want) {
			t.Errorf("%s reads as\n%+v, %v\nwant\n%+v", name, got.Value, err, want)
		}
	}
}

// What is written must read back the same.
func TestRoundTrip(t *testing.T) {
	inv, err := file.ParseInventory(read(t, "inventory-good.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	roundTrip(t, inv.Value, func(raw []byte) (inventory.Inventory, error) {
		doc, err := file.ParseInventory(file.Source{Name: "written.yaml", Raw: raw})
		return doc.Value, err
	})
	roundTrip(t, inv.Value.Resolve(), func(raw []byte) (inventory.Inventory, error) {
		doc, err := file.ParseInventory(file.Source{Name: "written.yaml", Raw: raw})
		return doc.Value.Resolve(), err
	})
	c, err := file.ParseCampaign(read(t, "campaign-good.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	roundTrip(t, c.Value, func(raw []byte) (campaign.Campaign, error) {
		doc, err := file.ParseCampaign(file.Source{Name: "written.yaml", Raw: raw})
		return doc.Value, err
	})
}

// windowKeys are windows without what makes a list of them.
type windowKeys campaign.Windows

// listOrKeys tells the library what ours knows: that windows are a list, or have keys.
func listOrKeys(w *campaign.Windows, raw []byte) error {
	if yaml.UnmarshalWithOptions(raw, &w.All, yaml.Strict()) == nil {
		return nil
	}
	w.All = nil
	return yaml.UnmarshalWithOptions(raw, (*windowKeys)(w), yaml.Strict())
}

func asListOrKeys(w campaign.Windows) ([]byte, error) {
	if len(w.All) > 0 {
		return yaml.Marshal(w.All)
	}
	return yaml.Marshal(windowKeys(w))
}

func roundTrip[T any](t *testing.T, want T, parse func([]byte) (T, error)) {
	t.Helper()
	asJSON, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var fromJSON T
	if err := json.Unmarshal(asJSON, &fromJSON); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(fromJSON, want) {
		t.Errorf("JSON read back\n%+v\nwant\n%+v\nfrom\n%s", fromJSON, want, asJSON)
	}
	asYAML, err := yaml.MarshalWithOptions(want, yaml.CustomMarshaler(asListOrKeys))
	if err != nil {
		t.Fatal(err)
	}
	fromYAML, err := parse(asYAML)
	if err != nil {
		t.Fatalf("what was written is refused: %v\n%s", err, asYAML)
	}
	if !reflect.DeepEqual(fromYAML, want) {
		t.Errorf("YAML read back\n%+v\nwant\n%+v\nfrom\n%s", fromYAML, want, asYAML)
	}
}

const small = `access: {user: patch}
hosts: [{name: web-1, address: 192.0.2.1}, {name: web-2, address: 192.0.2.2}]
clusters: [{name: web, members: [web-1, web-2], services: [{name: web, port: 80}]}]
`

func source(name, text string) file.Source { return file.Source{Name: name, Raw: []byte(text)} }

func TestSeveralFilesMakeOneInventory(t *testing.T) {
	doc, err := file.ParseInventory(
		source("inventory.yaml", small),
		source("inventory.d/db.yaml", `hosts:
  - {name: db-1, address: 192.0.2.3}
  - {name: db-2, address: 192.0.2.4}
`),
		source("inventory.d/more.yaml", `consul: {dns_ttl: 5s}
clusters:
  - name: db
    members: [db-1, db-2]
    services: [{name: db, port: 5432}]
    depends_on: [web]
`))
	if err != nil {
		t.Fatal(err)
	}
	inv := doc.Value
	if len(inv.Hosts) != 4 || inv.Hosts[3].Name != "db-2" || len(inv.Clusters) != 2 || inv.Clusters[1].Name != "db" {
		t.Errorf("merged to %+v", inv)
	}
	if inv.Access.User != "patch" || inv.Consul.DNSTTL == nil || inv.Consul.DNSTTL.String() != "5s" {
		t.Errorf("access %+v and consul %+v, want those of the file that gives them", inv.Access, inv.Consul)
	}
	for _, row := range []struct {
		path, file string
		line       int
	}{
		{"hosts[1].address", "inventory.yaml", 2},
		{"hosts[2].name", "inventory.d/db.yaml", 2},
		{"hosts[3].labels", "inventory.d/db.yaml", 3},
		{"clusters[1].members", "inventory.d/more.yaml", 4},
		{"clusters[1].min_healthy", "inventory.d/more.yaml", 3},
		{"consul.dns_ttl", "inventory.d/more.yaml", 1},
		{"nothing.of[3].the.kind", "inventory.yaml", 1},
	} {
		if name, line := doc.Where(row.path); name != row.file || line != row.line {
			t.Errorf("Where(%q) = %s:%d, want %s:%d", row.path, name, line, row.file, row.line)
		}
	}
}

func TestFindingsAcrossFiles(t *testing.T) {
	_, err := file.ParseInventory(
		source("inventory.yaml", small),
		source("inventory.d/a.yaml", `hosts:
  - {name: db-1, address: 192.0.2.3, colour: green}
  - {name: web-1, address: 192.0.2.4}
access: {user: root}
`),
		source("inventory.d/b.yaml", `clusters:
  - name: db
    members: [db-1, db-2]
    services: [{name: db, port: 5432}]
  - name: web
    members: [db-1]
    services: [{name: db, port: "5432"}]
`))
	want := `inventory.d/a.yaml:2: hosts[0].colour: unknown key; known here: name, address, labels, segment, playbook, house, power, access
inventory.d/a.yaml:3: hosts[1].name: "web-1" is already used on inventory.yaml:2
inventory.d/a.yaml:4: access: is already given on inventory.yaml:1: it belongs in one file
inventory.d/b.yaml:3: clusters[0].members[1]: "db-2" is no host of this inventory
inventory.d/b.yaml:5: clusters[1].name: "web" is already used on inventory.yaml:3
inventory.d/b.yaml:7: clusters[1].services[0].port: wants a whole number, not text`
	if err == nil || err.Error() != want {
		t.Errorf("got:\n%v\nwant:\n%s", err, want)
	}
}

// Lines stay right whatever stands between them, and whatever the file's line ends are.
func TestLines(t *testing.T) {
	text := `# A comment, then an empty line.

access: {user: patch}
hosts:

  # before
  - name: web-1   # behind
    address: |-
      192.0.2.1
    labels: {env: "long
      text", "x": y}

  - name: 'web-2'
    address: >-
      192.0.2.2
    prot: 1
clusters:
- name: web
  members:
  - web-1
  # between
  - web-3
  services: [
    {name: web, port: 80},
    {name: web, port: 81},
  ]
`
	want := `f.yaml:16: hosts[1].prot: unknown key; known here: name, address, labels, segment, playbook, house, power, access
f.yaml:22: clusters[0].members[1]: "web-3" is no host of this inventory; did you mean "web-2"?
f.yaml:25: clusters[0].services[1].name: "web" is already used on line 24`
	for name, text := range map[string]string{
		"as on Linux":                text,
		"as on Windows":              strings.ReplaceAll(text, "\n", "\r\n"),
		"with a byte order mark":     "\ufeff" + text,
		"as a document with its end": "---\n" + strings.TrimPrefix(text, "# A comment, then an empty line.\n") + "...\n",
	} {
		_, err := file.ParseInventory(source("f.yaml", text))
		if err == nil || err.Error() != want {
			t.Errorf("%s: got:\n%v\nwant:\n%s", name, err, want)
		}
	}
}

func TestNotText(t *testing.T) {
	for name, raw := range map[string]string{
		"f.yaml:2: is not text in UTF-8":              "access: {}\nhosts: \xff\n",
		"f.yaml:3: is not text in UTF-8":              "access: {}\n\n\x00\n",
		"f.yaml:1: is larger than 16 MiB":             strings.Repeat("#\n", 9<<20),
		"f.yaml:1: is nested deeper than 32 levels":   "a: " + strings.Repeat("- ", 100_000),
		"f.yaml:514: is nested deeper than 32 levels": deep(1000),
		"f.yaml:1: is empty":                          "---\n",
		"f.yaml:1: wants keys (access, consul, approvers, emergency, hosts, clusters, zone, windows, freezes, accept), not text": "hosts\n",
	} {
		if _, err := file.ParseInventory(source("f.yaml", raw)); err == nil || err.Error() != name {
			t.Errorf("%.40q: error %.200v, want %s", raw, err, name)
		}
	}
}

func deep(levels int) string {
	var b strings.Builder
	for i := range levels {
		b.WriteString(strings.Repeat(" ", i) + "a:\n")
	}
	return b.String()
}

// Scripts are part of what an inventory says, and what is wrong with them is told with the rest.
func TestReadScripts(t *testing.T) {
	const text = `access: {user: patch}
hosts: [{name: web-1, address: 192.0.2.1}, {name: web-2, address: 192.0.2.2}]
clusters:
  - name: web
    members: [web-1, web-2, web-3]
    drain: command
    drain_commands:
      drain: out.sh
      undrain: ~/back.sh
      state: /srv/state.sh
    ports: [80]
    checks: [{name: port, tcp: "127.0.0.1:80"}]
`
	bodies := map[string]string{"/etc/rollpatch/out.sh": "echo out\n", "/home/ann/back.sh": "echo back\n", "/srv/state.sh": "echo in\n"}
	read := func(path string) ([]byte, error) {
		body, ok := bodies[path]
		if !ok {
			return nil, errors.New(path + ": no such file or directory")
		}
		return []byte(body), nil
	}
	sound := strings.Replace(text, ", web-3", "", 1)
	doc, err := file.ParseInventory(file.Source{Name: "i.yaml", Raw: []byte(sound)})
	if err != nil {
		t.Fatal(err)
	}
	whole, err := file.ReadScripts(doc, "/etc/rollpatch", "/home/ann", read)
	if err != nil {
		t.Fatal(err)
	}
	want := inventory.DrainCommands{Drain: inventory.Script{File: "out.sh", Body: "echo out\n"}, Undrain: inventory.Script{File: "~/back.sh", Body: "echo back\n"}, State: inventory.Script{File: "/srv/state.sh", Body: "echo in\n"}}
	if got := *whole.Value.Clusters[0].DrainCommands; !reflect.DeepEqual(got, want) {
		t.Errorf("commands %+v, want %+v", got, want)
	}
	if doc.Value.Clusters[0].DrainCommands.Drain.Body != "" {
		t.Error("it changed what it was given")
	}

	bodies = map[string]string{"/home/ann/back.sh": " \n", "/srv/state.sh": "echo \x00"}
	doc, _ = file.ParseInventory(file.Source{Name: "i.yaml", Raw: []byte(text)})
	_, err = file.ReadScripts(doc, "/etc/rollpatch", "/home/ann", read)
	told := `i.yaml:5: clusters[0].members[2]: "web-3" is no host of this inventory
i.yaml:8: clusters[0].drain_commands.drain: cannot be read: /etc/rollpatch/out.sh: no such file or directory
i.yaml:9: clusters[0].drain_commands.undrain: "~/back.sh" is empty
i.yaml:10: clusters[0].drain_commands.state: "/srv/state.sh" is not text in UTF-8`
	if err == nil || err.Error() != told {
		t.Errorf("got\n%v\nwant\n%s", err, told)
	}
}
