package ansible

import (
	"bytes"
	"errors"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// maxBytes bounds a file: a larger one is no inventory.
const maxBytes = 16 << 20

var (
	ignored   = regexp.MustCompile(`^\.|^host_vars$|^group_vars$|^vars_plugins$|(?:\.pyc|\.pyo|\.swp|\.bak|~|\.rpm|\.md|\.txt|\.rst|\.orig|\.ini|\.cfg|\.retry)$`)
	yamlNames = []string{".yaml", ".yml", ".json"}
)

const (
	encrypted = "$ANSIBLE_VAULT"
	dynamic   = "run it through Ansible and import what that says: ansible-inventory -i SOURCE --list --yaml --export > static.yaml"
)

// open reads a file that must be text.
func (inv *Inventory) open(files fs.FS, name string) (string, bool) {
	raw, err := fs.ReadFile(files, name)
	switch at := (*fs.PathError)(nil); {
	case errors.As(err, &at):
		inv.wrong(name, 1, "cannot be read: %v", at.Err)
	case err != nil:
		inv.wrong(name, 1, "cannot be read: %v", err)
	case len(raw) > maxBytes:
		inv.wrong(name, 1, "is larger than %d MiB", maxBytes>>20)
	case !utf8.Valid(raw):
		inv.wrong(name, 1, "is not text in UTF-8")
	default:
		raw = bytes.ReplaceAll(bytes.TrimPrefix(raw, []byte("\ufeff")), []byte("\r\n"), []byte("\n"))
		return string(raw), true
	}
	return "", false
}

// source reads a file, or every file of a folder that is none of the kinds that Ansible passes over.
func (inv *Inventory) source(files fs.FS, name string) {
	info, err := fs.Stat(files, name)
	if err != nil {
		inv.open(files, name) // says why
		return
	}
	if !info.IsDir() {
		inv.sourceFile(files, name, info.Mode())
		return
	}
	entries, err := fs.ReadDir(files, name) // sorted by name
	if err != nil {
		inv.wrong(name, 1, "cannot be read: %v", err)
	}
	for _, e := range entries {
		if !ignored.MatchString(e.Name()) {
			inv.source(files, path.Join(name, e.Name()))
		}
	}
}

// sourceFile takes a file for YAML where its name allows that, and else for INI, as Ansible does.
func (inv *Inventory) sourceFile(files fs.FS, name string, mode fs.FileMode) {
	text, ok := inv.open(files, name)
	switch {
	case !ok:
		return
	case strings.HasPrefix(text, encrypted):
		inv.wrong(name, 1, "is encrypted with ansible-vault: hosts and groups must be legible: ansible-vault decrypt --output FILE %s, or %s", path.Base(name), dynamic)
		return
	case strings.HasPrefix(text, "#!") && mode&0o111 != 0:
		inv.wrong(name, 1, "is a program: %s", dynamic)
		return
	}
	ext := path.Ext(name)
	asYAML := slices.Contains(yamlNames, ext)
	if asYAML || ext == "" {
		root, line, err := parseYAML(text)
		groups, isMap := root.(*mapping)
		switch {
		case err == nil && isMap && len(groups.keys) > 0:
			if plugin, _ := groups.values["plugin"].(string); plugin != "" {
				inv.wrong(name, 1, "asks a plugin for hosts: %s", dynamic)
				return
			}
			inv.yaml(name, groups)
			return
		case asYAML && err != nil:
			inv.wrong(name, line, "%v", err)
			return
		case asYAML && root != nil && !isMap:
			inv.wrong(name, 1, "is no mapping of groups: an inventory in YAML begins with the name of a group, such as all:")
			return
		}
	}
	inv.ini(name, text)
}

func folderOf(files fs.FS, source string) string {
	if info, err := fs.Stat(files, source); err == nil && info.IsDir() {
		return source
	}
	return path.Dir(source)
}

// varsFiles are the folders group_vars and host_vars beside the sources, and beside playbooks.
type varsFiles struct {
	files              fs.FS
	folders, playbooks []string
	read               map[string]map[string]any // by kind and name, with the number of the place before
}

// into puts the variables of entities over those in out: source after source, then playbook after playbook.
func (v *varsFiles) into(out map[string]any, kind string, names ...string) {
	for _, folder := range slices.Concat(v.folders, v.playbooks) {
		for _, name := range names {
			for key, value := range v.read[path.Join(folder, kind)+"\x00"+name] {
				out[key] = value
			}
		}
	}
}

// readVars reads the files of variables of all groups and hosts.
func (inv *Inventory) readVars() {
	read := func(kind, name string) {
		for _, folder := range slices.Concat(inv.vars.folders, inv.vars.playbooks) {
			at := path.Join(folder, kind)
			key := at + "\x00" + name
			if _, done := inv.vars.read[key]; done || strings.HasPrefix(name, "/") || !fs.ValidPath(path.Join(at, name)) {
				continue
			}
			vars := map[string]any{}
			for _, f := range inv.vars.find(path.Join(at, name)) {
				inv.varsFile(f, vars)
			}
			inv.vars.read[key] = vars
		}
	}
	for _, g := range inv.groupList {
		read("group_vars", g.Name)
	}
	for _, h := range inv.hostList {
		read("host_vars", h.Name)
	}
}

// find lists the files that hold the variables of one name: a folder or file of that name, or the first that adds an extension.
func (v *varsFiles) find(name string) []string {
	for _, ext := range []string{"", ".yml", ".yaml", ".json"} {
		info, err := fs.Stat(v.files, name+ext)
		switch {
		case err != nil:
			continue
		case info.IsDir():
			return v.folder(name + ext)
		}
		return []string{name + ext}
	}
	return nil
}

func (v *varsFiles) folder(name string) []string {
	var out []string
	entries, _ := fs.ReadDir(v.files, name) // it is there; what cannot be listed holds nothing for Ansible either
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") || strings.HasSuffix(e.Name(), "~") {
			continue
		}
		full, ext := path.Join(name, e.Name()), path.Ext(e.Name())
		info, err := fs.Stat(v.files, full) // of what a link leads to
		switch {
		case err != nil:
		case info.IsDir() && ext == "":
			out = append(out, v.folder(full)...)
		case !info.IsDir() && (ext == "" || slices.Contains(yamlNames, ext)):
			out = append(out, full)
		}
	}
	return out
}

// varsFile reads one file of variables over those that are there.
func (inv *Inventory) varsFile(name string, into map[string]any) {
	text, ok := inv.open(inv.vars.files, name)
	if !ok {
		return
	}
	if strings.HasPrefix(text, encrypted) {
		if !slices.Contains(inv.Encrypted, name) {
			inv.Encrypted = append(inv.Encrypted, name)
		}
		return
	}
	root, line, err := parseYAML(text)
	vars, isMap := root.(*mapping)
	switch {
	case err != nil:
		inv.wrong(name, line, "%v", err)
	case isMap:
		for _, key := range vars.keys {
			into[key] = plain(vars.values[key])
		}
	case root != nil:
		inv.wrong(name, 1, "is no mapping of variables")
	}
}
