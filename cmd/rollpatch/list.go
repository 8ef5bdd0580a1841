package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/rollpatch/rollpatch/cmd/internal/status"
	"github.com/rollpatch/rollpatch/workflows"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

func (d *desk) listCommand() *cli.Command {
	return &cli.Command{
		Name:  "list",
		Usage: "list instances, the latest first",
		Flags: join([]cli.Flag{
			&cli.IntFlag{Name: "limit", Aliases: []string{"n"}, Usage: "at most `N` of them; 0 means all", Value: 20},
		}, outputFlags(), serverFlags()),
		Action: d.list,
	}
}

// listed is one instance of a list.
type listed struct {
	Instance string    `json:"instance"`
	Campaign string    `json:"campaign"`
	State    string    `json:"state"`
	Waits    string    `json:"waits_for,omitempty"` // what does not come without a person
	Started  time.Time `json:"started"`
	Ended    time.Time `json:"ended,omitzero"`
}

func (d *desk) list(c *cli.Context) error {
	p, err := d.printer(c)
	if err != nil {
		return err
	}
	if err := atMost(c, 0); err != nil {
		return err
	}
	if c.Int("limit") < 0 {
		return usage("--limit is negative", "rollpatch list --help lists the flags")
	}
	srv, err := d.connect(c)
	if err != nil {
		return err
	}
	defer srv.Close()
	found, err := srv.List(c.Context, filter{kind: workflows.CampaignType})
	if err != nil {
		return err
	}
	all := len(found)
	if n := c.Int("limit"); n > 0 && all > n {
		found = found[:n]
	}
	out := make([]listed, 0, len(found))
	var unknown error
	for _, e := range found {
		name := instanceOf(e)
		l := listed{Instance: name, Campaign: campaignOf(name), State: listState(e), Started: e.Started, Ended: e.Closed}
		if e.Status == status.Running && unknown == nil { // nobody waits for each of them in turn where no worker is
			l.Waits, unknown = waitsFor(c.Context, srv, d.now, name)
		}
		out = append(out, l)
	}
	if err := p.result(out, func() {
		if len(out) == 0 {
			fmt.Fprintln(p.w, "no instance was ever started here")
			return
		}
		var rows []row
		for _, l := range out {
			rows = append(rows, row{word: l.State, cells: []string{l.Instance, l.State, dash(oneLine(l.Waits)), stamp(l.Started), stamp(l.Ended)}})
		}
		p.table([]string{"instance", "state", "waits for", "started", "ended"}, rows)
	}); err != nil {
		return err
	}
	if slices.ContainsFunc(found, func(e status.Execution) bool { return e.Status == status.Running }) {
		d.warnOfFreeze(c.Context, srv)
	}
	if unknown != nil {
		d.note("what they wait for is not known: %v", unknown)
	}
	if all > len(out) {
		d.note("%d of %d: --limit 0 lists all", len(out), all)
	}
	return nil
}

// waitsFor is what an instance waits for that does not come without a person, the first of it.
func waitsFor(ctx context.Context, srv server, now func() time.Time, instance string) (string, error) {
	s, err := (&status.Reader{Source: srv, Now: now}).Read(ctx, instance)
	if err != nil {
		return "", err
	}
	first, more := "", 0
	for _, a := range s.Awaits {
		switch {
		case !a.Person:
		case first != "":
			more++
		default:
			for _, of := range []string{a.Host, a.Cluster} {
				if of != "" {
					first = of + ": "
					break
				}
			}
			first += a.For
		}
	}
	if more > 0 {
		first += fmt.Sprintf(", and %d more", more)
	}
	return first, nil
}

// listState is the instance's own word for its state, unless it was ended from outside and could not say so.
func listState(e status.Execution) string {
	switch {
	case e.State == "":
		return e.Status
	case e.State == string(rollout.PhaseGate) && e.Status == status.Running: // what it waits for is told beside it
		return status.Running
	case e.Status != status.Running && (e.State == status.Running || e.State == status.Hold || e.State == string(rollout.PhaseGate)):
		return e.Status
	}
	return e.State
}
