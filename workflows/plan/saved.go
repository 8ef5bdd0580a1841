package plan

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"time"
)

// Saved is a plan as a file keeps it: everything that an instance of it needs, and what its hosts said. It holds references to secrets,
// never secrets.
type Saved struct {
	Digest  string          `json:"digest"` // what is approved
	Made    time.Time       `json:"made"`
	By      string          `json:"by,omitempty"` // claimed
	Plan    Plan            `json:"plan"`
	Parts   map[string]Part `json:"parts"`
	Answers []Answer        `json:"answers,omitempty"` // empty: no host was asked
}

// ParseSaved reads a plan that was saved, and refuses one that was changed since.
func ParseSaved(raw []byte) (Saved, error) {
	var s Saved
	read := json.NewDecoder(bytes.NewReader(raw))
	read.DisallowUnknownFields() // what is not understood would not be run
	if err := read.Decode(&s); err != nil {
		return s, fmt.Errorf("this is no saved plan: %w", err)
	}
	if s.Digest == "" || len(s.Plan.Stages) == 0 {
		return s, errors.New("this is no saved plan: it has no digest or no stages")
	}
	clusters := map[string]bool{}
	for _, st := range s.Plan.Stages {
		for _, c := range st.Clusters {
			clusters[c.Name] = true
			part, ok := s.Parts[c.Name]
			if !ok || Digest(part) != c.Part {
				return s, fmt.Errorf("it was changed since it was saved: the part of cluster %q is not the one that its plan names", c.Name)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.Parts)) {
		if !clusters[name] {
			return s, fmt.Errorf("it was changed since it was saved: it has a part of cluster %q, which its plan does not name", name)
		}
	}
	if got := Digest(s.Plan); got != s.Digest {
		return s, fmt.Errorf("it was changed since it was saved: its plan has the digest %s, and it says %s", got, s.Digest)
	}
	return s, nil
}

// Differences says what the files ask for now that they did not when the plan was saved: where, what it was and what it is.
func (s Saved) Differences(p Plan, parts map[string]Part) []string {
	was, wasParts := bare(s.Plan, s.Parts)
	var all []string
	for _, name := range slices.Sorted(maps.Keys(wasParts)) {
		if now, ok := parts[name]; ok {
			all = append(all, differences("cluster "+name+": ", "", wasParts[name], now)...)
		}
	}
	// Digests of parts say nothing to people, and where they differ their parts do.
	for _, plan := range []*Plan{&was, &p} {
		plan.Stages = slices.Clone(plan.Stages)
		for i := range plan.Stages {
			plan.Stages[i].Clusters = slices.Clone(plan.Stages[i].Clusters)
			for k := range plan.Stages[i].Clusters {
				plan.Stages[i].Clusters[k].Part = ""
			}
		}
	}
	return append(differences("", "", was, p), all...)
}

func differences(prefix, path string, was, is any) []string {
	var a, b any
	if json.Unmarshal(Body(was), &a) != nil || json.Unmarshal(Body(is), &b) != nil {
		return []string{prefix + path}
	}
	return differ(prefix, path, a, b)
}

// differ walks two JSON values. Lists of things with a name are held against each other by name.
func differ(prefix, path string, was, is any) []string {
	if reflect.DeepEqual(was, is) {
		return nil
	}
	a, b := children(was), children(is)
	if a == nil && b == nil || was != nil && is != nil && (a == nil) != (b == nil) {
		return []string{prefix + path + ": it was " + text(was) + ", and is " + text(is)}
	}
	var all []string
	keys := append(slices.Sorted(maps.Keys(a)), slices.Sorted(maps.Keys(b))...)
	slices.Sort(keys)
	for _, key := range slices.Compact(keys) {
		at := key
		if path != "" {
			at = path + "." + key
		}
		x, before := a[key]
		y, after := b[key]
		switch {
		case !before:
			all = append(all, prefix+at+": is new: "+text(y))
		case !after:
			all = append(all, prefix+at+": is gone: it was "+text(x))
		default:
			all = append(all, differ(prefix, at, x, y)...)
		}
	}
	if len(all) == 0 {
		all = []string{prefix + path + ": its order is another"}
	}
	return all
}

// children are the values below a value, by key, by name or by place.
func children(v any) map[string]any {
	switch v := v.(type) {
	case map[string]any:
		return v
	case []any:
		all := map[string]any{}
		for i, e := range v {
			key := strconv.Itoa(i)
			switch e := e.(type) {
			case map[string]any:
				if name, ok := e["name"].(string); ok {
					key = name
				}
			case string:
				key = e
			}
			all[key] = e
		}
		return all
	}
	return nil
}

// text is a value in a message, its beginning where it is long.
func text(v any) string {
	const most = 120
	if v == nil {
		return "not given"
	}
	raw := string(Body(v))
	if len(raw) > most {
		raw = raw[:most] + " ..."
	}
	return raw
}
