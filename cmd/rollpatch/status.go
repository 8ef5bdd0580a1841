package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/rollpatch/rollpatch/cmd/internal/status"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

func (d *desk) statusCommand() *cli.Command {
	return &cli.Command{
		Name:      "status",
		Usage:     "say how an instance stands, and what to type next",
		ArgsUsage: "[CAMPAIGN|INSTANCE]",
		Flags: join([]cli.Flag{
			&cli.BoolFlag{Name: "packages", Usage: "list the packages of each member"},
		}, d.storeFlags(), outputFlags(), serverFlags()),
		Action: d.status,
	}
}

func (d *desk) status(c *cli.Context) error {
	p, srv, instance, err := d.meant(c)
	if err != nil {
		return err
	}
	defer srv.Close()
	r, err := d.reader(c, srv)
	if err != nil {
		return err
	}
	s, err := r.Read(c.Context, instance)
	if err != nil {
		return err
	}
	if err := p.result(s, func() { p.status(s, c.Bool("packages")) }); err != nil {
		return err
	}
	if !s.Over() { // its members ask for it before their drain: until then nothing else says so
		d.warnOfFreeze(c.Context, srv)
	}
	return nil
}

// status prints an instance: its clusters, their members, what it waits for.
func (p printer) status(s status.Status, packages bool) {
	fmt.Fprintf(p.w, "%s: %s\n", s.Instance, p.paint(s.State, s.State))
	fmt.Fprintf(p.w, "%s%s, requested by %s, started %s", s.Why, inBrackets(s.Ticket), dash(s.Requester), dash(stamp(s.Started)))
	if s.Change != "" {
		fmt.Fprintf(p.w, ", change %s", s.Change)
	}
	if !s.Ended.IsZero() {
		fmt.Fprintf(p.w, ", ended %s", stamp(s.Ended))
	}
	fmt.Fprintln(p.w)
	if s.Emergency != "" {
		fmt.Fprintf(p.w, "an emergency, for %s\n", s.Emergency)
	}
	for _, a := range s.Advisories {
		fmt.Fprintln(p.w, a)
	}
	if s.Reason != "" && s.Reason != s.State {
		fmt.Fprintln(p.w, s.Reason)
	}
	if n := len(s.Overrides); n > 0 {
		fmt.Fprintf(p.w, "%s, %d in force: rollpatch report %s lists them\n", many(n, "override"), s.InForce(), s.Instance)
	}
	var clusters, members, changes []row
	for _, st := range s.Stages {
		for _, cl := range st.Clusters {
			clusters = append(clusters, row{word: cl.State, cells: []string{st.Name, cl.Name, words(cl.State), fmt.Sprintf("%d of %d", cl.Done, cl.Total), stamp(cl.Since), cl.Reason}})
			for _, m := range cl.Members {
				members = append(members, row{word: m.State, cells: []string{cl.Name, m.Host, memberState(m), stepWord(m.Step), count(m.Count), out(m.OutSeconds), rebooted(m), m.Reason}})
				for _, ch := range m.Packages {
					changes = append(changes, row{cells: []string{m.Host, ch.Name, ch.Old, ch.New}})
				}
			}
		}
	}
	fmt.Fprintln(p.w)
	p.table([]string{"stage", "cluster", "state", "members", "since", "why"}, clusters)
	if len(members) > 0 {
		fmt.Fprintln(p.w)
		p.table([]string{"cluster", "host", "state", "step", "packages", "out", "rebooted", "why"}, members)
	}
	if packages && len(changes) > 0 {
		fmt.Fprintln(p.w)
		p.table([]string{"host", "package", "old", "new"}, changes)
	}
	p.awaits(s.Awaits)
}

// awaits prints what is waited for, and what may be typed.
func (p printer) awaits(awaits []status.Await) {
	for _, a := range awaits {
		fmt.Fprintf(p.w, "\n%s\n", strings.Join(awaited(a), "\n"))
	}
}

func memberState(m status.Member) string {
	s := words(m.State)
	if m.State == status.OnItsWay && m.Mode != "" {
		s = m.Mode + " on its way"
	}
	if m.Held {
		s += ", held"
	}
	if m.Canary {
		s += ", canary"
	}
	return s
}

func rebooted(m status.Member) string {
	switch {
	case m.BootOld == "":
		return ""
	case m.Rebooted:
		return "yes"
	}
	return "no"
}

// asking is the gate of a member as people read it: in a cluster, that word is for the gate that waits for a person.
const asking = "asking"

// stepWord is a member's step, or what came of the member, as people read it.
func stepWord(step string) string {
	if step == string(rollout.StepGate) {
		return asking
	}
	return words(step)
}

// words are a state as people read it.
func words(state string) string {
	switch state {
	case status.NotBegun, status.OnItsWay, status.NotTouched, status.NotTriedAgain:
		return strings.ReplaceAll(state, "-", " ")
	}
	return state
}

func count(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}

func out(seconds float64) string {
	if seconds == 0 {
		return ""
	}
	return time.Duration(seconds * float64(time.Second)).Round(100 * time.Millisecond).String()
}
