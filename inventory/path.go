package inventory

import (
	"regexp"
	"strconv"
)

var plainKey = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

// Key is the step of a path into the key of a mapping: .name, or ["a.b"] where the key would be mistaken for more than one step.
func Key(name string) string {
	if plainKey.MatchString(name) {
		return "." + name
	}
	return "[" + strconv.Quote(name) + "]"
}
