package ansible

import (
	"errors"
	"math/big"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

var errLiteral = errors.New("no literal of Python's")

var (
	decimalForm = regexp.MustCompile(`^(?:[1-9](?:_?[0-9])*|0(?:_?0)*)$`)
	basedForm   = regexp.MustCompile(`^0(?:[xX](?:_?[0-9a-fA-F])+|[oO](?:_?[0-7])+|[bB](?:_?[01])+)$`)
	floatForm   = regexp.MustCompile(`^(?:(?:[0-9](?:_?[0-9])*)?\.[0-9](?:_?[0-9])*|[0-9](?:_?[0-9])*\.|[0-9](?:_?[0-9])*[eE][+-]?[0-9](?:_?[0-9])*|(?:(?:[0-9](?:_?[0-9])*)?\.[0-9](?:_?[0-9])*|[0-9](?:_?[0-9])*\.)[eE][+-]?[0-9](?:_?[0-9])*)$`)
	numberLike  = regexp.MustCompile(`^(?:[0-9.][0-9a-zA-Z_.]*(?:[eE][+-]?[0-9_]+)?)`)
)

// literal is what Ansible makes of a value in an INI file: what reads as a literal of Python's is one, a number, a list, None; all else is text.
func literal(text string) any {
	p := &pythonReader{rest: strings.TrimLeft(text, " \t")}
	v, err := p.value(0)
	if err != nil {
		return text
	}
	if p.space(); p.rest != "" && p.rest[0] == ',' { // 1, 2 is a tuple
		all := []any{v}
		for p.rest != "" && p.rest[0] == ',' {
			p.rest = p.rest[1:]
			if p.space(); p.rest == "" || p.rest[0] == '#' {
				break
			}
			if v, err = p.value(0); err != nil {
				return text
			}
			all = append(all, v)
			p.space()
		}
		v = all
	}
	if p.rest != "" && p.rest[0] != '#' {
		return text
	}
	return v
}

type pythonReader struct{ rest string }

func (p *pythonReader) space() { p.rest = strings.TrimLeft(p.rest, " \t") }

func (p *pythonReader) word(w string) bool {
	if !strings.HasPrefix(p.rest, w) {
		return false
	}
	if next, _ := utf8.DecodeRuneInString(p.rest[len(w):]); next != utf8.RuneError && (next == '_' || next >= '0' && next <= '9' || next >= 'a' && next <= 'z' || next >= 'A' && next <= 'Z' || next > 127) {
		return false
	}
	p.rest = p.rest[len(w):]
	return true
}

func (p *pythonReader) value(depth int) (any, error) {
	p.space()
	if p.rest == "" || depth > 50 {
		return nil, errLiteral
	}
	switch c := p.rest[0]; {
	case p.word("True"):
		return true, nil
	case p.word("False"):
		return false, nil
	case p.word("None"):
		return nil, nil
	case c == '[':
		return p.list(']', depth)
	case c == '(':
		return p.tuple(depth)
	case c == '{':
		return p.dict(depth)
	case c == '+' || c == '-':
		p.rest = p.rest[1:]
		p.space()
		n, err := p.number()
		if err != nil || c == '+' {
			return n, err
		}
		return negative(n), nil
	case c >= '0' && c <= '9' || c == '.':
		return p.number()
	}
	return p.strings()
}

func negative(n any) any {
	switch n := n.(type) {
	case int64:
		return -n
	case float64:
		return -n
	case *big.Int:
		return new(big.Int).Neg(n)
	}
	return n
}

func (p *pythonReader) number() (any, error) {
	text := numberLike.FindString(p.rest)
	plain := strings.ReplaceAll(text, "_", "")
	switch {
	case decimalForm.MatchString(text):
		p.rest = p.rest[len(text):]
		return whole(strings.TrimLeft(plain, "0"), 10)
	case basedForm.MatchString(text):
		p.rest = p.rest[len(text):]
		return whole(strings.ToLower(plain), 0)
	case floatForm.MatchString(text):
		f, err := strconv.ParseFloat(plain, 64)
		if err != nil { // larger than any: infinite, which no inventory means
			return nil, errLiteral
		}
		p.rest = p.rest[len(text):]
		return f, nil
	}
	return nil, errLiteral
}

// whole reads digits; none are 0.
func whole(digits string, base int) (any, error) {
	if digits == "" {
		return int64(0), nil
	}
	n, ok := new(big.Int).SetString(digits, base)
	switch {
	case !ok:
		return nil, errLiteral
	case n.IsInt64():
		return n.Int64(), nil
	}
	return n, nil
}

// items reads values up to the closing letter.
func (p *pythonReader) items(end byte, depth int) (out []any, commas int, err error) {
	p.rest = p.rest[1:]
	out = []any{}
	for {
		if p.space(); p.rest == "" {
			return nil, 0, errLiteral
		}
		if p.rest[0] == end {
			p.rest = p.rest[1:]
			return out, commas, nil
		}
		if len(out) > commas {
			return nil, 0, errLiteral
		}
		v, err := p.value(depth + 1)
		if err != nil {
			return nil, 0, err
		}
		out = append(out, v)
		if p.space(); p.rest != "" && p.rest[0] == ',' {
			p.rest = p.rest[1:]
			commas++
		}
	}
}

func (p *pythonReader) list(end byte, depth int) (any, error) {
	out, _, err := p.items(end, depth)
	if err != nil {
		return nil, err
	}
	return out, nil
}

// tuple is one, or a value in parentheses.
func (p *pythonReader) tuple(depth int) (any, error) {
	out, commas, err := p.items(')', depth)
	switch {
	case err != nil:
		return nil, err
	case len(out) == 1 && commas == 0:
		return out[0], nil
	}
	return out, nil
}

func (p *pythonReader) dict(depth int) (any, error) {
	p.rest = p.rest[1:]
	out := map[string]any{}
	for first := true; ; first = false {
		if p.space(); p.rest != "" && !first {
			if p.rest[0] == ',' {
				p.rest = p.rest[1:]
				p.space()
			} else if p.rest[0] != '}' {
				return nil, errLiteral
			}
		}
		if p.rest == "" {
			return nil, errLiteral
		}
		if p.rest[0] == '}' {
			p.rest = p.rest[1:]
			return out, nil
		}
		k, err := p.value(depth + 1)
		if err != nil {
			return nil, err
		}
		key, ok := keyText(k)
		if p.space(); !ok || p.rest == "" || p.rest[0] != ':' {
			return nil, errLiteral
		}
		p.rest = p.rest[1:]
		v, err := p.value(depth + 1)
		if err != nil {
			return nil, err
		}
		out[key] = v
	}
}

// strings reads one or more texts in quotes, which count as one.
func (p *pythonReader) strings() (any, error) {
	var out strings.Builder
	for n := 0; ; n++ {
		p.space()
		raw := false
		if len(p.rest) > 1 && strings.ContainsRune("rRuU", rune(p.rest[0])) && (p.rest[1] == '\'' || p.rest[1] == '"') {
			raw = p.rest[0] == 'r' || p.rest[0] == 'R'
			p.rest = p.rest[1:]
		}
		if p.rest == "" || p.rest[0] != '\'' && p.rest[0] != '"' {
			if n == 0 {
				return nil, errLiteral
			}
			return out.String(), nil
		}
		if err := p.quoted(&out, raw); err != nil {
			return nil, err
		}
	}
}

func (p *pythonReader) quoted(out *strings.Builder, raw bool) error {
	quote := p.rest[:1]
	if triple := strings.Repeat(quote, 3); strings.HasPrefix(p.rest, triple) {
		quote = triple
	}
	p.rest = p.rest[len(quote):]
	for {
		switch {
		case p.rest == "":
			return errLiteral
		case strings.HasPrefix(p.rest, quote):
			p.rest = p.rest[len(quote):]
			return nil
		case p.rest[0] != '\\':
			out.WriteByte(p.rest[0])
			p.rest = p.rest[1:]
		case len(p.rest) < 2:
			return errLiteral
		case raw:
			out.WriteString(p.rest[:2])
			p.rest = p.rest[2:]
		default:
			if err := p.escape(out); err != nil {
				return err
			}
		}
	}
}

var escapes = map[byte]string{'\\': "\\", '\'': "'", '"': "\"", 'a': "\a", 'b': "\b", 'f': "\f", 'n': "\n", 'r': "\r", 't': "\t", 'v': "\v"}

func (p *pythonReader) escape(out *strings.Builder) error {
	c := p.rest[1]
	if s, ok := escapes[c]; ok {
		out.WriteString(s)
		p.rest = p.rest[2:]
		return nil
	}
	if width := map[byte]int{'x': 2, 'u': 4, 'U': 8}[c]; width > 0 {
		if len(p.rest) < 2+width {
			return errLiteral
		}
		n, err := strconv.ParseUint(p.rest[2:2+width], 16, 32)
		if err != nil || n > utf8.MaxRune {
			return errLiteral
		}
		out.WriteRune(rune(n))
		p.rest = p.rest[2+width:]
		return nil
	}
	if c >= '0' && c <= '7' {
		n, i := 0, 1
		for ; i < len(p.rest) && i < 4 && p.rest[i] >= '0' && p.rest[i] <= '7'; i++ {
			n = n*8 + int(p.rest[i]-'0')
		}
		out.WriteRune(rune(n))
		p.rest = p.rest[i:]
		return nil
	}
	out.WriteString(p.rest[:2]) // Python keeps what it does not know
	p.rest = p.rest[2:]
	return nil
}

// keyText is how JSON writes a key.
func keyText(k any) (string, bool) {
	switch k := k.(type) {
	case string:
		return k, true
	case bool:
		return strconv.FormatBool(k), true
	case nil:
		return "null", true
	case int64:
		return strconv.FormatInt(k, 10), true
	case *big.Int:
		return k.String(), true
	case float64:
		return strconv.FormatFloat(k, 'g', -1, 64), true
	}
	return "", false
}

// integer is a whole number, also one that is written as text.
func integer(v any) (int, bool) {
	switch v := v.(type) {
	case int64:
		return int(v), true
	case string:
		n, err := strconv.Atoi(strings.TrimSpace(v))
		return n, err == nil
	}
	return 0, false
}
