package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/rollpatch/rollpatch/inventory"
	"github.com/rollpatch/rollpatch/inventory/campaign"
	"github.com/rollpatch/rollpatch/workflows/calendar"
	"github.com/rollpatch/rollpatch/workflows/plan"
)

func (d *desk) planCommand() *cli.Command {
	return &cli.Command{
		Name:      "plan",
		Usage:     "say what run would do, and what it would refuse",
		ArgsUsage: "CAMPAIGN.yaml",
		Description: "Asks every host, through the workers, what it would get: packages and versions, a reboot, what is held. No package is changed.\n" +
			"Windows and freezes are read, and the dates printed: a campaign that they leave no room for is refused.\n" +
			"--output markdown or html prints the change request; --save keeps what is approved, for run --plan.",
		Flags:  join(inventoryFlags(), planFlags(), leftoverFlags(), []cli.Flag{emergencyFlag(), packageFlag(), advisoryFlag(), advisoriesFlag()}, d.storeFlags(), planOutputFlags(), serverFlags()),
		Action: d.plan,
	}
}

// digested is a plan and its digest, what hosts said, and when it would be done.
type digested struct {
	plan.Plan
	Digest   string          `json:"digest"`
	Forecast *plan.Forecast  `json:"forecast,omitempty"`
	Dates    *calendar.Dates `json:"dates,omitempty"`
}

// ordered is what the files ask for, and what that was made from: which packages advisories bring is known only when hosts were asked, and then it
// is made once more.
type ordered struct {
	plan   plan.Plan
	parts  map[string]plan.Part
	files  files
	left   map[string][]string // by cluster, the hosts that are meant; nil: all
	urgent urgent
}

// planned is what plan and run begin with: the plan of the campaign that was named, refused or not.
func (d *desk) planned(c *cli.Context) (printer, ordered, error) {
	p, err := d.printer(c)
	if err != nil {
		return p, ordered{}, err
	}
	path, err := argument(c, "CAMPAIGN.yaml")
	if err != nil {
		return p, ordered{}, err
	}
	var m ordered
	if m.urgent, err = urgentOf(c); err != nil {
		return p, m, err
	}
	if m.files, err = d.readFiles(c.Path("inventory"), path); err != nil {
		return p, m, err
	}
	if c.Command.Name == "plan" {
		d.warnOfHouse(m.files.inventory, m.files.where)
		if s := m.files.campaign.Scheduled(); s != nil {
			if _, err := d.firings(c.Context, *s); err != nil {
				return p, m, placed(err, m.files.whereCampaign)
			}
		}
	}
	if m.urgent.advisories, err = d.advisories(c, m.files); err != nil {
		return p, m, err
	}
	if m.left, err = d.undone(c, m.files.campaign); err != nil {
		return p, m, err
	}
	m.plan, m.parts, err = m.files.narrowed(d, m.left, m.urgent)
	return p, m, err
}

func (d *desk) plan(c *cli.Context) error {
	p, m, err := d.planned(c)
	if err != nil {
		return err
	}
	saved, err := d.made(c, m)
	if err != nil {
		return err
	}
	dates, err := d.dates(c.Context, saved.Plan, saved.Parts, saved.Answers)
	if err != nil {
		return err
	}
	if err := p.made(saved, dates, c.Args().First()); err != nil {
		return err
	}
	d.askForFreeze(c)
	if err := lateness(untold(saved), dates); err != nil {
		return err
	}
	if err := d.nowhere(c, saved); err != nil {
		return err
	}
	return d.save(c, saved)
}

func (p printer) plan(pl plan.Plan) {
	fmt.Fprintf(p.w, "%s: %s%s\n", pl.Name, pl.Reason, inBrackets(pl.Ticket))
	fmt.Fprintf(p.w, "plan %s\n", plan.Digest(pl))
	attended := "a failure holds its cluster for a person"
	if pl.Unattended {
		attended = "unattended: soaks end by policy, a failure halts"
	}
	fmt.Fprintf(p.w, "up to %s at the same time; %s\n", many(pl.Parallel, "cluster"), attended)
	for _, s := range pl.Stages {
		if len(s.Steps) > 1 {
			fmt.Fprintf(p.w, "stage %s begins in steps of %s clusters, each when every canary of the one before is back\n", s.Name, numbers(s.Steps))
		}
	}
	if len(pl.Emergency) > 0 {
		fmt.Fprintf(p.w, "an emergency, for %s: it waits for no window, takes clusters over from other campaigns, and undoes nothing by itself\n", strings.Join(pl.Emergency, ", "))
	}
	for _, a := range pl.Advisories {
		fmt.Fprintln(p.w, advisoryLine(a))
	}
	if len(pl.Notify) > 0 {
		fmt.Fprintf(p.w, "told: %s\n", told(pl.Notify))
	}
	if pl.Change != nil {
		fmt.Fprintf(p.w, "change: nothing begins before %s gives it a number, and it is told the end\n", pl.Change)
	}
	p.agreement(pl)
	p.requires(pl)
	fmt.Fprintln(p.w)
	var rows []row
	for _, s := range pl.Stages {
		for _, c := range s.Clusters {
			rows = append(rows, row{cells: []string{
				s.Name, c.Name, members(c), waves(c), strconv.Itoa(c.MaxOut), strconv.Itoa(c.MinHealthy), soak(c), approvalOf(c), c.Reboot, affects(c), remarks(c, pl.Refusals),
			}})
		}
	}
	p.table([]string{"stage", "cluster", "members", "waves", "max out", "min healthy", "soak", "approval", "reboot", "affects", "remarks"}, rows)
}

// fewMembers is how many names a wave lists before it only counts them.
const fewMembers = 6

// members lists them in order of work, with a bar where a soak lies between them.
func members(c plan.Cluster) string {
	var out []string
	at := 0
	for _, n := range c.Waves {
		end := min(at+n, len(c.Members))
		if n > fewMembers {
			out = append(out, fmt.Sprintf("%s .. %s (%d)", c.Members[at], c.Members[end-1], end-at))
		} else if end > at {
			out = append(out, strings.Join(c.Members[at:end], " "))
		}
		at = end
	}
	return strings.Join(out, " | ")
}

func approvalOf(c plan.Cluster) string {
	if len(c.Waves) < 2 {
		return ""
	}
	if c.Approval {
		return "person"
	}
	return "policy"
}

func soak(c plan.Cluster) string {
	if len(c.Waves) < 2 {
		return ""
	}
	return c.Soak
}

func waves(c plan.Cluster) string { return numbers(c.Waves) }

func numbers(of []int) string {
	var out []string
	for _, n := range of {
		out = append(out, strconv.Itoa(n))
	}
	return strings.Join(out, ", ")
}

// affects lists the nearest of those who need a cluster, and says of who only does through others which one it is.
func affects(c plan.Cluster) string {
	var out []string
	for i, d := range c.Affects {
		if i == fewMembers {
			out = append(out, fmt.Sprintf("and %d more", len(c.Affects)-i))
			break
		}
		name := d.Name
		if n := len(d.Chain); n > 2 {
			name += " (through " + d.Chain[n-2] + ")"
		}
		out = append(out, name)
	}
	return strings.Join(out, ", ")
}

func remarks(c plan.Cluster, refusals []plan.Refusal) string {
	var out []string
	for _, r := range refusals {
		if r.Cluster == c.Name {
			out = append(out, "refused")
		}
	}
	switch inventory.DrainBy(c.Drain) {
	case inventory.DrainCommand:
		out = append(out, "drained by command")
	case inventory.DrainNone:
		out = append(out, "not drained")
	}
	if c.Accepted != "" {
		out = append(out, "impact accepted until "+c.Until+": "+c.Accepted)
	}
	if len(c.House) > 0 {
		out = append(out, "own house: "+strings.Join(c.House, " ")+", goes last")
	}
	switch {
	case len(c.Shares) > 0 && len(c.House) > 0:
		out = append(out, "not beside "+strings.Join(c.Shares, " ")+": they share a host, or are of the same part of the house")
	case len(c.Shares) > 0:
		out = append(out, "not beside "+strings.Join(c.Shares, " ")+": they share a host")
	}
	return strings.Join(out, "; ")
}

func told(n []campaign.Notify) string {
	var out []string
	for _, r := range n {
		how := "command"
		if r.Webhook != nil {
			how = "webhook"
		}
		events := "everything"
		if len(r.Events) > 0 {
			var words []string
			for _, e := range r.Events {
				words = append(words, string(e))
			}
			events = strings.Join(words, " ")
		}
		out = append(out, fmt.Sprintf("%s (%s) of %s", r.Name, how, events))
	}
	return strings.Join(out, ", ")
}

func inBrackets(s string) string {
	if s == "" {
		return ""
	}
	return " (" + s + ")"
}
