package advisory

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"
)

// Record is an advisory as osv.dev writes it, as far as anybody here reads it.
type Record struct {
	ID        string   `json:"id"`
	Summary   string   `json:"summary"`
	Details   string   `json:"details"`
	Withdrawn string   `json:"withdrawn"` // when; empty: it holds
	Aliases   []string `json:"aliases"`   // other names of the very same
	Upstream  []string `json:"upstream"`  // what it passes on, such as the CVEs of a DSA
	Related   []string `json:"related"`
	Affected  []struct {
		Package struct {
			Ecosystem string `json:"ecosystem"`
			Name      string `json:"name"`
		} `json:"package"`
		Ranges []struct {
			Type   string `json:"type"`
			Events []struct {
				Introduced string `json:"introduced"`
				Fixed      string `json:"fixed"`
			} `json:"events"`
		} `json:"ranges"`
	} `json:"affected"`
}

// Parse reads what one file has: a record, a list of them, or several one after the other.
func Parse(raw []byte) ([]Record, error) {
	var all []Record
	read := json.NewDecoder(bytes.NewReader(raw))
	for {
		var next json.RawMessage
		switch err := read.Decode(&next); {
		case errors.Is(err, io.EOF):
			return all, nil
		case err != nil:
			at := int64(len(raw)) // it ends too early
			if wrong := (*json.SyntaxError)(nil); errors.As(err, &wrong) {
				at = min(at, wrong.Offset)
			}
			return nil, fmt.Errorf("%d: this is no JSON: %w", line(raw, at), err)
		}
		at := line(raw, read.InputOffset())
		var some []Record
		if next[0] == '[' {
			if err := json.Unmarshal(next, &some); err != nil {
				return nil, fmt.Errorf("%d: this is no list of OSV records: %w", at, err)
			}
		} else {
			some = make([]Record, 1)
			if err := json.Unmarshal(next, &some[0]); err != nil {
				return nil, fmt.Errorf("%d: this is no OSV record: %w", at, err)
			}
		}
		if slices.ContainsFunc(some, func(r Record) bool { return r.ID == "" }) {
			return nil, fmt.Errorf("%d: this is no OSV record: it has no id", at)
		}
		all = append(all, some...)
	}
}

// line is where that many bytes end.
func line(raw []byte, offset int64) int { return bytes.Count(raw[:offset], []byte("\n")) + 1 }

// fixes are what the record says of packages of Debian and Ubuntu.
func (r Record) fixes() []Fix {
	var all []Fix
	for _, a := range r.Affected {
		if system, _, _ := strings.Cut(a.Package.Ecosystem, ":"); system != "Debian" && system != "Ubuntu" {
			continue
		}
		for _, span := range a.Ranges {
			if span.Type != "ECOSYSTEM" {
				continue
			}
			from, open := "0", true // a range that says nothing of its begin has every version before its end
			for _, e := range span.Events {
				switch {
				case e.Introduced != "":
					from, open = e.Introduced, true
				case e.Fixed != "":
					all, open = append(all, fix(a.Package.Ecosystem, a.Package.Name, from, e.Fixed)), false
				}
			}
			if open {
				all = append(all, fix(a.Package.Ecosystem, a.Package.Name, from, ""))
			}
		}
	}
	return all
}

func fix(release, source, from, fixed string) Fix {
	if from == "0" {
		from = ""
	}
	return Fix{Release: release, Source: source, From: from, Fixed: fixed}
}

// told is what people read of it.
func (r Record) told() string {
	text, most := r.Summary, 160
	if strings.TrimSpace(text) == "" {
		text = r.Details
	}
	text = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) || unicode.IsSpace(r) {
			return r
		}
		return -1 // it goes to terminals, too
	}, text)
	text = strings.Join(strings.Fields(text), " ")
	if runes := []rune(text); len(runes) > most {
		text = string(runes[:most]) + "..."
	}
	return text
}
