package ansible_test

import (
	"errors"
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/rollpatch/rollpatch/inventory/ansible"
	"github.com/rollpatch/rollpatch/inventory/draft"
	"github.com/rollpatch/rollpatch/inventory/file"
)

func drafted(t *testing.T, o ansible.Options, files map[string]string) (string, error) {
	t.Helper()
	disk := fstest.MapFS{}
	for name, text := range files {
		disk[name] = &fstest.MapFile{Data: []byte(text), Mode: 0o644}
	}
	inv, err := ansible.Read(disk, []string{"hosts"})
	if err != nil {
		t.Fatal(err)
	}
	d, err := inv.Draft(o)
	return d.YAML(), err
}

// TestDraftsAreInventories drafts every fixture: what comes out is an inventory that validate takes, or a reason.
func TestDraftsAreInventories(t *testing.T) {
	whole := 0
	for name, f := range fixtures(t) {
		inv, err := f.read()
		if err != nil {
			continue
		}
		d, err := inv.Draft(ansible.Options{User: "ops", Groups: []string{"*"}})
		if unfit := new(draft.Unfit); errors.As(err, &unfit) {
			t.Errorf("%s: %v", name, err)
			continue
		}
		whole++
		if _, err := file.ParseInventory(file.Source{Name: name, Raw: []byte(d.YAML())}); err != nil {
			t.Errorf("%v\n%s", err, d.YAML())
		}
	}
	if whole < 30 {
		t.Errorf("%d inventories were drafted", whole)
	}
}

const shop = `[web]
web-1 ansible_host="{{ inventory_hostname }}.{{ domain }}"
web-2 ansible_host=192.0.2.12 ansible_port=2222 ansible_ssh_common_args='-o ProxyJump=ops@jump.example.com'
web-3 ansible_host=192.0.2.13 ansible_user=deploy ansible_ssh_private_key_file=~/.ssh/deploy
[web:vars]
domain=example.com
[db]
db-1 ansible_host=192.0.2.31
db-again ansible_host=192.0.2.31
db-win ansible_connection=winrm
db-odd ansible_host="{{ lookup('env', 'X') }}"
[shop:children]
web
db
[all:vars]
ansible_user=ops
ansible_password=hunter2
ansible_become_pass="{{ ansible_password }}"
db_password=swordfish
`

func TestDraft(t *testing.T) {
	got, err := drafted(t, ansible.Options{}, map[string]string{"hosts": shop, "group_vars/db.yml": "$ANSIBLE_VAULT;1.1;AES256\n6162\n"})
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"hunter2", "swordfish", "6162"} {
		if strings.Contains(got, secret) {
			t.Errorf("the result holds %s", secret)
		}
	}
	golden := "testdata/shop.yaml"
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("got\n%s\nwant, from %s\n%s", got, golden, want)
	}
}

func TestClusterGroups(t *testing.T) {
	for _, row := range []struct{ patterns, want string }{
		{"", "web db"}, {"shop", "shop"}, {"w*", "web"}, {"d?,web", "db web"}, {"x*", `--cluster-groups "x*" matches no group that has hosts`}, {"[", `--cluster-groups "[" is no pattern`},
	} {
		o := ansible.Options{}
		if row.patterns != "" {
			o.Groups = strings.Split(row.patterns, ",")
		}
		got, err := drafted(t, o, map[string]string{"hosts": shop})
		var names []string
		for line := range strings.Lines(got) {
			if name, ok := strings.CutPrefix(strings.TrimSpace(line), "- name: "); ok {
				names = append(names, name)
			}
		}
		said := strings.Join(names, " ")
		if err != nil {
			said = err.Error()
		}
		if said != row.want {
			t.Errorf("--cluster-groups %s: %q, want %q", row.patterns, said, row.want)
		}
	}
}

func TestUnfit(t *testing.T) {
	for hosts, want := range map[string]string{
		"[web]\nh1\nh2 ansible_user=ops\n":                        "no ansible_user says who logs in to h1",
		"h1 ansible_user=ops\n":                                   "no group has hosts",
		"[web]\nh1 ansible_connection=local\n":                    "no host is left that is reached over SSH",
		"[web]\nh1 ansible_user=\"{{ nobody_knows }}\"\n":         "no ansible_user says who logs in to h1",
		"h1 ansible_user=ops\n[l]\nh2 ansible_connection=local\n": "no cluster has a host that is reached over SSH",
	} {
		_, err := drafted(t, ansible.Options{}, map[string]string{"hosts": hosts})
		if unfit := new(draft.Unfit); !errors.As(err, &unfit) || !strings.HasPrefix(unfit.Why, want) || unfit.Hint == "" {
			t.Errorf("%q: %v, want %s", hosts, err, want)
		}
	}
}

// TestRefusals: what cannot be read is named by file and line, all of it at once, and nothing that stands there is repeated.
func TestRefusals(t *testing.T) {
	disk := fstest.MapFS{
		"inv/a":                  {Data: []byte("[web]\nh1 ansible_password=sesame open\nh2 x=\"sesame\n[we b]\n[db\nsesame-1\n[app]\nh4 sesame\n[1:2]-h x=1\n"), Mode: 0o644},
		"inv/b.yml":              {Data: []byte("web:\n  hosts:\n    h3: sesame\n"), Mode: 0o644},
		"inv/c.yml":              {Data: []byte("plugin: aws_ec2\n"), Mode: 0o644},
		"inv/d":                  {Data: []byte("#!/bin/sh\necho sesame\n"), Mode: 0o755},
		"inv/e.yml":              {Data: []byte("$ANSIBLE_VAULT;1.1;AES256\n6162\n"), Mode: 0o644},
		"inv/f.yml":              {Data: []byte("web: {hosts: [sesame\n"), Mode: 0o644},
		"inv/group_vars/all.yml": {Data: []byte("x: \"sesame\n"), Mode: 0o644},
		"inv/group_vars/web.yml": {Data: []byte("- sesame\n"), Mode: 0o644},
	}
	_, err := ansible.Read(disk, []string{"inv", "nowhere"})
	got := ""
	if err != nil {
		got = err.Error()
	}
	for _, want := range []string{"inv/a:2: word 3 is no variable, it follows ansible_password=: ", "inv/a:3: has a quote", "inv/a:4: is no section", "inv/a:5: is no section: its closing ] is missing", "inv/a:8: word 2 is no variable, it follows the name: ", "inv/b.yml:3: ", "inv/c.yml:1: asks a plugin", "inv/d:1: is a program",
		"inv/e.yml:1: is encrypted", "inv/f.yml:1: cannot be read as YAML", "inv/group_vars/all.yml:1: ", "inv/group_vars/web.yml:1: is no mapping", "nowhere:1: cannot be read"} {
		if !strings.Contains("\n"+got, "\n"+want) {
			t.Errorf("got\n%s\nwant a line that begins with %s", got, want)
		}
	}
	if strings.Contains(got, "sesame") {
		t.Errorf("what stands in files is repeated:\n%s", got)
	}
}
