package campaign

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/rollpatch/rollpatch/inventory"
)

// FingerprintAction is what a difference between a host before and after its patch does.
type FingerprintAction string

// What may be done about a difference. Of what is merely new, such as another mount, only a failed unit fails a host.
const (
	FingerprintFail   FingerprintAction = "fail"
	FingerprintWarn   FingerprintAction = "warn"
	FingerprintIgnore FingerprintAction = "ignore"
)

// Values lists what may be written.
func (FingerprintAction) Values() []string {
	return []string{string(FingerprintFail), string(FingerprintWarn), string(FingerprintIgnore)}
}

// FingerprintRule is what is done about one item of the fingerprint.
type FingerprintRule struct {
	// Action is fail, warn or ignore; docs/fingerprint.md has the default of each item.
	Action FingerprintAction `json:"action,omitempty" yaml:"action,omitempty"`
	// Allow lists patterns of what may come and go, such as tcp/*:1234 *; a star stands for any text.
	Allow []string `json:"allow,omitempty" yaml:"allow,omitempty"`
}

// fingerprintDefaults are the items, and what a difference does where a file says nothing.
var fingerprintDefaults = map[string]FingerprintAction{
	"hostname": FingerprintFail, "machine-id": FingerprintFail, "mounts": FingerprintFail, "listeners": FingerprintFail, "default-route": FingerprintFail, "failed-units": FingerprintFail,
	"fqdn": FingerprintWarn, "addresses": FingerprintWarn, "routes": FingerprintWarn, "enabled-units": FingerprintWarn, "running-units": FingerprintWarn, "sysctl": FingerprintWarn,
	"users": FingerprintWarn, "dns": FingerprintWarn, "time-sync": FingerprintWarn,
	"kernel": FingerprintIgnore,
}

// FingerprintRules are the rules of every item, with the defaults of those that no file names.
func (p Policy) FingerprintRules() map[string]FingerprintRule {
	all := map[string]FingerprintRule{}
	for item, action := range fingerprintDefaults {
		r := p.Fingerprint[item]
		if r.Action == "" {
			r.Action = action
		}
		all[item] = r
	}
	return all
}

// overrideFingerprint puts what over gives of each item in place of what under has.
func overrideFingerprint(under, over map[string]FingerprintRule) map[string]FingerprintRule {
	if len(over) == 0 {
		return under
	}
	all := map[string]FingerprintRule{}
	maps.Copy(all, under)
	for item, given := range over {
		r := all[item]
		if given.Action != "" {
			r.Action = given.Action
		}
		if given.Allow != nil {
			r.Allow = given.Allow
		}
		all[item] = r
	}
	return all
}

func validateFingerprint(p *inventory.Problems, at string, rules map[string]FingerprintRule) {
	for _, item := range slices.Sorted(maps.Keys(rules)) {
		where := at + ".fingerprint" + inventory.Key(item)
		if _, known := fingerprintDefaults[item]; !known {
			p.Add(where, "no fingerprint has it: write one of %s", strings.Join(slices.Sorted(maps.Keys(fingerprintDefaults)), ", "))
			continue
		}
		r := rules[item]
		if r.Action != "" {
			inventory.OneOf(p, where+".action", r.Action)
		}
		if r.Action == "" && len(r.Allow) == 0 {
			p.Add(where, "says nothing: give action, such as warn, or allow, such as [\"tcp/*:1234 *\"]")
		}
		for i, pattern := range r.Allow {
			if strings.Trim(pattern, "* ") == "" {
				p.Add(fmt.Sprintf("%s.allow[%d]", where, i), "%q allows everything: action: ignore says so", pattern)
			}
		}
	}
}
