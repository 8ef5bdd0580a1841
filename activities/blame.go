package activities

import (
	"regexp"
	"strconv"
	"strings"
)

// What a fail is blamed on, in the same words on every host: failures of one stage are counted by them.
func blameCheck(name string) string   { return "check " + strconv.Quote(name) }
func blamePackage(name string) string { return "package " + name }

// namesPackage finds the package that a package manager complains of. An archive is named by its path, and its file by name and version.
var namesPackage = regexp.MustCompile(`(?m)dpkg: error processing (?:package|archive) (\S+)|E: Version '[^']*' for '([^']+)' was not found|E: Unable to locate package (\S+)|E: Package '([^']+)' has no installation candidate|^(\S+) is at \S+, not at |^not listed: (\S+) to `)

// blamed is the package that a script's last words name first; empty where they name none.
func blamed(stderr []byte) string {
	m := namesPackage.FindSubmatch(stderr)
	for _, name := range m[min(1, len(m)):] {
		if len(name) == 0 {
			continue
		}
		file := string(name[strings.LastIndexByte(string(name), '/')+1:])
		bare, _, _ := strings.Cut(file, "_")
		bare, _, _ = strings.Cut(bare, ":") // of another architecture it is the same package
		return blamePackage(bare)
	}
	return ""
}
