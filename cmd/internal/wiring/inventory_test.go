package wiring

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rollpatch/rollpatch/activities"
)

func TestTheInventoryIsReadAnewEachTime(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "inventory.yaml")
	write := func(name, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	read := inventoryOf(path, "/home/ann")
	if _, err := read(); err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "--inventory") {
		t.Errorf("without the file: %v, want an error that names it and the flag", err)
	}

	const hosts = "access: {user: patch, identity_file: ~/.ssh/id, known_hosts: known}\nhosts:\n  - {name: web-1, address: 192.0.2.11}\n  - {name: web-2, address: 192.0.2.12}\n"
	const cluster = "clusters:\n  - name: web\n    members: [web-1, web-2]\n    services: [{name: web, port: 80}]\n    checks: [{name: page, tcp: \"127.0.0.1:80\"}]\n"
	write("inventory.yaml", hosts+cluster)
	inv, err := read()
	if err != nil || len(inv.Hosts) != 2 {
		t.Fatalf("%+v, %v", inv, err)
	}
	if a := inv.Hosts[0].Access; a.IdentityFile != "/home/ann/.ssh/id" || a.KnownHosts != filepath.Join(dir, "known") {
		t.Errorf("paths %+v are not made whole with the home and the file's folder", a)
	}

	write("inventory.d/more.yaml", "hosts:\n  - {name: web-3, address: 192.0.2.13}\n")
	if inv, err := read(); err != nil || len(inv.Hosts) != 3 {
		t.Errorf("with a host more in inventory.d: %d hosts, %v", len(inv.Hosts), err)
	}

	write("inventory.yaml", hosts+cluster+"colour: red\nsize: big\n")
	if _, err := read(); err == nil || !strings.Contains(err.Error(), "inventory.yaml:10:") || !strings.Contains(err.Error(), "inventory.yaml:11:") {
		t.Errorf("of a broken one: %v, want every mistake with file and line", err)
	}
}

func TestAWorkerWithoutAnInventorySaysWhatToType(t *testing.T) {
	if _, err := inventoryOf("", "")(); !errors.Is(err, activities.ErrNoInventory) || !strings.Contains(err.Error(), "--inventory FILE") {
		t.Errorf("%v", err)
	}
}
