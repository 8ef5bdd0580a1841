package inventory

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
)

// Budget is how many members may be out of service at once: a number, or a percent of the cluster. The zero value is unset.
type Budget struct {
	Number  int
	Percent int
}

var budgetText = regexp.MustCompile(`^([1-9][0-9]{0,8})(%?)$`)

// Of is the budget of a cluster of that size. A percent rounds down, because rounding up would take out more than was allowed; but one
// that rounds to nothing counts as one, because with nothing no member could ever be patched.
func (b Budget) Of(size int) int {
	if b.Percent == 0 {
		return b.Number
	}
	return max(1, size*b.Percent/100)
}

// IsZero reports whether the budget is unset.
func (b Budget) IsZero() bool { return b == Budget{} }

// String writes the budget as the file does: 2, or 25%.
func (b Budget) String() string {
	if b.Percent != 0 {
		return fmt.Sprintf("%d%%", b.Percent)
	}
	return strconv.Itoa(b.Number)
}

// UnmarshalText implements [encoding.TextUnmarshaler].
func (b *Budget) UnmarshalText(text []byte) error {
	m := budgetText.FindStringSubmatch(string(text))
	if m == nil {
		return fmt.Errorf("%q is no budget: write a number from 1, or a percent such as 25%%", text)
	}
	n, err := strconv.Atoi(m[1])
	if err != nil {
		return fmt.Errorf("%q: %w", text, err)
	}
	if m[2] == "" {
		*b = Budget{Number: n}
		return nil
	}
	if n > 100 {
		return fmt.Errorf("%q is more than 100%%", text)
	}
	*b = Budget{Percent: n}
	return nil
}

// MarshalJSON writes a number as a number and a percent as text.
func (b Budget) MarshalJSON() ([]byte, error) {
	if b.Percent != 0 {
		return []byte(strconv.Quote(b.String())), nil
	}
	return []byte(b.String()), nil
}

// UnmarshalJSON reads what MarshalJSON writes; the number of an unset budget is 0.
func (b *Budget) UnmarshalJSON(raw []byte) error {
	text := string(raw)
	if text == "0" || text == "null" {
		*b = Budget{}
		return nil
	}
	if len(text) >= 2 && text[0] == '"' {
		var err error
		if text, err = strconv.Unquote(text); err != nil {
			return errors.New("a budget is a number or a percent")
		}
	}
	return b.UnmarshalText([]byte(text))
}

// MarshalYAML writes a number as a number and a percent as text.
func (b Budget) MarshalYAML() (any, error) {
	if b.Percent != 0 {
		return b.String(), nil
	}
	return b.Number, nil
}
