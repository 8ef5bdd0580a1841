package main

import (
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
	for _, e := range found {
		name := instanceOf(e)
		out = append(out, listed{Instance: name, Campaign: campaignOf(name), State: listState(e), Started: e.Started, Ended: e.Closed})
	}
	if err := p.result(out, func() {
		var rows []row
		for _, l := range out {
			rows = append(rows, row{word: l.State, cells: []string{l.Instance, l.State, stamp(l.Started), stamp(l.Ended)}})
		}
		p.table([]string{"instance", "state", "started", "ended"}, rows)
	}); err != nil {
		return err
	}
	if all > len(out) {
		d.note("%d of %d: --limit 0 lists all", len(out), all)
	}
	return nil
}

// listState is the instance's own word for its state, unless it was ended from outside and could not say so.
func listState(e status.Execution) string {
	switch {
	case e.State == "":
		return e.Status
	case e.Status != status.Running && (e.State == status.Running || e.State == status.Hold || e.State == string(rollout.PhaseGate)):
		return e.Status
	}
	return e.State
}
