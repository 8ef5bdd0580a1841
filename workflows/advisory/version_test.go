package advisory_test

import (
	"fmt"
	"math/rand/v2"
	"os/exec"
	"strings"
	"testing"

	"github.com/rollpatch/rollpatch/workflows/advisory"
)

// versions are pairs whose first is lower, or the same where the row says so: as dpkg --compare-versions has it.
var versions = []struct{ low, relation, high string }{
	{"1.0", "lt", "1.1"},
	{"1.9", "lt", "1.10"},
	{"1.0", "eq", "1.0-0"},
	{"1.0", "eq", "0:1.0"},
	{"1.01", "eq", "1.1"},
	{"1.0", "eq", "1.0"},
	{"1.0~rc1", "lt", "1.0"},
	{"1.0~~", "lt", "1.0~"},
	{"1.0~", "lt", "1.0"},
	{"1.0", "lt", "1.0a"},
	{"1.0a", "lt", "1.0+"},
	{"1.0Z", "lt", "1.0a"},
	{"9.9", "lt", "1:0.1"},
	{"1:9.2p1-2+deb12u2", "lt", "1:9.2p1-2+deb12u3"},
	{"3.0.15-1~deb12u1", "lt", "3.0.17-1~deb12u3"},
	{"3.0.17-1~deb12u3", "lt", "3.0.17-1"},
	{"3.0.2-0ubuntu1.9", "lt", "3.0.2-0ubuntu1.18"},
	{"1.1.1f-1ubuntu2", "lt", "1.1.1f-1ubuntu2.24"},
	{"1.2.3-1", "lt", "1.2.3-1+b1"},
	{"1.2.3-1", "lt", "1.2.3-1.1"},
	{"2.36-9+deb12u10", "lt", "2.36-9+deb12u13"},
	{"1.0-1-2", "lt", "1.0-1-3"},
	{"7.3.000+hg~ee53a39d5896-1", "lt", "7.4.052-1ubuntu3"},
	{"5.15.0-100.110", "lt", "5.15.0-101.111"},
	{"1.0-1", "lt", "1.0.1-1"},
	{"1.0+dfsg-1", "lt", "1.0.1-1"},
	{"99999999999999999998", "lt", "99999999999999999999"},
}

func sign(n int) string { return map[bool]string{true: "lt", false: "gt"}[n < 0] }

func relation(a, b string) string {
	if n := advisory.Compare(a, b); n != 0 {
		return sign(n)
	}
	return "eq"
}

func TestCompare(t *testing.T) {
	opposite := map[string]string{"lt": "gt", "eq": "eq"}
	for _, v := range versions {
		if got := relation(v.low, v.high); got != v.relation {
			t.Errorf("%s %s %s, want %s", v.low, got, v.high, v.relation)
		}
		if got := relation(v.high, v.low); got != opposite[v.relation] {
			t.Errorf("%s %s %s, want %s", v.high, got, v.low, opposite[v.relation])
		}
	}
}

// dpkg is asked the same, about the table and about random versions that are nearly each other's.
func TestCompareIsAsDpkgDoes(t *testing.T) {
	dpkg, err := exec.LookPath("dpkg")
	if err != nil {
		t.Skip("dpkg is not installed")
	}
	var pairs [][2]string
	for _, v := range versions {
		pairs = append(pairs, [2]string{v.low, v.high}, [2]string{v.high, v.low})
	}
	seed := uint64(20261122)
	r := rand.New(rand.NewPCG(seed, seed))
	const letters = "0019aZ~+."
	part := func(n int) string {
		var b strings.Builder
		for range r.IntN(n) {
			b.WriteByte(letters[r.IntN(len(letters))])
		}
		return b.String()
	}
	one := func() string {
		v := fmt.Sprint(r.IntN(3)) + part(7)
		if r.IntN(3) == 0 {
			v = fmt.Sprint(r.IntN(2)) + ":" + v
		}
		if r.IntN(2) == 0 {
			v += "-" + fmt.Sprint(r.IntN(2)) + part(5)
		}
		return v
	}
	for range 150 {
		a := one()
		b := one()
		if at := r.IntN(len(a)); at > strings.IndexByte(a, ':') && r.IntN(2) == 0 { // the same but for one place, and no other epoch
			b = a[:at] + part(3) + a[at:]
		}
		pairs = append(pairs, [2]string{a, b})
	}
	var script strings.Builder
	for _, p := range pairs {
		// A version that begins with no digit is compared all the same, and warned of.
		fmt.Fprintf(&script, "if %[1]s --compare-versions '%[2]s' lt '%[3]s'; then echo lt; elif %[1]s --compare-versions '%[2]s' eq '%[3]s'; then echo eq; else echo gt; fi\n", dpkg, p[0], p[1])
	}
	cmd := exec.Command("sh")
	cmd.Stdin = strings.NewReader(script.String())
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	said := strings.Fields(string(out))
	if len(said) != len(pairs) {
		t.Fatalf("dpkg answered %d of %d", len(said), len(pairs))
	}
	for i, p := range pairs {
		if got := relation(p[0], p[1]); got != said[i] {
			t.Errorf("%s %s %s, and dpkg says %s", p[0], got, p[1], said[i])
		}
	}
}
