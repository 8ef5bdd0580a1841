// Package playbooks knows which scripts carry out each step for a family of hosts, and what is promised of them: names and exit
// statuses. It must not know how a script gets to a host or when it runs, and it never runs one.
//
// A family is a folder: playbook.yaml, the scripts of [Names], and if there is a lib.sh it comes before each of them. The families
// here are part of the program; a folder of the user's own adds families, and replaces a family whole.
package playbooks

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
)

//go:embed apt
var builtIn embed.FS

// The scripts of every family.
const (
	Facts        = "facts"
	Pending      = "pending"
	Fetch        = "fetch"
	Apply        = "apply"
	Verify       = "verify"
	RebootNeeded = "reboot-needed"
	Reboot       = "reboot"
	Backout      = "backout"
	Fingerprint  = "fingerprint"
	Updaters     = "updaters"
	Preflight    = "preflight"
)

// Names lists the scripts of every family.
func Names() []string {
	return []string{Facts, Pending, Fetch, Apply, Verify, RebootNeeded, Reboot, Backout, Fingerprint, Updaters, Preflight}
}

// What an exit status means, in every family.
const (
	ExitDone        = 0
	ExitArguments   = 2  // bad arguments
	ExitUnlisted    = 10 // the transaction would touch something that is not listed
	ExitLocked      = 11 // the package lock did not become free in time
	ExitUnavailable = 12 // a version is not to be had
	ExitSpace       = 13 // not enough space
	ExitRepository  = 14 // the repository cannot be reached, or its signature is not valid
	ExitFailed      = 20 // the package manager failed
	ExitUnclean     = 21 // the package database is not as it should be
)

const (
	definition = "playbook.yaml"
	library    = "lib.sh"
)

// Playbook is how the steps are done on the hosts of one family.
type Playbook struct {
	Family string
	// OS are the ids of os-release that it is for.
	OS []string
	// Digest changes with every byte of every file.
	Digest string

	scripts map[string][]byte
}

// Script is the text of a script, whole. A name that is none of [Names] is a mistake in the program.
func (p Playbook) Script(name string) []byte {
	text, ok := p.scripts[name]
	if !ok {
		panic(fmt.Sprintf("playbook %q: no script %q", p.Family, name))
	}
	return bytes.Clone(text)
}

// Set is the playbooks that there are.
type Set struct {
	families map[string]Playbook
	byOS     map[string]string
}

// Families lists the playbooks by name.
func (s Set) Families() []Playbook {
	var all []Playbook
	for _, name := range slices.Sorted(maps.Keys(s.families)) {
		all = append(all, s.families[name])
	}
	return all
}

// For finds the playbook for an id of os-release.
func (s Set) For(osReleaseID string) (Playbook, error) {
	if family, ok := s.byOS[osReleaseID]; ok {
		return s.families[family], nil
	}
	var known []string
	for _, p := range s.Families() {
		known = append(known, p.Family+" ("+strings.Join(p.OS, ", ")+")")
	}
	return Playbook{}, fmt.Errorf("no playbook for the system %q: there are %s", osReleaseID, strings.Join(known, ", "))
}

// Named finds a playbook by its family, for hosts whose inventory names it.
func (s Set) Named(family string) (Playbook, error) {
	if p, ok := s.families[family]; ok {
		return p, nil
	}
	return Playbook{}, fmt.Errorf("no playbook %q: there are %s", family, strings.Join(slices.Sorted(maps.Keys(s.families)), ", "))
}

// Load reads the playbooks that are part of the program, and those of a folder if one is named. All that is wrong is said at once.
func Load(dir string) (Set, error) {
	s := Set{families: map[string]Playbook{}, byOS: map[string]string{}}
	err := s.read(builtIn, "")
	if dir != "" {
		err = errors.Join(err, s.read(os.DirFS(dir), dir))
	}
	if err != nil {
		return Set{}, err
	}
	for _, p := range s.Families() {
		for _, id := range p.OS {
			if other, taken := s.byOS[id]; taken {
				err = errors.Join(err, fmt.Errorf("playbooks %q and %q are both for the system %q", other, p.Family, id))
			}
			s.byOS[id] = p.Family
		}
	}
	if err != nil {
		return Set{}, err
	}
	return s, nil
}

// read takes every folder of files that has a definition; label comes before the paths in messages.
func (s Set) read(files fs.FS, label string) error {
	entries, err := fs.ReadDir(files, ".")
	if err != nil {
		return fmt.Errorf("playbooks: %w", err)
	}
	var bad error
	for _, e := range entries {
		if !e.IsDir() || strings.HasPrefix(e.Name(), ".") {
			continue
		}
		p, err := readFamily(files, label, e.Name())
		if err != nil {
			bad = errors.Join(bad, err)
			continue
		}
		s.families[p.Family] = p
	}
	return bad
}

func readFamily(files fs.FS, label, family string) (Playbook, error) {
	at := func(name string) string { return path.Join(label, family, name) }
	p := Playbook{Family: family, scripts: map[string][]byte{}}
	raw, err := fs.ReadFile(files, path.Join(family, definition))
	if err != nil {
		return p, fmt.Errorf("playbook %q: %w", family, err)
	}
	lib, err := fs.ReadFile(files, path.Join(family, library))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return p, fmt.Errorf("playbook %q: %w", family, err)
	}
	if len(lib) > 0 && !bytes.HasSuffix(lib, []byte("\n")) {
		lib = append(lib, '\n')
	}
	bad := p.define(at(definition), raw)

	digest := sha256.New()
	part := func(name string, text []byte) { fmt.Fprintf(digest, "%s\n%d\n%s", name, len(text), text) }
	part(definition, raw)
	part(library, lib)
	for _, name := range Names() {
		text, err := fs.ReadFile(files, path.Join(family, name))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			bad = errors.Join(bad, fmt.Errorf("%s: a playbook needs this script", at(name)))
		case err != nil:
			bad = errors.Join(bad, fmt.Errorf("playbook %q: %w", family, err))
		case len(bytes.TrimSpace(text)) == 0:
			// An empty script would succeed.
			bad = errors.Join(bad, fmt.Errorf("%s: is empty", at(name)))
		case bytes.IndexByte(text, 0) >= 0:
			bad = errors.Join(bad, fmt.Errorf("%s: is not text", at(name)))
		}
		part(name, text)
		p.scripts[name] = append(bytes.Clone(lib), text...)
	}
	p.Digest = "sha256:" + hex.EncodeToString(digest.Sum(nil))
	return p, bad
}

// define reads playbook.yaml.
func (p *Playbook) define(file string, raw []byte) error {
	var d struct {
		OS []string `yaml:"os"`
	}
	dec := yaml.NewDecoder(bytes.NewReader(raw), yaml.Strict())
	if err := dec.Decode(&d); err != nil && !errors.Is(err, io.EOF) {
		return position(file, err)
	}
	var more any
	if err := dec.Decode(&more); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%s: holds more than one YAML document", file)
	}

	var bad error
	p.OS = d.OS
	if len(d.OS) == 0 {
		bad = fmt.Errorf("%s: os: name at least one id of os-release", file)
	}
	for i, id := range d.OS {
		if id == "" || slices.Index(d.OS, id) < i {
			bad = errors.Join(bad, fmt.Errorf("%s: os[%d]: %q is empty or named twice", file, i, id))
		}
	}
	return bad
}

// position says where in the file the reader stopped.
func position(file string, err error) error {
	var at yaml.Error
	if errors.As(err, &at) && at.GetToken() != nil {
		return fmt.Errorf("%s:%d: %s", file, at.GetToken().Position.Line, at.GetMessage())
	}
	return fmt.Errorf("%s: %w", file, err)
}
