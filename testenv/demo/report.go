package demo

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"
)

// Report is what the demo found: of its good campaign, and of the bad one beside it.
type Report struct {
	Kind     string `json:"kind"` // of the hosts: real or sim
	Lacking  string `json:"lacking,omitempty"`
	Unproven string `json:"unproven,omitempty"`
	Act
	Bad *Act `json:"bad,omitempty"`
}

func (r Report) write(path string) error {
	raw, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(raw, '\n'), 0o644)
}

func (r Report) text() string {
	s := r.Act.text()
	if r.Bad != nil {
		s += r.Bad.text()
	}
	return s + legend
}

// legend is for whoever holds the table against what rollpatch prints.
const legend = "\nout of service: how long Consul did not list the member, which is what its users see. The `out` of\n" +
	"rollpatch status counts from the drain's begin to the undrain's end, and is longer.\n"

func (a Act) text() string {
	var b strings.Builder
	state := cmp.Or(a.Campaign.State, "unknown")
	fmt.Fprintf(&b, "\n%s is %s, exit status %d\n", cmp.Or(a.Campaign.Instance, "no campaign"), state, a.Campaign.Exit)
	if why := strings.TrimPrefix(a.Campaign.Reason, state+": "); why != state && why != "" {
		fmt.Fprintf(&b, "%s\n", why)
	}
	b.WriteString("\n")
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "member\tlab-web\tpackages changed\tdpkg log\tboot id\tout of service")
	for _, m := range a.Members {
		fmt.Fprintf(t, "%s\t%s\t%d of %d\t%d lines\t%s\t%.1f s\n", m.Host, change(m.labwebBefore, m.labwebAfter), m.changed(), m.Compared,
			m.DpkgLines, change(short(m.BootBefore), short(m.BootAfter)), m.SecondsOut)
	}
	_ = t.Flush() // into memory
	fmt.Fprintf(&b, "\n%d requests sent, %d failed, %.1f/s over %.0f s\n", a.Sent, a.Failed, a.Rate, a.Seconds)
	return b.String()
}

// change is a value before and after.
func change(before, after string) string {
	if before == after {
		return cmp.Or(before, "-")
	}
	return cmp.Or(before, "-") + " -> " + cmp.Or(after, "-")
}

// short is a boot id as people compare it.
func short(id string) string {
	first, _, _ := strings.Cut(id, "-")
	return first
}
