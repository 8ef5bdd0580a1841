package activities

import (
	"reflect"
	"testing"

	"github.com/rollpatch/rollpatch/workflows/rollout"
)

func TestParsePulse(t *testing.T) {
	for _, row := range []struct {
		out  string
		want rollout.Pulse
		bad  bool
	}{
		{"boot\ta-b\nkilled\t4\ncrashes\tweb.service\t2\ncrashes\tdb.service\t0\n", rollout.Pulse{Boot: "a-b", Killed: 4, Crashes: []rollout.Crashes{{Unit: "web.service", N: 2}, {Unit: "db.service", N: 0}}}, false},
		{"boot\ta-b\nkilled\t\ncrashes\tweb.service\t\n", rollout.Pulse{Boot: "a-b"}, false},
		{"boot\t\nkilled\t0\n", rollout.Pulse{}, true},
		{"", rollout.Pulse{}, true},
	} {
		got, err := parsePulse([]byte(row.out))
		if (err != nil) != row.bad || !reflect.DeepEqual(got, row.want) {
			t.Errorf("%q: %+v, %v", row.out, got, err)
		}
	}
}
