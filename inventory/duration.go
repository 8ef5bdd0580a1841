package inventory

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Duration is a length of time whose text carries its units: 90s, 15m, 24h, 2d, 1h30m. A day is 24 hours.
type Duration time.Duration

const day = 24 * time.Hour

var units = []struct {
	suffix string
	size   time.Duration
}{{"ms", time.Millisecond}, {"d", day}, {"h", time.Hour}, {"m", time.Minute}, {"s", time.Second}}

// String writes the duration with the largest unit that loses nothing; one day stays 24h, as people write soaks.
func (d Duration) String() string {
	t := time.Duration(d)
	switch {
	case t == 0:
		return "0s"
	case t%day == 0 && (t > day || t < -day):
		return fmt.Sprintf("%dd", t/day)
	case t%time.Hour == 0:
		return fmt.Sprintf("%dh", t/time.Hour)
	case t%time.Minute == 0:
		return fmt.Sprintf("%dm", t/time.Minute)
	case t%time.Second == 0:
		return fmt.Sprintf("%ds", t/time.Second)
	case t%time.Millisecond == 0:
		return fmt.Sprintf("%dms", t/time.Millisecond)
	default:
		return t.String()
	}
}

// MarshalText implements [encoding.TextMarshaler], for JSON and YAML alike.
func (d Duration) MarshalText() ([]byte, error) {
	if time.Duration(d)%time.Millisecond != 0 {
		return nil, fmt.Errorf("%s is finer than a millisecond", time.Duration(d))
	}
	return []byte(d.String()), nil
}

// UnmarshalText implements [encoding.TextUnmarshaler]. Zero is read; whether it means anything is for the key to say.
func (d *Duration) UnmarshalText(text []byte) error {
	whole := string(text)
	rest := whole
	if strings.HasPrefix(rest, "-") {
		return fmt.Errorf("%q is negative: write a length of time such as 90s, 15m, 24h or 2d", whole)
	}
	wrong := fmt.Errorf("%q is no length of time: write whole numbers with units, such as 90s, 15m, 24h or 2d", whole)
	if rest == "" {
		return wrong
	}
	var sum time.Duration
	for rest != "" {
		digits := len(rest) - len(strings.TrimLeft(rest, "0123456789"))
		if digits == 0 {
			return wrong
		}
		n, err := strconv.ParseInt(rest[:digits], 10, 64)
		if err != nil {
			return fmt.Errorf("%q is too long", whole)
		}
		if rest = rest[digits:]; rest == "" {
			return fmt.Errorf("%q has no unit: write %ss, %sm, %sh or %sd", whole, whole, whole, whole, whole)
		}
		size := time.Duration(0)
		for _, u := range units {
			if strings.HasPrefix(rest, u.suffix) {
				size, rest = u.size, rest[len(u.suffix):]
				break
			}
		}
		if size == 0 {
			return wrong
		}
		if n > (math.MaxInt64-int64(sum))/int64(size) {
			return fmt.Errorf("%q is too long", whole)
		}
		sum += time.Duration(n) * size
	}
	*d = Duration(sum)
	return nil
}
