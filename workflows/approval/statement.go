package approval

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// heading begins every statement; another number is another form.
const heading = "rollpatch approval 1"

// Statement is what a person signs. Its text is canonical: lines in one order, the same for the same words.
type Statement struct {
	Decision Decision
	Campaign string
	Instance string   // empty: given ahead of a start, for any instance of exactly this plan
	Plan     string   // digest
	Gates    []string // that it is for
	WhenPass bool     // valid only if the soak passes without a finding
	Reason   string
	At       time.Time
	Expires  time.Time
	Nonce    string
}

// Limits of a statement.
const (
	reasonMax = 1000
	nonceMin  = 16
	textMax   = 256 << 10
	// Skew is how far a person's clock may be ahead of ours.
	Skew = 5 * time.Minute
)

// Text is what is signed.
func (s Statement) Text() string {
	var b strings.Builder
	line := func(key, value string) { b.WriteString(key + ": " + value + "\n") }
	b.WriteString(heading + "\n")
	line("decision", string(s.Decision))
	line("campaign", s.Campaign)
	if s.Instance != "" {
		line("instance", s.Instance)
	}
	line("plan", s.Plan)
	for _, g := range s.Gates {
		line("gate", g)
	}
	if s.WhenPass {
		line("condition", "when-pass")
	}
	line("reason", s.Reason)
	line("at", stamp(s.At))
	line("expires", stamp(s.Expires))
	line("nonce", s.Nonce)
	return b.String()
}

// Digest names the statement.
func (s Statement) Digest() string {
	sum := sha256.Sum256([]byte(s.Text()))
	return "sha256:" + hex.EncodeToString(sum[:])
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// Check says what is wrong with the form of a statement.
func (s Statement) Check() error {
	var wrong []error
	add := func(format string, args ...any) { wrong = append(wrong, fmt.Errorf("statement: "+format, args...)) }
	switch s.Decision {
	case Approve, Reject, Request:
	default:
		add("decision %q: write approve, reject or request", s.Decision)
	}
	for _, f := range []struct{ key, value string }{{"campaign", s.Campaign}, {"plan", s.Plan}, {"reason", s.Reason}, {"nonce", s.Nonce}} {
		if f.value == "" {
			add("%s is missing", f.key)
		}
	}
	if len(s.Gates) == 0 {
		add("gate is missing")
	}
	seen := map[string]bool{}
	for _, g := range s.Gates {
		if seen[g] {
			add("gate %q stands there twice", g)
		}
		seen[g] = true
	}
	for _, f := range append([]string{s.Campaign, s.Instance, s.Plan, s.Reason, s.Nonce}, s.Gates...) {
		if !oneLine(f) {
			add("%.80q is not one line of plain text", f)
		}
	}
	if len(s.Reason) > reasonMax {
		add("reason: %d bytes, at most %d", len(s.Reason), reasonMax)
	}
	if s.Nonce != "" && len(s.Nonce) < nonceMin {
		add("nonce %q: at least %d characters, chosen at random", s.Nonce, nonceMin)
	}
	if s.At.IsZero() || s.Expires.IsZero() || !s.Expires.After(s.At) {
		add("expires %s is not after at %s", stamp(s.Expires), stamp(s.At))
	}
	if s.WhenPass && s.Decision != Approve {
		add("condition when-pass is for approve only")
	}
	return errors.Join(wrong...)
}

// oneLine says that a value can stand on a line as it is, and that no terminal shows it otherwise.
func oneLine(s string) bool {
	return utf8.ValidString(s) && strings.TrimSpace(s) == s && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}

// Parse reads a statement back. Only the canonical text is one: nothing may hide between its lines.
func Parse(text string) (Statement, error) {
	var s Statement
	all, err := fieldsOf(text, heading)
	if err != nil {
		return s, err
	}
	for _, f := range all {
		key, value := f.key, f.value
		switch key {
		case "decision":
			s.Decision = Decision(value)
		case "campaign":
			s.Campaign = value
		case "instance":
			s.Instance = value
		case "plan":
			s.Plan = value
		case "gate":
			s.Gates = append(s.Gates, value)
		case "condition":
			s.WhenPass = value == "when-pass"
		case "reason":
			s.Reason = value
		case "at":
			s.At, err = time.Parse(time.RFC3339, value)
		case "expires":
			s.Expires, err = time.Parse(time.RFC3339, value)
		case "nonce":
			s.Nonce = value
		default:
			return s, fmt.Errorf("statement: %.80q is no line of one", key+": "+value)
		}
		if err != nil {
			return s, fmt.Errorf("statement: %s: %w", key, err)
		}
	}
	if err := s.Check(); err != nil {
		return s, err
	}
	if s.Text() != text {
		return s, errors.New("statement: it is not in the form in which rollpatch writes it: order of lines, times in UTC with seconds, a newline at the end")
	}
	return s, nil
}

// field is one line of what is signed.
type field struct{ key, value string }

// fieldsOf takes what is signed apart, below the heading of its form.
func fieldsOf(text, heading string) ([]field, error) {
	if len(text) > textMax {
		return nil, fmt.Errorf("statement: %d bytes, at most %d", len(text), textMax)
	}
	head, rest, _ := strings.Cut(text, "\n")
	if head != heading {
		return nil, fmt.Errorf("statement: it begins with %.60q, not with %q", head, heading)
	}
	var all []field
	for _, l := range strings.Split(strings.TrimSuffix(rest, "\n"), "\n") {
		key, value, ok := strings.Cut(l, ": ")
		if !ok {
			return nil, fmt.Errorf("statement: %.80q is no line of one", l)
		}
		all = append(all, field{key, value})
	}
	return all, nil
}

// Signed is a statement as it travels: its text, and the armoured signature over it.
type Signed struct {
	Statement string `json:"statement"`
	Signature string `json:"signature,omitempty"`
}

// Record is both as they go on the audit chain: with that and the keys' file anybody can check them later.
func (s Signed) Record() string {
	if s.Signature == "" {
		return s.Statement
	}
	return s.Statement + strings.TrimRight(s.Signature, "\n") + "\n"
}

// Unsigned is the statement of a word that nobody signed, such as one from Temporal's UI, at this gate. Its id stands in for a nonce.
func (g Gate) Unsigned(d Decision, reason, id string, now time.Time) Statement {
	return Statement{
		Decision: d, Campaign: g.Campaign, Instance: g.Instance, Plan: g.Plan, Gates: []string{g.ID}, Reason: OneLine(reason),
		At: now.Truncate(time.Second), Expires: now.Truncate(time.Second).Add(UnsignedFor), Nonce: "unsigned request " + OneLine(id),
	}
}

// UnsignedFor is how long a word counts that nobody signed.
const UnsignedFor = 24 * time.Hour

// OneLine is text as a statement can hold it: on one line, without what a terminal might show as something else, and not too long.
func OneLine(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case r == utf8.RuneError || !unicode.IsPrint(r):
			return -1
		}
		return r
	}, s)
	if len(s) > reasonMax {
		s = strings.ToValidUTF8(s[:reasonMax], "")
	}
	return strings.TrimSpace(s)
}
