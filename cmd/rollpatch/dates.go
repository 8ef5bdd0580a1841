package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/rollpatch/rollpatch/activities/secret"
	"github.com/rollpatch/rollpatch/activities/windows"
	"github.com/rollpatch/rollpatch/inventory"
	"github.com/rollpatch/rollpatch/inventory/campaign"
	"github.com/rollpatch/rollpatch/inventory/recur"
	"github.com/rollpatch/rollpatch/workflows/calendar"
	"github.com/rollpatch/rollpatch/workflows/plan"
)

// dates lays a plan over its windows and freezes, which are read here as a worker reads them; nil: it has none. It begins when its schedule next
// has it begin, else now. What hosts said has how long they took in former instances; where nobody asked them, the file's estimate counts.
func (d *desk) dates(ctx context.Context, pl plan.Plan, parts map[string]plan.Part, answers []plan.Answer) (*calendar.Dates, error) {
	if pl.Schedule == nil {
		return d.datesFrom(ctx, d.secrets(), pl, parts, answers, d.now().UTC(), time.Time{})
	}
	f, err := d.firings(ctx, *pl.Schedule)
	if err != nil {
		return nil, err
	}
	return d.datesFrom(ctx, d.secrets(), pl, parts, answers, f[0].Begin, beginAfter(f))
}

// secrets are found as a worker finds them.
func (d *desk) secrets() *secret.Resolver { return secret.New(d.LookupEnv) }

// datesFrom lays a plan that begins at a time. by is when it must be done where it does not say so itself; zero: whenever it is.
func (d *desk) datesFrom(ctx context.Context, secrets windows.Secrets, pl plan.Plan, parts map[string]plan.Part, answers []plan.Answer, start, by time.Time) (*calendar.Dates, error) {
	if !pl.Timed(parts) {
		return nil, nil
	}
	finishBy, err := campaign.Campaign{FinishBy: pl.FinishBy, Zone: pl.Zone}.Ends(start)
	if err != nil {
		return nil, failed(err)
	}
	if pl.FinishBy == "" {
		finishBy = by
	}
	laid := windows.New(secrets).Laid(ctx, pl, parts, answers, start, finishBy)
	return &laid, ctx.Err()
}

// dateColumns are the heads of dateRows.
var dateColumns = []string{"stage", "cluster", "canary", "soak until", "peers", "done"}

// ifAll says what the dates take for granted.
func ifAll(dates *calendar.Dates) string {
	return "dates if it begins at " + stamp(dates.Start) + ", nothing fails and everybody approves at once:"
}

// dateRows say when what happens, by the clocks of the windows and in UTC.
func dateRows(pl plan.Plan, parts map[string]plan.Part, dates *calendar.Dates) []row {
	var rows []row
	for i, s := range dates.Stages {
		canary, peers := stageClocks(pl, parts, i)
		for _, c := range s.Clusters {
			rows = append(rows, row{cells: []string{s.Stage, c.Cluster, date(c.Canary, canary), date(c.Gate, peers), date(c.Peers, peers), date(c.Done, peers)}})
		}
	}
	return rows
}

// stageClocks are those of a stage's canaries, and of their peers.
func stageClocks(pl plan.Plan, parts map[string]plan.Part, stage int) (canary, peers *time.Location) {
	cls := pl.Stages[stage].Clusters
	if len(cls) == 0 {
		return time.UTC, time.UTC
	}
	when := parts[cls[0].Name].When
	return clocks(when, true), clocks(when, false)
}

// dates prints when what happens.
func (p printer) dates(pl plan.Plan, parts map[string]plan.Part, dates *calendar.Dates) {
	if dates == nil {
		return
	}
	fmt.Fprintf(p.w, "%s\n\n", ifAll(dates))
	p.table(dateColumns, dateRows(pl, parts, dates))
	last := time.UTC
	if n := len(dates.Stages); n > 0 {
		_, last = stageClocks(pl, parts, n-1)
	}
	if end := date(dates.End, last); end != "" {
		fmt.Fprintf(p.w, "\nends %s\n", end)
	}
	p.estimates(laidFor(dates))
}

// estimated is how long members of a cluster are taken to need, and how that is known.
type estimated struct{ cluster, says string }

func laidFor(dates *calendar.Dates) (all []estimated) {
	for _, s := range dates.Stages {
		for _, c := range s.Clusters {
			all = append(all, estimated{c.Cluster, c.Estimate})
		}
	}
	return all
}

// foreseenFor lists each cluster once, whatever platforms it has.
func foreseenFor(f plan.Forecast) (all []estimated) {
	for _, e := range f.Clusters {
		if one := (estimated{e.Cluster, e.Estimate}); !slices.Contains(all, one) {
			all = append(all, one)
		}
	}
	return all
}

// estimateLines say how long each member is taken to need, clusters of which the same is known together.
func estimateLines(all []estimated) []string {
	var says []string
	clusters := map[string][]string{}
	for _, e := range all {
		if clusters[e.says] == nil {
			says = append(says, e.says)
		}
		clusters[e.says] = append(clusters[e.says], e.cluster)
	}
	var lines []string
	for _, s := range says {
		lines = append(lines, "estimate "+s+": "+strings.Join(clusters[s], ", "))
	}
	return lines
}

func (p printer) estimates(all []estimated) {
	lines := estimateLines(all)
	if len(lines) > 0 {
		fmt.Fprintf(p.w, "\n%s\n", strings.Join(lines, "\n"))
	}
}

// clocks are those that the first of the windows goes by.
func clocks(w *plan.When, canary bool) *time.Location {
	if w == nil {
		return time.UTC
	}
	for _, win := range w.Windows(canary) {
		if zone, err := recur.Zone(win.Zone); err == nil {
			return zone
		}
	}
	return time.UTC
}

// date is a point in time by the clocks of a zone, and in UTC.
func date(t time.Time, zone *time.Location) string {
	if t.IsZero() {
		return ""
	}
	local, utc := t.In(zone), t.UTC()
	if _, offset := local.Zone(); offset == 0 {
		return utc.Format("Mon 2006-01-02 15:04Z")
	}
	short := "15:04Z"
	if local.Day() != utc.Day() {
		short = "Mon 15:04Z"
	}
	return local.Format("Mon 2006-01-02 15:04 MST") + " (" + utc.Format(short) + ")"
}

// late are the reasons for which a campaign must not begin, as far as dates say any.
func late(dates *calendar.Dates) []string {
	if dates == nil {
		return nil
	}
	var lines []string
	for _, r := range dates.Refusals {
		who := "the campaign"
		switch {
		case r.Cluster != "":
			who = fmt.Sprintf("cluster %q", r.Cluster)
		case r.Stage != "":
			who = fmt.Sprintf("stage %q", r.Stage)
		}
		lines = append(lines, who+" is refused: "+r.Why, "  "+r.Remedy)
	}
	return lines
}

// lateness is what plan and run end with where dates refuse the campaign, after what the plan itself refuses.
func lateness(refused error, dates *calendar.Dates) error {
	lines := late(dates)
	if len(lines) == 0 {
		return refused
	}
	if refused != nil {
		lines = append([]string{refused.Error()}, lines...)
	}
	return &problem{code: exitUsage, err: errors.New(strings.Join(lines, "\n")), hints: []string{nothingHint}}
}

// layFile lays the campaign of one file that is sound.
func (d *desk) layFile(ctx context.Context, f files) (plan.Plan, map[string]plan.Part, *calendar.Dates, error) {
	pl, parts, err := f.plan(d, urgent{})
	if err != nil {
		return pl, parts, nil, err
	}
	dates, err := d.dates(ctx, pl, parts, nil)
	return pl, parts, dates, err
}

// laidFile is a campaign file that validate laid.
type laidFile struct {
	name  string
	plan  plan.Plan
	parts map[string]plan.Part
	dates *calendar.Dates
}

// layAll lays every campaign that was read; inv is sound, and so are they.
func (d *desk) layAll(ctx context.Context, path string, inv inventory.Inventory, campaigns []named) ([]laidFile, error) {
	var out []laidFile
	for _, c := range campaigns {
		pl, parts, dates, err := d.layFile(ctx, files{inventoryPath: path, inventory: inv, campaignPath: c.path, campaign: c.campaign})
		if err != nil {
			return nil, err
		}
		if dates != nil {
			out = append(out, laidFile{name: c.path, plan: pl, parts: parts, dates: dates})
		}
	}
	return out, nil
}

// named is a campaign and the file that it was read from.
type named struct {
	path     string
	campaign campaign.Campaign
}
