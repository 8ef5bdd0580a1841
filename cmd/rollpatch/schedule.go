package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/rollpatch/rollpatch/activities/store"
	"github.com/rollpatch/rollpatch/activities/windows"
	"github.com/rollpatch/rollpatch/cmd/internal/status"
	"github.com/rollpatch/rollpatch/inventory"
	"github.com/rollpatch/rollpatch/inventory/recur"
	"github.com/rollpatch/rollpatch/workflows"
	"github.com/rollpatch/rollpatch/workflows/approval"
	"github.com/rollpatch/rollpatch/workflows/calendar"
	"github.com/rollpatch/rollpatch/workflows/plan"
)

const scheduleListHint = "the schedules there are: rollpatch schedule list"

func (d *desk) scheduleCommand() *cli.Command {
	word := func(name, usage, done string) *cli.Command {
		return &cli.Command{
			Name: name, Usage: usage, ArgsUsage: "CAMPAIGN", Flags: join(messageFlags(), outputFlags(), serverFlags()),
			Action: func(c *cli.Context) error { return d.changeSchedule(c, name, done) },
		}
	}
	return group("schedule", "have a campaign's instances begin by themselves",
		&cli.Command{
			Name: "create", Usage: "have the server make instances of a campaign by its schedule, as the files are now", ArgsUsage: "CAMPAIGN.yaml",
			Description: "What the files say now is what runs: after a change of the inventory or the campaign, say it again. It replaces the schedule of that name,\n" +
				"and has nothing to do with instances that are on their way.",
			Flags: join(inventoryFlags(), []cli.Flag{asFlag()}, scheduleSignFlags(), d.storeFlags(), outputFlags(), serverFlags()), Action: d.createSchedule,
		},
		&cli.Command{Name: "list", Usage: "list the schedules, when they fire next, and whether they are paused", Flags: join(outputFlags(), serverFlags()), Action: d.schedules},
		&cli.Command{
			Name: "next", Usage: "say when the next instance is made and begins, and lay the whole of it over its windows", ArgsUsage: "CAMPAIGN.yaml",
			Description: "Reads the files, and asks no server.", Flags: join(inventoryFlags(), outputFlags()), Action: d.nextOfSchedule,
		},
		&cli.Command{
			Name: "plan", Usage: "show the plan that a schedule made, or its change request", ArgsUsage: "CAMPAIGN|INSTANCE",
			Flags: join(d.storeFlags(), planOutputFlags(), serverFlags()), Action: d.plannedBySchedule,
		},
		word(schedulePause, "have a schedule make no further instance", "paused"),
		word(scheduleResume, "end a pause, a person's or the one after a failure", "goes on"),
		word(scheduleTrigger, "make the next instance now; it begins as one that a person runs", "fires now"),
		word(scheduleDelete, "have the server forget a schedule; what is on its way goes on", "deleted"),
	)
}

// scheduleLasts is how long the request to run counts that a schedule is created with.
const scheduleLasts = "400d"

// scheduleSignFlags are those of signing, for something that is to last.
func scheduleSignFlags() []cli.Flag {
	flags := signFlags()
	for _, f := range flags {
		if s, ok := f.(*cli.StringFlag); ok && s.Name == "expires" {
			s.Value = scheduleLasts
		}
	}
	return flags
}

// firings are those that are still to come, at least one.
func (d *desk) firings(ctx context.Context, s plan.Schedule) ([]calendar.Firing, error) {
	now := d.now().UTC()
	rule, err := windows.New(d.secrets()).Calendar(ctx, plan.Begins(s), true, now)
	if err != nil {
		return nil, err
	}
	all, err := plan.Firings(s, rule, now)
	switch {
	case err != nil && rule.Unknown != "":
		return nil, unfiredBy(ruleOf(s), err.Error(), "write a rule that comes about less often")
	case err != nil:
		return nil, unfiredBy("schedule.lead", err.Error(), "give a shorter lead, or a rule that comes about less often")
	case len(all) == 0:
		return nil, unfiredBy(ruleOf(s), "it does not come about any more, as far as "+calendar.Length(windows.Ahead)+" from now", "write a rule that does, or take the schedule out")
	}
	return all, nil
}

// beginAfter is when the instance after the next one begins: the next one must be done by then.
func beginAfter(f []calendar.Firing) time.Time {
	if len(f) < 2 {
		return time.Time{}
	}
	return f[1].Begin
}

// upcoming is the next instance of a schedule.
type upcoming struct {
	Name string          `json:"name"`
	Next calendar.Firing `json:"next"`
	// Then are the firings after it.
	Then  []calendar.Firing `json:"then,omitempty"`
	Dates *calendar.Dates   `json:"dates,omitempty"`
}

// scheduled works out what the schedule of a campaign comes to; it is refused where its next instance would be.
func (d *desk) scheduled(c *cli.Context) (pl plan.Plan, parts map[string]plan.Part, next upcoming, all []calendar.Firing, err error) {
	path, err := argument(c, "CAMPAIGN.yaml")
	if err != nil {
		return pl, nil, next, nil, err
	}
	f, err := d.readFiles(c.Path("inventory"), path)
	if err != nil {
		return pl, nil, next, nil, err
	}
	if f.campaign.Schedule == nil {
		return pl, nil, next, nil, usage(path+": the campaign has no schedule", "give it one, such as schedule: {nth: {weekday: tuesday, n: 2, offset: 1d}, at: \"22:00\"}", nothingHint)
	}
	if pl, parts, err = f.plan(d, urgent{}); err != nil {
		return pl, nil, next, nil, err
	}
	if all, err = d.firings(c.Context, *pl.Schedule); err != nil {
		return pl, nil, next, nil, placed(err, f.whereCampaign)
	}
	dates, err := d.datesFrom(c.Context, d.secrets(), pl, parts, nil, all[0].Begin, beginAfter(all))
	next = upcoming{Name: pl.Name, Next: all[0], Then: all[1:min(len(all), 4)], Dates: dates}
	return pl, parts, next, all, err
}

func (d *desk) nextOfSchedule(c *cli.Context) error {
	p, err := d.printer(c)
	if err != nil {
		return err
	}
	pl, parts, next, _, err := d.scheduled(c)
	if err != nil {
		return err
	}
	if err := p.laid(pl, parts, next); err != nil {
		return err
	}
	return lateness(refused(pl), next.Dates)
}

// laid prints when instances begin, and the whole of the next one.
func (p printer) laid(pl plan.Plan, parts map[string]plan.Part, next upcoming) error {
	return p.result(next, func() {
		p.upcoming(pl, next)
		fmt.Fprintln(p.w)
		p.dates(pl, parts, next.Dates)
	})
}

func (p printer) upcoming(pl plan.Plan, next upcoming) {
	zone, err := recur.Zone(pl.Schedule.Zone)
	if err != nil {
		zone = time.UTC
	}
	var rows []row
	for _, f := range append([]calendar.Firing{next.Next}, next.Then...) {
		rows = append(rows, row{cells: []string{date(f.At, zone), date(f.Begin, zone)}})
	}
	p.table([]string{"plan made, gates open", "begins, where approved by then"}, rows)
}

func (d *desk) createSchedule(c *cli.Context) error {
	p, err := d.printer(c)
	if err != nil {
		return err
	}
	pl, parts, next, all, err := d.scheduled(c)
	if err != nil {
		return err
	}
	if late := lateness(refused(pl), next.Dates); late != nil {
		if err := p.laid(pl, parts, next); err != nil {
			return err
		}
		return late
	}
	path, err := d.storeFolder(c.Path("store"))
	if err != nil {
		return err
	}
	srv, err := d.connect(c)
	if err != nil {
		return err
	}
	defer srv.Close()
	if err := keep(c.Context, path, pl, parts); err != nil {
		return failed(err, "--store DIR names another")
	}
	folder, err := store.NewFolder(path)
	if err != nil {
		return failed(err, "--store DIR names another")
	}
	_, questions, err := ask(c.Context, folder, pl, parts, inquiry{})
	if err != nil {
		return failed(err)
	}
	f := workflows.FiringState{Name: pl.Name, Files: plan.Digest(pl), Schedule: *pl.Schedule, Ask: questions, By: d.actor(c), Why: pl.Reason}
	if f.Request, err = d.standing(c, pl); err != nil {
		return err
	}
	s := scheduling{Firing: f, CatchUp: catchUp(pl.Schedule.Before()), Note: "created by " + f.By + " (claimed)"}
	for _, one := range all {
		s.At = append(s.At, one.At)
	}
	replaced, err := srv.Put(c.Context, s)
	if err != nil {
		return failed(err, "whether it is there: rollpatch schedule list")
	}
	out := struct {
		upcoming
		Replaced bool `json:"replaced"`
	}{next, replaced}
	if err := p.result(out, func() {
		word := "created"
		if replaced {
			word = "replaced"
		}
		fmt.Fprintf(p.w, "schedule %s %s\n\n", pl.Name, word)
		p.upcoming(pl, next)
	}); err != nil {
		return err
	}
	if f.Request == nil {
		d.warnOfUnsigned(parts, "its instances", "to sign it: the same command with --key FILE")
	}
	d.note("what the files say now is what it runs: after a change of them say it again")
	return nil
}

// leastCatchUp is how late a firing may come that has no lead to speak of: less than any window lasts.
const leastCatchUp = 10 * time.Minute

// catchUp is how late a firing may come because no server was there. As long as its instance can still begin in time, its plan is worth making;
// later it is not made up for.
func catchUp(lead time.Duration) time.Duration { return max(lead, leastCatchUp) }

// standing is the signed request to run what the files say, whenever the schedule fires; none where nobody signs.
func (d *desk) standing(c *cli.Context, pl plan.Plan) (*approval.Signed, error) {
	sign, err := d.signs(c, pl.Agreement.AnySigned())
	if err != nil || !sign {
		return nil, err
	}
	lasts, err := lifetime(c)
	if err != nil {
		return nil, err
	}
	now := d.now().UTC().Truncate(time.Second)
	word, _, err := d.sign(c, approval.Statement{
		Decision: approval.Request, Campaign: pl.Name, Plan: plan.Digest(pl), Gates: []string{approval.GateRun}, Reason: approval.OneLine(pl.Reason), At: now, Expires: now.Add(lasts), Nonce: d.nonce(),
	})
	return &word, err
}

func (d *desk) schedules(c *cli.Context) error {
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
	all, err := srv.Schedules(c.Context)
	if err != nil {
		return err
	}
	defer func() {
		if agreed, err := d.standings(c.Context, srv); err != nil {
			d.note("whether standing approvals expire soon could not be read: %v", err)
		} else {
			d.remind(agreed)
		}
	}()
	return p.result(all, func() {
		var rows []row
		for _, s := range all {
			next := calendar.Firing{}
			if len(s.Next) > 0 {
				next = s.Next[0]
			}
			state := s.state()
			rows = append(rows, row{word: map[bool]string{true: status.Hold}[s.Paused], cells: []string{s.Name, state, stamp(next.At), stamp(next.Begin), strconv.Itoa(s.Ahead), stamp(s.Last), strconv.Itoa(s.Skipped + s.Late), s.Note}})
		}
		if len(all) == 0 {
			fmt.Fprintln(p.w, "there is no schedule")
			return
		}
		p.table([]string{"schedule", "state", "next plan", "begins", "ahead", "fired last", "skipped", "note"}, rows)
	})
}

// state is one word for how a schedule stands.
func (s scheduled) state() string {
	state := "waits"
	switch {
	case len(s.Running) > 0:
		state = "on its way"
	case len(s.Next) == 0:
		state = "over"
	}
	if s.Paused {
		state = "paused"
		if len(s.Running) > 0 {
			state += ", on its way"
		}
	}
	return state
}

func (d *desk) changeSchedule(c *cli.Context, word, done string) error {
	p, err := d.printer(c)
	if err != nil {
		return err
	}
	name, err := argument(c, "CAMPAIGN")
	if err != nil {
		return err
	}
	if err := checkName(name); err != nil {
		return err
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
	s, err := srv.Schedule(c.Context, name)
	none := func() error {
		return failed(fmt.Errorf("there is no schedule of campaign %q%s", name, d.likeSchedule(c.Context, srv, name)), scheduleListHint)
	}
	switch {
	case errors.Is(err, status.ErrNotFound):
		return none()
	case err != nil:
		return err
	case word == scheduleResume && !s.Paused:
		return failed(fmt.Errorf("schedule %s is not paused: there is nothing to resume", name), "what it does next: rollpatch schedule list")
	case word == scheduleTrigger && len(s.Running) > 0:
		return failed(fmt.Errorf("%s was not fired: its last instance is still on its way", name), "which one that is: rollpatch list", "another one is started by hand: rollpatch run")
	}
	switch err := srv.Change(c.Context, name, word, done+", by "+m.Actor+" (claimed): "+m.Reason); {
	case errors.Is(err, status.ErrNotFound):
		return none()
	case err != nil:
		return failed(err, "whether it was taken: rollpatch schedule list")
	}
	effects := map[string][]string{
		schedulePause:   {"no instance is made until it is resumed; one that is on its way goes on", fmt.Sprintf("end it with: rollpatch schedule resume %s --reason \"...\"", name)},
		scheduleResume:  {"firings that came meanwhile are not made up for"},
		scheduleTrigger: {"its instance is named once the hosts have answered: rollpatch list"},
		scheduleDelete:  onItsWay(c.Context, srv, s),
	}
	if s.Paused && word == scheduleTrigger {
		effects[word] = append(effects[word], "it stays paused otherwise")
	}
	return p.say(said{Message: "schedule " + word, ID: m.ID, Actor: m.Actor, Reason: m.Reason, Effect: effects[word]}, "schedule "+name+": "+done)
}

func (d *desk) plannedBySchedule(c *cli.Context) error {
	p, err := d.printer(c)
	if err != nil {
		return err
	}
	arg, err := argument(c, "CAMPAIGN or INSTANCE")
	if err != nil {
		return err
	}
	if err := checkName(arg); err != nil {
		return err
	}
	path, err := d.storeFolder(c.Path("store"))
	if err != nil {
		return err
	}
	srv, err := d.connect(c)
	if err != nil {
		return err
	}
	defer srv.Close()
	instance, _, err := resolve(c.Context, srv, arg)
	if errors.Is(err, errNobody) {
		return d.unplanned(c.Context, srv, arg, err)
	}
	if err != nil {
		return err
	}
	var st workflows.CampaignState
	if err := srv.State(c.Context, workflows.CampaignID(instance), &st); err != nil {
		return err
	}
	if st.Made == nil {
		hints := []string{"its plan is the one that it was run with"}
		if s, err := srv.Schedule(c.Context, arg); err == nil {
			hints = append(hints, "schedule "+arg+": "+s.plans(arg))
		}
		return failed(fmt.Errorf("%s was not made by a schedule", instance), hints...)
	}
	folder, err := store.NewFolder(path)
	if err != nil {
		return failed(err, "--store DIR names another")
	}
	raw, err := folder.Get(c.Context, st.Made.Saved)
	if err != nil {
		return failed(err, "does --store name the same folder as the worker's?")
	}
	var s plan.Saved
	if err := json.Unmarshal(raw, &s); err != nil {
		return failed(err)
	}
	start := st.StartedAt
	if st.Turn != nil {
		start = st.Turn.Begin
	}
	dates, err := d.datesFrom(c.Context, ofOthers{d.secrets()}, s.Plan, s.Parts, s.Answers, start, time.Time{})
	if err != nil {
		return err
	}
	return p.made(s, dates, "")
}

// unplanned says why a schedule has no plan to show: it has made none yet, or there is none of that name.
func (d *desk) unplanned(ctx context.Context, srv server, name string, none error) error {
	s, err := srv.Schedule(ctx, name)
	switch {
	case errors.Is(err, status.ErrNotFound):
		if near := d.likeSchedule(ctx, srv, name); near != "" {
			return failed(fmt.Errorf("%w%s", none, near), scheduleListHint)
		}
		return none
	case err != nil:
		return err
	}
	return failed(fmt.Errorf("schedule %s has made no plan yet: %s", name, s.plans(name)), scheduleListHint)
}

// plans says when its next plan is made.
func (s scheduled) plans(name string) string {
	switch {
	case len(s.Running) > 0:
		return "one is being made now; it is there when its instance is: rollpatch list"
	case s.Paused:
		return fmt.Sprintf("it is paused, and makes none until it is resumed: rollpatch schedule resume %s --reason \"...\"", name)
	case len(s.Next) == 0:
		return "it does not fire any more; give it further times: rollpatch schedule create CAMPAIGN.yaml"
	}
	return fmt.Sprintf("it makes its next one at %s; what the files say until then: rollpatch schedule next CAMPAIGN.yaml", stamp(s.Next[0].At))
}

// likeSchedule offers the schedule whose name is nearest, as the tail of a message. A list that cannot be read offers none.
func (d *desk) likeSchedule(ctx context.Context, srv server, name string) string {
	all, err := srv.Schedules(ctx)
	if err != nil {
		return ""
	}
	var names []string
	for _, s := range all {
		names = append(names, s.Name)
	}
	return inventory.DidYouMean(name, names)
}

// onItsWay says what goes on when a schedule is deleted, and how to end that.
func onItsWay(ctx context.Context, srv server, s scheduled) (lines []string) {
	for _, id := range s.Running {
		var f workflows.FiringState
		if err := srv.State(ctx, id, &f); err != nil || f.Instance == "" {
			lines = append(lines, "a firing of it is on its way, and so is the instance that it makes: rollpatch list")
			continue
		}
		lines = append(lines, fmt.Sprintf("%s goes on; to end it: rollpatch abort %s --reason \"...\"", f.Instance, f.Instance))
	}
	if len(lines) == 0 {
		lines = []string{"no instance of it is on its way"}
	}
	return lines
}
