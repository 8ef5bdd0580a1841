package inventory_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/rollpatch/rollpatch/inventory"
)

func TestLimit(t *testing.T) {
	for _, row := range []struct {
		text string
		of   int
		want int
	}{
		{"3", 10, 3},
		{"3", 1000, 3},
		{"5%", 10, 1},
		{"5%", 99, 4},
		{"3 or 5%", 10, 3},
		{"3 or 5%", 79, 3},
		{"3 or 5%", 80, 4},
		{"3 or 5%", 2500, 125},
		{"2 or 100%", 7, 7},
	} {
		var l inventory.Limit
		if err := l.UnmarshalText([]byte(row.text)); err != nil {
			t.Errorf("%s: %v", row.text, err)
			continue
		}
		if got := l.Of(row.of); got != row.want || l.String() != row.text {
			t.Errorf("%s of %d is %d, written %q; want %d", row.text, row.of, got, l, row.want)
		}
		raw, err := json.Marshal(l)
		var again inventory.Limit
		if err == nil {
			err = json.Unmarshal(raw, &again)
		}
		if err != nil || again != l {
			t.Errorf("%s through JSON is %s and %v, %v", row.text, raw, again, err)
		}
	}
}

func TestLimitsThatAreNone(t *testing.T) {
	for text, want := range map[string]string{
		"-1": "is no limit", "3 or 5": "is no limit", "5% or 3": "is no limit", "three": "is no limit", "": "is no limit", "0%": "is no limit",
		"3  or 5%": "is no limit", "101%": "is more than 100%", "3 or 101%": "is more than 100%",
	} {
		var l inventory.Limit
		if err := l.UnmarshalText([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is read as %v, %v; want %q", text, l, err, want)
		}
	}
}
