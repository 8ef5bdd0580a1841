package wiring

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"

	"github.com/rollpatch/rollpatch/activities"
	"github.com/rollpatch/rollpatch/inventory"
	"github.com/rollpatch/rollpatch/inventory/file"
)

// ReadFile reads a file that a person named.
func ReadFile(path string) (file.Source, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		var at *fs.PathError
		if errors.As(err, &at) {
			err = at.Err
		}
		return file.Source{}, fmt.Errorf("%s: %w", path, err)
	}
	return file.Source{Name: path, Raw: raw}, nil
}

// InventorySources are the inventory file and what a folder inventory.d beside it adds, in the order of their names.
func InventorySources(path string) ([]file.Source, error) {
	first, err := ReadFile(path)
	if err != nil {
		return nil, err
	}
	sources := []file.Source{first}
	more, err := filepath.Glob(filepath.Join(globSafe(filepath.Dir(path)), "inventory.d", "*.yaml"))
	if err != nil {
		return nil, err
	}
	for _, name := range more {
		s, err := ReadFile(name)
		if err != nil {
			return nil, err
		}
		sources = append(sources, s)
	}
	return sources, nil
}

var globLetters = regexp.MustCompile(`[*?\[\\]`)

// globSafe keeps letters in the folder's own name from being taken for a pattern.
func globSafe(dir string) string { return globLetters.ReplaceAllString(dir, `\$0`) }

// ParseInventory reads an inventory and the scripts that it names. paths are the folder of its file and the home that ~ stands for; it is asked
// where there are scripts. An error is findings, or why no script can be looked for.
func ParseInventory(sources []file.Source, paths func() (dir, home string, err error)) (file.Document[inventory.Inventory], error) {
	doc, err := file.ParseInventory(sources...)
	if !doc.Value.HasScripts() {
		return doc, err
	}
	dir, home, err := paths()
	if err != nil {
		return doc, err
	}
	return file.ReadScripts(doc, dir, home, func(path string) ([]byte, error) {
		source, err := ReadFile(path)
		return source.Raw, err
	})
}

// inventoryOf reads a worker's inventory anew at each call: hosts come and go while it runs. Paths in it are made whole as they are for
// whoever types, with the worker's own home.
func inventoryOf(path, home string) func() (inventory.Inventory, error) {
	return func() (inventory.Inventory, error) {
		if path == "" {
			return inventory.Inventory{}, activities.ErrNoInventory
		}
		sources, err := InventorySources(path)
		if err != nil {
			return inventory.Inventory{}, fmt.Errorf("--inventory: %w", err)
		}
		doc, err := ParseInventory(sources, func() (string, string, error) { return filepath.Dir(path), home, nil })
		if err != nil {
			return inventory.Inventory{}, err // it names file, line and path
		}
		return doc.Value.Resolve().WithPaths(filepath.Dir(path), home), nil
	}
}
