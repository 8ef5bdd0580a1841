package signed

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// signer is one line of a file of allowed signers: a key, and who has it.
type signer struct {
	line       int
	principals []string
	key        []byte // as it travels
	authority  bool   // it signs the keys of others
	namespaces []string
	after      time.Time
	before     time.Time
}

// allowedSigners reads a file in the format of OpenSSH's allowed_signers, and says everything that is wrong with it. A line that cannot be
// read is never left out: nobody could tell whose key it was.
func allowedSigners(name string, raw []byte, zone *time.Location) ([]signer, error) {
	var all []signer
	var wrong []error
	for i, line := range lines(raw) {
		if line == "" {
			continue
		}
		s, err := signerOf(line, zone)
		if err != nil {
			wrong = append(wrong, fmt.Errorf("%s:%d: %w", name, i+1, err))
			continue
		}
		s.line = i + 1
		all = append(all, s)
	}
	return all, errors.Join(wrong...)
}

// lines are those of a file, by number, without comments.
func lines(raw []byte) []string {
	var out []string
	for _, l := range strings.Split(string(raw), "\n") {
		if l = strings.TrimSpace(l); strings.HasPrefix(l, "#") {
			l = ""
		}
		out = append(out, l)
	}
	return out
}

func signerOf(line string, zone *time.Location) (signer, error) {
	var s signer
	who, rest, err := word(line)
	if err != nil {
		return s, err
	}
	if s.principals = strings.Split(strings.Trim(who, `"`), ","); slices.Contains(s.principals, "") {
		return s, fmt.Errorf("%q is no list of names", who)
	}
	first, rest, err := word(rest)
	if err != nil {
		return s, err
	}
	if !isKeyType(first) {
		if err := s.options(first, zone); err != nil {
			return s, err
		}
		if first, rest, err = word(rest); err != nil {
			return s, err
		}
	}
	blob, _, err := word(rest)
	if err != nil {
		return s, err
	}
	s.key, err = publicKey(first, blob)
	return s, err
}

// word cuts the next word off a line; quotes hold spaces together.
func word(line string) (first, rest string, err error) {
	line = strings.TrimLeft(line, " \t")
	quoted := false
	for i, r := range line {
		switch {
		case r == '"':
			quoted = !quoted
		case !quoted && (r == ' ' || r == '\t'):
			return line[:i], line[i:], nil
		}
	}
	switch {
	case quoted:
		return "", "", errors.New("a quote has no end")
	case line == "":
		return "", "", errors.New("it is cut off: write <name> <type of key> <key>")
	}
	return line, "", nil
}

// isKeyType tells the type of a key from options.
func isKeyType(w string) bool {
	for _, prefix := range []string{"ssh-", "ecdsa-", "sk-", "webauthn-sk-", "rsa-"} {
		if strings.HasPrefix(w, prefix) {
			return true
		}
	}
	return false
}

// options honours what a line says of its key, and refuses what it does not know: it might narrow the key down.
func (s *signer) options(list string, zone *time.Location) error {
	for _, o := range commas(list) {
		name, value, given := strings.Cut(o, "=")
		value, quoted := strings.CutPrefix(value, `"`)
		if given && (!quoted || !strings.HasSuffix(value, `"`)) {
			return fmt.Errorf("option %s: its value belongs in quotes", name)
		}
		value = strings.TrimSuffix(value, `"`)
		var err error
		switch name = strings.ToLower(name); {
		case name == "cert-authority" && !given:
			s.authority = true
		case name == "namespaces" && value != "":
			s.namespaces = strings.Split(value, ",")
		case name == "valid-after" && given:
			s.after, err = instant(value, zone)
		case name == "valid-before" && given:
			s.before, err = instant(value, zone)
		default:
			err = errors.New("it is not known: write cert-authority, namespaces, valid-after or valid-before")
		}
		if err != nil {
			return fmt.Errorf("option %s: %w", name, err)
		}
	}
	if !s.after.IsZero() && !s.before.IsZero() && !s.before.After(s.after) {
		return errors.New("valid-before is not after valid-after: the key is never valid")
	}
	return nil
}

// commas cuts a list at its commas outside of quotes.
func commas(list string) []string {
	quoted := false
	return strings.FieldsFunc(list, func(r rune) bool {
		if r == '"' {
			quoted = !quoted
		}
		return r == ',' && !quoted
	})
}

// instant reads a time as OpenSSH writes it: in UTC with a Z, else in the worker's zone.
func instant(s string, zone *time.Location) (time.Time, error) {
	digits, utc := strings.CutSuffix(s, "Z")
	if utc {
		zone = time.UTC
	}
	for _, form := range []string{"20060102", "200601021504", "20060102150405"} {
		if len(form) == len(digits) {
			if t, err := time.ParseInLocation(form, digits, zone); err == nil {
				return t, nil
			}
		}
	}
	return time.Time{}, fmt.Errorf("%q is no time: write YYYYMMDD, YYYYMMDDHHMM or YYYYMMDDHHMMSS, with a Z for UTC", s)
}

// publicKey decodes a key and checks that it is of the type that stands before it.
func publicKey(kind, blob string) ([]byte, error) {
	raw, err := base64.StdEncoding.DecodeString(blob)
	if err != nil {
		return nil, fmt.Errorf("key %.40q is not base64", blob)
	}
	if len(raw) < 4 || uint64(binary.BigEndian.Uint32(raw)) > uint64(len(raw)-4) || !bytes.Equal(raw[4:4+binary.BigEndian.Uint32(raw)], []byte(kind)) {
		return nil, fmt.Errorf("key %.40q is not of type %s", blob, kind)
	}
	return raw, nil
}

// covers says that a list of patterns matches, as OpenSSH matches them: one that begins with ! takes back what others match. No list matches all.
func covers(patterns []string, s string) bool {
	yes := len(patterns) == 0
	for _, p := range patterns {
		p, not := strings.CutPrefix(strings.TrimSpace(p), "!")
		if like(p, s) {
			if not {
				return false
			}
			yes = true
		}
	}
	return yes
}

// like matches * with any letters and ? with one. It goes back to the last * only, so that no pattern takes long.
func like(pattern, s string) bool {
	star, from, p, i := -1, 0, 0, 0
	for i < len(s) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, from = p, i
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == s[i]):
			p, i = p+1, i+1
		case star >= 0:
			from++
			p, i = star+1, from
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}

// revokedKeys reads a file with one public key a line.
func revokedKeys(name string, raw []byte) (map[string]int, error) {
	if bytes.HasPrefix(raw, []byte("SSHKRL\n")) {
		return nil, fmt.Errorf("%s: it is a binary key revocation list, which is not read: list the public keys that are revoked, one a line", name)
	}
	keys := map[string]int{}
	var wrong []error
	for i, line := range lines(raw) {
		if line == "" {
			continue
		}
		f := strings.Fields(line)
		if len(f) < 2 {
			wrong = append(wrong, fmt.Errorf("%s:%d: it is no public key: write <type of key> <key>", name, i+1))
			continue
		}
		key, err := publicKey(f[0], f[1])
		if err != nil {
			wrong = append(wrong, fmt.Errorf("%s:%d: %w", name, i+1, err))
			continue
		}
		keys[string(key)] = i + 1
	}
	return keys, errors.Join(wrong...)
}
