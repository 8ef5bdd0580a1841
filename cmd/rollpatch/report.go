package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/rollpatch/rollpatch/activities/auditlog"
	"github.com/rollpatch/rollpatch/cmd/internal/report"
	"github.com/rollpatch/rollpatch/cmd/internal/status"
	"github.com/rollpatch/rollpatch/cmd/internal/wiring"
	"github.com/rollpatch/rollpatch/workflows"
	"github.com/rollpatch/rollpatch/workflows/plan"
)

func (d *desk) reportCommand() *cli.Command {
	return &cli.Command{
		Name:      "report",
		Usage:     "say what became of an instance: plan and versions, approvals, holds, debts, what is left",
		ArgsUsage: "[CAMPAIGN|INSTANCE]",
		Flags: join([]cli.Flag{
			onlyFlag("print `WHAT` only: leftovers, the hosts that were not brought to what was planned"),
			&cli.PathFlag{Name: "audit", Usage: "`FILE` of the audit chain, the same as the workers'", EnvVars: []string{"ROLLPATCH_AUDIT"}, DefaultText: "$XDG_STATE_HOME/rollpatch/audit.jsonl"},
			&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "`FORMAT` of what is printed: markdown or json", Value: "markdown"},
		}, d.storeFlags(), serverFlags()),
		Action: d.reportOn,
	}
}

func onlyFlag(text string) cli.Flag {
	return &cli.StringFlag{Name: "only", Usage: text}
}

// leftovers is the one word that --only takes.
const leftovers = "leftovers"

func checkOnly(c *cli.Context) error {
	if only := c.String("only"); only != "" && only != leftovers {
		return usage(fmt.Sprintf("--only %q: it is %s", only, leftovers), "rollpatch "+called(c)+" --help lists the flags")
	}
	return nil
}

func (d *desk) reportOn(c *cli.Context) error {
	if err := checkOnly(c); err != nil {
		return err
	}
	p, srv, instance, err := d.meant(c)
	if err != nil {
		return err
	}
	defer srv.Close()
	in, err := d.reportInput(c, srv, instance)
	if err != nil {
		return err
	}
	r := report.Build(in)
	if c.String("only") == leftovers {
		return p.result(r.Leftovers, func() {
			_ = document{title: "Leftovers of " + r.Instance, sections: []section{{blocks: leftoversOf(r)}}}.markdown(p.w)
		})
	}
	return p.result(r, func() { _ = reportPage(r).markdown(p.w) })
}

// reportInput asks for everything that a report is made of.
func (d *desk) reportInput(c *cli.Context, srv server, instance string) (report.Input, error) {
	in := report.Input{Now: d.now(), Clusters: map[string]workflows.ClusterState{}, Parts: map[string]plan.Part{}}
	reader, err := d.reader(c, srv)
	if err != nil {
		return in, err
	}
	if in.Status, err = reader.Read(c.Context, instance); err != nil {
		return in, err
	}
	if err := srv.State(c.Context, workflows.CampaignID(instance), &in.Campaign); err != nil {
		return in, err
	}
	for _, ref := range in.Campaign.Clusters {
		var st workflows.ClusterState
		err := fs.ErrNotExist
		if ref.Running || ref.Outcome != "" {
			err = srv.State(c.Context, workflows.ClusterID(instance, ref.Name), &st)
		}
		switch {
		case err == nil:
			in.Clusters[ref.Name] = st
		case !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, status.ErrNotFound):
			return in, fmt.Errorf("cluster %q: %w", ref.Name, err)
		}
		var part plan.Part
		if reader.Bodies != nil {
			if raw, err := reader.Bodies.Get(c.Context, ref.Part); err == nil && json.Unmarshal(raw, &part) == nil {
				in.Parts[ref.Name] = part
			}
		}
	}
	path := c.Path("audit")
	if path == "" {
		path = wiring.StateDir(d.getenv, "audit.jsonl")
	}
	if in.Trail, err = auditlog.Read(path); err != nil {
		in.NoTrail = err.Error() + "; --audit FILE names another"
	}
	return in, nil
}

// reportPage is the report as a page.
func reportPage(r report.Report) document {
	state := words(r.State)
	if r.Running {
		state += ": it goes on, and this is how it stands"
	}
	facts := [][]string{{"state", state}, {"reason", r.Reason}, {"why", r.Why}, {"ticket", r.Ticket}}
	if r.Emergency != "" {
		facts = append(facts, []string{"emergency", "for " + r.Emergency})
	}
	for _, a := range r.Advisories {
		facts = append(facts, []string{"advisory", a.String()})
	}
	if r.Change != "" || r.Closed != "" {
		facts = append(facts, []string{"change", strings.TrimSpace(r.Change + inBrackets(r.Closed))})
	}
	requester := r.Requester + " (claimed)"
	if r.Key != "" {
		requester = r.Requester + " (signed with " + r.Key + ")"
	}
	facts = append(facts, []string{"requested by", requester})
	if r.Schedule != nil {
		facts = append(facts, []string{"made by", madeBy(*r.Schedule)})
	}
	facts = append(facts, []string{"plan", r.Plan}, []string{"started", stamp(r.Started)}, []string{"ended", stamp(r.Ended)}, []string{"report of", stamp(r.Made)})
	d := document{title: "Report: " + r.Instance, sections: []section{{blocks: []passage{{head: []string{"", ""}, rows: facts}}}}}
	add := func(title, none string, head []string, rows [][]string) {
		s := section{title: title, blocks: []passage{text("%s", none)}}
		if len(rows) > 0 {
			s.blocks = []passage{{head: head, rows: rows}}
		}
		d.sections = append(d.sections, s)
	}
	var clusters, hosts, differs, tooks, packages, approvals, holds, said, overrides, debts [][]string
	for _, c := range r.Clusters {
		clusters = append(clusters, []string{c.Stage, c.Name, c.Owner, words(c.State), fmt.Sprintf("%d of %d", c.Done, c.Total), strconv.Itoa(c.Soaks), c.Reason})
	}
	for _, h := range r.Hosts {
		state := words(h.State)
		if h.Canary {
			state += ", canary"
		}
		hosts = append(hosts, []string{h.Cluster, h.Host, state, yes(h.Rebooted), out(h.OutSeconds), h.Reason})
		for _, line := range h.Differs {
			differs = append(differs, []string{h.Cluster, h.Host, line})
		}
		for _, t := range h.Took {
			tooks = append(tooks, tookRow(h, t))
		}
		for _, k := range h.Packages {
			packages = append(packages, []string{h.Host, k.Name, k.Old, k.New, k.Planned, k.Note})
		}
	}
	for _, a := range r.Approvals {
		how := "claimed"
		if !a.Claimed {
			how = "signed with " + a.Key
		}
		if a.Standing != "" {
			how = "standing approval " + a.Standing + ", " + how
		}
		approvals = append(approvals, []string{stamp(a.At), a.Gate, a.Actor, how, a.Reason})
	}
	for _, h := range r.Holds {
		lasted, by := "goes on", h.By
		if !h.Until.IsZero() {
			if lasted = h.Until.Sub(h.Since).Round(time.Second).String(); by == "" {
				by = "it ended by itself"
			}
		}
		holds = append(holds, []string{stamp(h.Since), lasted, h.Where, h.Why, by})
	}
	for _, w := range r.Words {
		said = append(said, []string{stamp(w.At), w.Actor, w.Word, w.Where, w.Reason, w.Result})
	}
	for _, o := range r.Overrides {
		until := stamp(o.Until)
		if o.Until.IsZero() {
			until = "the end of what it is for"
		}
		where := strings.TrimSpace(o.Cluster + " " + o.Host)
		if where == "" {
			where = "the instance"
		}
		overrides = append(overrides, []string{strings.TrimSpace(o.Rule + " " + o.Of), where, o.By, stamp(o.Since), until, yes(o.InForce), o.Reason})
	}
	for _, b := range r.Debts {
		debts = append(debts, []string{strings.TrimSpace(b.Cluster + " " + b.Host), b.What, b.Next})
	}
	add("Clusters", "There are none.", []string{"stage", "cluster", "owner", "state", "members", "soaks", "why"}, clusters)
	add("Hosts", "None is known.", []string{"cluster", "host", "state", "rebooted", "out of service", "why"}, hosts)
	if len(differs) > 0 {
		add("Not as before the patch", "", []string{"cluster", "host", "what"}, differs)
	}
	add("How long it took", "Nothing was measured.", []string{"cluster", "host", "what", "in all", "by step", "remark"}, tooks)
	add("Versions, planned and arrived", "None is known: no host was changed, or the store is on another machine.", []string{"host", "package", "before", "now", "planned", "remark"}, packages)
	add("Approvals", "Nobody was asked, or nobody agreed.", []string{"when", "gate", "who", "how", "reason"}, approvals)
	add("Holds", "There was none.", []string{"since", "lasted", "where", "why", "ended"}, holds)
	add("What people said", "Nothing is on record.", []string{"when", "who", "word", "where", "reason", "result"}, said)
	add("Overrides", "There was none.", []string{"rule", "where", "by", "since", "until", "in force", "reason"}, overrides)
	if n := len(r.Overrides); n > 0 {
		s := &d.sections[len(d.sections)-1]
		s.blocks = append([]passage{text("%s: %s.", many(n, "override"), usedOf(r.Used))}, s.blocks...)
	}
	add("Debts", "There is none.", []string{"where", "what", "to mend it"}, debts)
	d.sections = append(d.sections, section{title: "Left to do", blocks: leftoversOf(r)})
	if len(r.Notes) > 0 {
		d.sections = append(d.sections, section{title: "What is not known", blocks: []passage{{list: r.Notes}}})
	}
	return d
}

// usedOf counts overrides by their rule.
func usedOf(used map[string]int) string {
	var parts []string
	for _, rule := range slices.Sorted(maps.Keys(used)) {
		parts = append(parts, strconv.Itoa(used[rule])+" "+rule)
	}
	return strings.Join(parts, ", ")
}

// tookRow says how long a member took, by step.
func tookRow(h report.Host, t report.Took) []string {
	what, remark := "patch", ""
	if t.Backout {
		what = "backout"
	}
	var steps []string
	for _, s := range t.Steps {
		steps = append(steps, s.Step+" "+out(s.Seconds))
	}
	if t.Apart != "" {
		remark = "no estimate is made with it: " + t.Apart
	}
	return []string{h.Cluster, h.Host, what, out(t.Seconds()), strings.Join(steps, ", "), remark}
}

// madeBy says which schedule made it, and how its turn came.
func madeBy(s report.Schedule) string {
	text := "schedule " + s.Name
	switch {
	case s.Due.IsZero():
		text += ", fired by hand"
	case s.Begun.IsZero():
		text += ", to begin at " + stamp(s.Due) + ": it has not begun"
	default:
		text += ", to begin at " + stamp(s.Due) + ": begun at " + stamp(s.Begun)
	}
	if s.Past > 0 {
		text += ", after " + many(s.Past, "window") + " without a start"
	}
	return text
}

func leftoversOf(r report.Report) []passage {
	if len(r.Leftovers) == 0 {
		return []passage{text("Nothing: every member has what was planned, or needed nothing.")}
	}
	t := passage{head: []string{"cluster", "host", "why"}}
	for _, l := range r.Leftovers {
		t.rows = append(t.rows, []string{l.Cluster, l.Host, l.Why})
	}
	if r.Running {
		return []passage{t, text("The instance goes on, and may get to them.")}
	}
	return []passage{t, text("Another instance of them alone; those in quarantine stay as they are until that is ended:"), {code: r.FollowUp()}}
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
