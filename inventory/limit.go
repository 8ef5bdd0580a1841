package inventory

import (
	"fmt"
	"regexp"
	"strconv"
)

// Limit is how much of something is too much: a number, a percent of all there is, or the larger one of both. The zero value is unset.
type Limit struct {
	Number  int
	Percent int
}

var limitText = regexp.MustCompile(`^(?:([1-9][0-9]{0,8})|([1-9][0-9]{0,2})%|([1-9][0-9]{0,8}) or ([1-9][0-9]{0,2})%)$`)

// Of is the limit where there are so many. A percent rounds down, to 1 at least: to stop early costs a question, to stop late costs hosts.
func (l Limit) Of(all int) int { return max(l.Number, all*l.Percent/100, 1) }

// IsZero reports whether the limit is unset.
func (l Limit) IsZero() bool { return l == Limit{} }

// String writes the limit as the file does: 3, 5%, or 3 or 5%.
func (l Limit) String() string {
	switch {
	case l.Percent == 0:
		return strconv.Itoa(l.Number)
	case l.Number == 0:
		return fmt.Sprintf("%d%%", l.Percent)
	}
	return fmt.Sprintf("%d or %d%%", l.Number, l.Percent)
}

// MarshalText implements [encoding.TextMarshaler], for JSON and YAML alike.
func (l Limit) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler]. The 0 of an unset limit is read as well.
func (l *Limit) UnmarshalText(text []byte) error {
	if string(text) == "0" {
		*l = Limit{}
		return nil
	}
	m := limitText.FindStringSubmatch(string(text))
	if m == nil {
		return fmt.Errorf("%q is no limit: write a number from 1, a percent such as 5%%, or both, such as 3 or 5%%, of which the larger one counts", text)
	}
	var read Limit
	for i, digits := range m[1:] {
		if digits == "" {
			continue
		}
		n, err := strconv.Atoi(digits)
		if err != nil {
			return fmt.Errorf("%q: %w", text, err)
		}
		if i%2 == 0 {
			read.Number = n
			continue
		}
		if read.Percent = n; n > 100 {
			return fmt.Errorf("%q is more than 100%%", text)
		}
	}
	*l = read
	return nil
}
