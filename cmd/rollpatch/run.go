package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/rollpatch/rollpatch/activities/store"
	"github.com/rollpatch/rollpatch/workflows"
	"github.com/rollpatch/rollpatch/workflows/approval"
	"github.com/rollpatch/rollpatch/workflows/plan"
)

func (d *desk) runCommand() *cli.Command {
	return &cli.Command{
		Name:      "run",
		Usage:     "start an instance of a campaign, and watch it",
		ArgsUsage: "CAMPAIGN.yaml",
		Description: "Does what plan prints; with --plan, what was saved and approved, in newer versions where the repositories have them by then. The instance goes on without this command: Ctrl-C ends the watching only.\n" +
			"Ends with 0 when it is done, with 3 when it halted or nothing moves without a person.",
		Flags: join(inventoryFlags(), []cli.Flag{
			&cli.PathFlag{Name: "plan", Usage: "run the plan of `FILE`, as plan --save wrote it"},
			emergencyFlag(), packageFlag(), advisoryFlag(), advisoriesFlag(),
			&cli.BoolFlag{Name: "detach", Aliases: []string{"d"}, Usage: "start it and return"},
			asFlag(),
		}, leftoverFlags(), signFlags(), d.storeFlags(), outputFlags(), serverFlags()),
		Action: d.start,
	}
}

// started is an instance that was started.
type started struct {
	Instance string `json:"instance"`
	Workflow string `json:"workflow"`
	Plan     string `json:"plan"`
}

func (d *desk) start(c *cli.Context) error {
	p, m, err := d.planned(c)
	if err != nil {
		return err
	}
	pl, parts := m.plan, m.parts
	var answers []plan.Answer
	switch path := c.Path("plan"); {
	case path != "": // plan looked for what it names when it was saved
		saved, err := d.saved(c, path, m)
		if err != nil {
			return err
		}
		pl, parts, answers = saved.Plan, saved.Parts, saved.Answers
	case len(pl.Emergency) > 0:
		if pl, parts, err = d.lookFor(c, m); err != nil {
			return err
		}
	}
	dates, err := d.datesFrom(c.Context, d.secrets(), pl, parts, answers, d.now().UTC(), time.Time{})
	if err != nil {
		return err
	}
	if err := lateness(refused(pl), dates); err != nil {
		return err
	}
	folder, err := d.storeFolder(c.Path("store"))
	if err != nil {
		return err
	}
	srv, err := d.connect(c)
	if err != nil {
		return err
	}
	defer srv.Close()
	if err := keep(c.Context, folder, pl, parts); err != nil {
		return failed(err, "--store DIR names another")
	}
	now := d.now()
	st := workflows.CampaignState{Campaign: pl.Campaign(pl.Instance(now), d.actor(c), now.UTC()), Tell: len(pl.Notify) > 0, Agreement: pl.Agreement}
	if st.Request, err = d.request(c, pl, st); err != nil {
		return err
	}
	switch err := srv.Start(c.Context, st); {
	case errors.Is(err, errTaken):
		return failed(fmt.Errorf("%s was started before, in this very second, and nothing was started now: instances are named after the second of their start", st.Instance),
			"see whose it is: rollpatch status "+st.Instance, "for another one, type the same again")
	case err != nil:
		return failed(err, "whether it started: rollpatch status "+st.Instance)
	}
	unsigned := func() {
		if st.Request == nil {
			d.warnOfUnsigned(parts, "this instance", fmt.Sprintf("for one that is signed: rollpatch abort %s --reason \"...\", then the same command with --key FILE", st.Instance))
		}
	}
	out := started{Instance: st.Instance, Workflow: workflows.CampaignID(st.Instance), Plan: st.Plan}
	if c.Bool("detach") {
		if err := p.result(out, func() { fmt.Fprintln(p.w, out.Instance) }); err != nil {
			return err
		}
		d.warnOfOthers(c.Context, srv, out.Instance)
		d.warnOfFreeze(c.Context, srv)
		unsigned()
		d.note("watch it with: rollpatch watch %s", out.Instance)
		return nil
	}
	if p.json {
		if err := p.line(out, ""); err != nil {
			return err
		}
	}
	d.note("%s started; Ctrl-C ends the watching only", out.Instance)
	d.warnOfOthers(c.Context, srv, out.Instance)
	d.warnOfFreeze(c.Context, srv)
	unsigned()
	return d.follow(c, p, srv, out.Instance)
}

// request is the signed request to run, where a key is given or a gate asks for signatures; none where nobody signs.
func (d *desk) request(c *cli.Context, pl plan.Plan, st workflows.CampaignState) (*approval.Signed, error) {
	sign, err := d.signs(c, pl.Agreement.AnySigned())
	if err != nil || !sign {
		return nil, err
	}
	lasts, err := lifetime(c)
	if err != nil {
		return nil, err
	}
	word, _, err := d.sign(c, approval.Statement{
		Decision: approval.Request, Campaign: st.Name, Instance: st.Instance, Plan: st.Plan, Gates: []string{approval.GateRun}, Reason: approval.OneLine(st.Why),
		At: st.StartedAt.Truncate(time.Second), Expires: st.StartedAt.Truncate(time.Second).Add(lasts), Nonce: d.nonce(),
	})
	return &word, err
}

// keep puts the plan and its parts where workers find them.
func keep(ctx context.Context, path string, pl plan.Plan, parts map[string]plan.Part) error {
	folder, err := store.NewFolder(path)
	if err != nil {
		return err
	}
	for _, s := range pl.Stages {
		for _, cl := range s.Clusters {
			if _, err := folder.Put(ctx, plan.Body(parts[cl.Name])); err != nil {
				return err
			}
		}
	}
	_, err = folder.Put(ctx, plan.Body(pl))
	return err
}

func isFolder(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}
