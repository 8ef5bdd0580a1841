package ansible

import (
	"errors"
	"strings"
)

// split cuts a line into words as Python's shlex does, which is what people test their quotes with: # begins a remark wherever it stands unquoted.
func split(line string) ([]string, error) {
	var (
		out   []string
		word  strings.Builder
		began bool
	)
	end := func() {
		if began {
			out = append(out, word.String())
		}
		word.Reset()
		began = false
	}
	letters := []rune(line)
	for i := 0; i < len(letters); i++ {
		switch r := letters[i]; r {
		case ' ', '\t', '\r', '\n':
			end()
		case '#':
			end()
			return out, nil
		case '\\':
			if i++; i == len(letters) {
				return nil, errors.New("ends with a backslash that quotes nothing")
			}
			word.WriteRune(letters[i])
			began = true
		case '\'', '"':
			began = true
			closed := false
			for i++; i < len(letters) && !closed; i++ {
				switch l := letters[i]; {
				case l == r:
					closed = true
					i--
				case l == '\\' && r == '"' && i+1 < len(letters):
					if i++; letters[i] != '\\' && letters[i] != '"' {
						word.WriteRune('\\')
					}
					word.WriteRune(letters[i])
				default:
					word.WriteRune(l)
				}
			}
			if !closed {
				return nil, errors.New("has a quote that is not closed")
			}
		default:
			word.WriteRune(r)
			began = true
		}
	}
	end()
	return out, nil
}
