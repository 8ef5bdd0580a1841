package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/rollpatch/rollpatch/cmd/internal/status"
	"github.com/rollpatch/rollpatch/workflows"
	"github.com/rollpatch/rollpatch/workflows/approval"
)

// expiresSoon is how long before the end of a standing approval people are reminded of it.
const expiresSoon = 14 * 24 * time.Hour

const standingListHint = "those that there are: rollpatch standing list"

func (d *desk) standingCommand() *cli.Command {
	return group("standing", "agree once, with limits, to what a schedule makes by itself",
		&cli.Command{
			Name: "give", Usage: "sign a standing approval: it opens gates of what the schedule makes, where every cluster and package is within its limits", ArgsUsage: "CAMPAIGN",
			Description: "It never opens a soak's end, an emergency or a freeze, and gives way to whatever you say of an instance yourself (docs/standing.md).\n" +
				"To sign elsewhere: --print-statement, ssh-keygen -Y sign -n " + approval.Namespace + ", then --statement FILE --signature FILE.",
			Flags: join([]cli.Flag{
				&cli.StringSliceFlag{Name: "package", Usage: "`PATTERN` of packages that may come, change or go, such as openssl or lib*; may be given several times"},
				&cli.StringSliceFlag{Name: "cluster", Usage: "`PATTERN` of clusters, such as web or web-*; may be given several times"},
				&cli.StringSliceFlag{Name: "gate", Usage: "`GATE` that it opens: start, or stage/NAME; may be given several times", DefaultText: approval.GateStart},
				&cli.BoolFlag{Name: "any-files", Usage: "also when the schedule is created anew with other files, with other soaks or checks"},
				&cli.StringFlag{Name: "expires", Usage: "`TIME` for which it counts: 30d, 12h; at most 90d. Without one there is none"},
				&cli.PathFlag{Name: "key", Usage: "sign with this `FILE`: a private key, or a public one whose private key the SSH agent has", DefaultText: "ROLLPATCH_KEY, then the SSH agent's only key"},
				&cli.BoolFlag{Name: "print-statement", Usage: "print what would be signed, and send nothing"},
				&cli.PathFlag{Name: "statement", Usage: "`FILE` with what was signed, as --print-statement printed it"},
				&cli.PathFlag{Name: "signature", Usage: "`FILE` with the armoured signature over it"},
			}, messageFlags(), outputFlags(), serverFlags()), Action: d.giveStanding,
		},
		&cli.Command{Name: "list", Usage: "list standing approvals: whose, for what, and until when", Flags: join(outputFlags(), serverFlags()), Action: d.listStanding},
		&cli.Command{
			Name: "withdraw", Usage: "have one count no more, at any gate that is not open yet; everybody may", ArgsUsage: "NAME", Flags: join(messageFlags(), outputFlags(), serverFlags()), Action: d.withdrawStanding,
		},
	)
}

// stands is a standing approval as it is listed.
type stands struct {
	Name      string               `json:"name"`
	Schedule  string               `json:"schedule"`
	By        string               `json:"by"`
	Key       string               `json:"key"`
	Gates     []string             `json:"gates"`
	Clusters  []string             `json:"clusters"`
	Packages  []string             `json:"packages"`
	Files     string               `json:"files,omitempty"` // digest; empty: whatever they say
	Reason    string               `json:"reason"`
	At        time.Time            `json:"at"`
	Expires   time.Time            `json:"expires"`
	Soon      bool                 `json:"soon,omitempty"` // it expires within two weeks
	Withdrawn *workflows.Withdrawn `json:"withdrawn,omitempty"`
}

func (d *desk) standsOf(g workflows.Given) stands {
	s := stands{Name: g.Name, By: g.By.Name(), Key: g.By.Key, Expires: g.Expires, Withdrawn: g.Withdrawn}
	if a, err := approval.ParseStanding(g.Statement); err == nil {
		s.Schedule, s.Gates, s.Clusters, s.Packages, s.Files, s.Reason, s.At = a.Schedule, a.Gates, a.Clusters, a.Packages, a.Files, a.Reason, a.At
	}
	s.Soon = s.Withdrawn == nil && s.Expires.Sub(d.now()) < expiresSoon
	return s
}

// standings reads them all.
func (d *desk) standings(ctx context.Context, srv server) ([]stands, error) {
	found, err := srv.List(ctx, filter{kind: workflows.StandingType, running: true})
	if err != nil {
		return nil, err
	}
	out := []stands{}
	for _, e := range found {
		var st workflows.StandingState
		if err := srv.State(ctx, e.ID, &st); errors.Is(err, status.ErrNotFound) {
			continue // the last one has expired just now
		} else if err != nil {
			return nil, err
		}
		for _, g := range st.Given {
			if g.Expires.After(d.now()) {
				out = append(out, d.standsOf(g))
			}
		}
	}
	slices.SortFunc(out, func(a, b stands) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

// remind says which standing approvals expire soon.
func (d *desk) remind(all []stands) {
	for _, s := range all {
		if s.Soon {
			d.note("standing approval %s of %s expires at %s; a new one: rollpatch standing give %s", s.Name, s.By, stamp(s.Expires), s.Schedule)
		}
	}
}

func (d *desk) giveStanding(c *cli.Context) error {
	p, err := d.printer(c)
	if err != nil {
		return err
	}
	name, err := argument(c, "CAMPAIGN")
	if err != nil {
		return err
	}
	if err := errors.Join(checkName(name), excluded(c), elsewhereAlone(c)); err != nil {
		return err
	}
	w, s := workflows.StandingWord{}, approval.Standing{}
	if c.IsSet("signature") {
		w.Statement, w.Signature, s, err = standingElsewhere(c)
	} else {
		w.Message, err = d.messageOf(c, p.json || c.Bool("print-statement"))
	}
	if err != nil {
		return err
	}
	srv, err := d.connect(c)
	if err != nil {
		return err
	}
	defer srv.Close()
	kept, err := srv.Schedule(c.Context, name)
	switch {
	case errors.Is(err, status.ErrNotFound):
		return failed(fmt.Errorf("there is no schedule of campaign %q", name), scheduleListHint)
	case err != nil:
		return err
	}
	w.Plan = kept.Plan
	if !c.IsSet("signature") {
		if s, err = d.standingOf(c, kept, w.Reason); err != nil {
			return err
		}
		if c.Bool("print-statement") {
			_, err := fmt.Fprint(d.out, s.Text())
			d.note("sign exactly this: ssh-keygen -Y sign -n %s -f KEY FILE; send it: rollpatch standing give %s --statement FILE --signature FILE.sig", approval.Namespace, name)
			return err
		}
		word, _, err := d.sign(c, s)
		if err != nil {
			return err
		}
		w.Statement, w.Signature = word.Statement, word.Signature
	}
	if w.Actor, w.Reason, w.ID = d.actor(c), s.Reason, cmp.Or(w.ID, c.String("id")); w.ID == "" {
		w.ID = d.newID()
	}
	given, err := srv.Standing(c.Context, name, workflows.UpdateHandIn, w)
	switch {
	case errors.Is(err, status.ErrNoWorker):
		return failed(errors.New("no worker answered: nobody knows whether it was taken"), standingListHint, "a worker is started with: rollpatch worker")
	case err != nil:
		return failed(err, standingListHint)
	}
	out := d.standsOf(given)
	return p.result(out, func() {
		fmt.Fprintf(p.w, "%s: taken, until %s\n", out.Name, stamp(out.Expires))
		fmt.Fprintf(p.w, "  an instance that waits at its gate already looks within the hour\n")
		fmt.Fprintf(p.w, "  end it with: rollpatch standing withdraw %s --reason \"...\"\n", out.Name)
	})
}

// standingOf is what is signed, as the flags say it; every mistake is named at once.
func (d *desk) standingOf(c *cli.Context, kept scheduled, reason string) (approval.Standing, error) {
	now := d.now().UTC().Truncate(time.Second)
	s := approval.Standing{
		Schedule: kept.Name, Files: kept.Plan, Gates: c.StringSlice("gate"), Clusters: c.StringSlice("cluster"), Packages: c.StringSlice("package"), Reason: approval.OneLine(reason), At: now, Nonce: d.nonce(),
	}
	if len(s.Gates) == 0 {
		s.Gates = []string{approval.GateStart}
	}
	switch {
	case c.Bool("any-files"):
		s.Files = ""
	case s.Files == "":
		return s, failed(fmt.Errorf("schedule %s does not say of which files it was made", kept.Name), "create it anew: rollpatch schedule create CAMPAIGN.yaml")
	}
	if c.String("expires") != "" {
		lasts, err := lifetime(c)
		if err != nil {
			return s, err
		}
		s.Expires = now.Add(lasts)
	}
	if err := s.Check(); err != nil {
		return s, usage(err.Error(), fmt.Sprintf("such as: rollpatch standing give %s --cluster 'web-*' --package openssl --package 'lib*' --expires 60d --reason \"...\"", kept.Name))
	}
	return s, nil
}

// elsewhereAlone refuses limits beside what was signed with its own.
func elsewhereAlone(c *cli.Context) error {
	for _, name := range []string{"package", "cluster", "gate", "any-files"} {
		if c.IsSet("signature") && c.IsSet(name) {
			return usage(fmt.Sprintf("%s: --signature and --%s exclude each other", called(c), name))
		}
	}
	return nil
}

func standingElsewhere(c *cli.Context) (text, signature string, s approval.Standing, err error) {
	raw, err := os.ReadFile(c.Path("statement"))
	if err != nil {
		return "", "", s, usage("--statement: " + err.Error())
	}
	by, err := os.ReadFile(c.Path("signature"))
	if err != nil {
		return "", "", s, usage("--signature: " + err.Error())
	}
	if s, err = approval.ParseStanding(string(raw)); err != nil {
		return "", "", s, usage("--statement "+c.Path("statement")+": "+err.Error(), "rollpatch standing give CAMPAIGN ... --print-statement prints one")
	}
	return string(raw), string(by), s, nil
}

func (d *desk) listStanding(c *cli.Context) error {
	p, err := d.printer(c)
	if err != nil {
		return err
	}
	if err := atMost(c, 0); err != nil {
		return err
	}
	srv, err := d.connect(c)
	if err != nil {
		return err
	}
	defer srv.Close()
	all, err := d.standings(c.Context, srv)
	if err != nil {
		return err
	}
	if err := p.result(all, func() {
		var rows []row
		for _, s := range all {
			state := stamp(s.Expires)
			switch {
			case s.Withdrawn != nil:
				state = "withdrawn"
			case s.Soon:
				state += " (soon)"
			}
			files := "as they are"
			if s.Files == "" {
				files = "any"
			}
			rows = append(rows, row{cells: []string{s.Name, s.By, state, strings.Join(s.Gates, ", "), strings.Join(s.Clusters, ", "), strings.Join(s.Packages, ", "), files, s.Reason}})
		}
		if len(rows) == 0 {
			fmt.Fprintln(p.w, "there is no standing approval")
			return
		}
		p.table([]string{"standing approval", "by", "until", "gates", "clusters", "packages", "files", "reason"}, rows)
	}); err != nil {
		return err
	}
	d.remind(all)
	return nil
}

func (d *desk) withdrawStanding(c *cli.Context) error {
	p, err := d.printer(c)
	if err != nil {
		return err
	}
	name, err := argument(c, "NAME")
	if err != nil {
		return err
	}
	schedule, nonce, _ := strings.Cut(name, "/")
	if checkName(schedule) != nil || checkName(nonce) != nil || schedule == "" || nonce == "" {
		return usage(fmt.Sprintf("%q names no standing approval: they are CAMPAIGN/ID", name), standingListHint)
	}
	m, err := d.messageOf(c, p.json)
	if err != nil {
		return err
	}
	srv, err := d.connect(c)
	if err != nil {
		return err
	}
	defer srv.Close()
	_, err = srv.Standing(c.Context, schedule, workflows.UpdateWithdraw, workflows.StandingWord{Message: m, Name: name})
	switch {
	case errors.Is(err, status.ErrNotFound):
		return failed(fmt.Errorf("there is no standing approval %q", name), standingListHint)
	case errors.Is(err, status.ErrNoWorker):
		return failed(errors.New("no worker answered: nobody knows whether it was withdrawn"),
			fmt.Sprintf("say it again, it is taken once: rollpatch standing withdraw %s --reason %q --id %s", name, m.Reason, m.ID), "a worker is started with: rollpatch worker")
	case err != nil:
		return failed(err, standingListHint)
	}
	return p.say(said{Message: "standing withdraw", ID: m.ID, Actor: m.Actor, Reason: m.Reason, Effect: []string{
		"it opens no gate any more", "what it has opened stays open: rollpatch list shows the instances, rollpatch abort ends one",
	}}, name+": withdrawn")
}
