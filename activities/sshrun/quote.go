package sshrun

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// argumentPrefix is what the names of a script's arguments begin with: nothing else of a host's environment can be set from here.
const argumentPrefix = "ROLLPATCH_"

var argumentName = regexp.MustCompile(`^ROLLPATCH_[A-Z0-9_]+$`)

// quote makes a word that a POSIX shell reads back as s, whatever s holds but a NUL byte, which no shell can hold.
func quote(s string) string {
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// assign writes a shell assignment.
func assign(b *strings.Builder, name, value string) {
	b.WriteString(name)
	b.WriteByte('=')
	b.WriteString(quote(value))
	b.WriteByte('\n')
}

// exports writes a script's arguments as shell text, in the order of their names.
func exports(env map[string]string) (string, error) {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(env)) {
		switch {
		case !argumentName.MatchString(name) || name == "ROLLPATCH_ROOT":
			// The root is the host's own: a script must not be led to another.
			return "", fmt.Errorf("argument %q: names are %s followed by capitals, digits and underscores, and not ROLLPATCH_ROOT", name, argumentPrefix)
		case strings.Contains(env[name], "\x00"):
			return "", fmt.Errorf("argument %s: holds a NUL byte", name)
		}
		b.WriteString("export ")
		assign(&b, name, env[name])
	}
	return b.String(), nil
}

// noNUL refuses what a shell would cut short.
func noNUL(script []byte) error {
	if slices.Contains(script, 0) {
		return fmt.Errorf("script: holds a NUL byte")
	}
	return nil
}
