package activities

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"go.temporal.io/sdk/temporal"

	"github.com/rollpatch/rollpatch/inventory"
	"github.com/rollpatch/rollpatch/inventory/campaign"
	"github.com/rollpatch/rollpatch/workflows/calendar"
	"github.com/rollpatch/rollpatch/workflows/plan"
)

// almanac is what the rule of a schedule comes to, and the windows of hosts.
type almanac struct{ rule, hosts calendar.Calendar }

func (a almanac) Calendar(_ context.Context, p plan.Part, _ bool, _ time.Time) (calendar.Calendar, error) {
	if p.Cluster.Name == "" {
		return a.rule, nil
	}
	return a.hosts, nil
}

// renewals are the times that the server was told of.
type renewals struct {
	at    []time.Time
	fails error
}

func (r *renewals) Renew(_ context.Context, _ string, at []time.Time) error {
	r.at = at
	return r.fails
}

func (r *renewals) Kept(context.Context, string) (bool, error) { return r.fails == nil, nil }

var night = time.Date(2026, 11, 11, 21, 0, 0, 0, time.UTC)

// nights are windows of four hours that open so many days after the night.
func nights(days ...int) calendar.Calendar {
	var c calendar.Calendar
	for _, n := range days {
		at := night.AddDate(0, 0, n)
		c.Windows = append(c.Windows, calendar.Window{Span: calendar.Span{Start: at, End: at.Add(4 * time.Hour)}, Cutoff: at.Add(4 * time.Hour)})
	}
	return c
}

// filed puts a plan of one cluster into the store, and returns its digest.
func filed(w *world) string {
	part := timed()
	part.When.Canary = []inventory.Window{{Cron: "0 21 * * 3"}}
	w.bodies[plan.Digest(part)] = plan.Body(part)
	pl := plan.Plan{Name: "monthly", Reason: "security updates", Stages: []plan.Stage{{Name: "production", Clusters: []plan.Cluster{{Name: "web", Part: plan.Digest(part), Members: part.Cluster.Members}}}}}
	w.bodies[plan.Digest(pl)] = plan.Body(pl)
	return plan.Digest(pl)
}

func TestFire(t *testing.T) {
	lead := inventory.Duration(5 * 24 * time.Hour)
	for _, row := range []struct {
		name  string
		at    time.Time
		rule  calendar.Calendar
		hosts calendar.Calendar
		fails error
		begin time.Time
		next  []int // days after the night
		err   string
	}{
		{name: "in time", at: night.Add(-time.Duration(lead)), rule: nights(0, 28, 56), hosts: nights(0, 7), begin: night, next: []int{28, 56}},
		{name: "no window is open then", at: night.Add(-time.Duration(lead)), rule: nights(0, 28), hosts: nights(-7, 7), begin: night.AddDate(0, 0, 7), next: []int{28}},
		{name: "no window ever is: that is told when it is its turn", at: night.Add(-time.Duration(lead)), rule: nights(0, 28), begin: night, next: []int{28}},
		{name: "a person has it fire", at: night.Add(-time.Hour), rule: nights(0, 28), hosts: nights(0), next: []int{28}},
		{name: "the server cannot be told", at: night.Add(-time.Duration(lead)), rule: nights(0, 28), hosts: nights(0), fails: errors.New("no connection"), begin: night, next: []int{28}},
		{name: "the rule is not known", at: night, rule: calendar.Calendar{Unknown: "it never comes about"}, err: "the schedule's rule: it never comes about"},
	} {
		w := newWorld()
		files := filed(w)
		told := &renewals{fails: row.fails}
		a := w.activities()
		a.Calendars, a.Schedules = almanac{row.rule, row.hosts}, told
		r, err := a.Fire(t.Context(), FireInput{Name: "monthly", Files: files, Schedule: plan.Schedule{Cron: "0 21 * * 3", Lead: &lead}, At: row.at})
		if row.err != "" || err != nil {
			if err == nil || !strings.Contains(err.Error(), row.err) || row.err == "" {
				t.Errorf("%s: %v, want %q", row.name, err, row.err)
			}
			continue
		}
		var next []time.Time
		for _, n := range row.next {
			next = append(next, night.AddDate(0, 0, n).Add(-time.Duration(lead)))
		}
		if !r.Begin.Equal(row.begin) || !slices.EqualFunc(r.Next, next, time.Time.Equal) || !slices.EqualFunc(told.at, next, time.Time.Equal) || (r.Trouble != "") != (row.fails != nil) {
			t.Errorf("%s: %+v, and the server is told of %s", row.name, r, told.at)
		}
	}
}

func TestTurnAsksWindows(t *testing.T) {
	for _, row := range []struct {
		name    string
		hosts   calendar.Calendar
		ok      bool
		next    int // days after the night; 0: none
		why     string
		unknown string
	}{
		{name: "the window has just opened", hosts: nights(0, 7), ok: true, next: 7},
		{name: "it is the last one", hosts: nights(0), ok: true},
		{name: "none is open", hosts: nights(7), next: 7, why: "no window is open"},
		{name: "a freeze stands against it", hosts: calendar.Calendar{Windows: nights(0, 7).Windows, Freezes: []calendar.Span{{Start: night, End: night.Add(24 * time.Hour), Name: "fair"}}}, next: 7, why: `freeze "fair"`},
		{name: "nobody can tell", hosts: calendar.Calendar{Unknown: "no connection"}, unknown: "no connection"},
	} {
		w := newWorld()
		files := filed(w)
		a := w.activities()
		a.Calendars, a.Now = almanac{hosts: row.hosts}, func() time.Time { return night.Add(2 * time.Second) }
		o, err := a.Turn(t.Context(), TurnInput{Plan: files})
		next := time.Time{}
		if row.next > 0 {
			next = night.AddDate(0, 0, row.next)
		}
		if err != nil || o.OK != row.ok || !o.Next.Equal(next) || !strings.Contains(o.Why, row.why) || o.Unknown != row.unknown {
			t.Errorf("%s: %+v, %v", row.name, o, err)
		}
	}
}

// A freeze that a person typed stands in no calendar.
func TestTurnAsksWhetherTheEstateIsFrozen(t *testing.T) {
	for _, row := range []struct {
		name         string
		frozen       string
		unfrozen     error
		from         time.Time
		ok           bool
		why, unknown string
	}{
		{name: "it is not", ok: true},
		{name: "it is", frozen: "frozen by ann (claimed) since then: incident", why: "frozen by ann"},
		{name: "nobody can tell", unfrozen: errors.New("no connection"), unknown: "whether the estate is frozen: no connection"},
		{name: "what is typed now says nothing of next week", frozen: "frozen by ann", from: night.AddDate(0, 0, 7), ok: true},
	} {
		w := newWorld()
		files := filed(w)
		w.frozen, w.unfrozen = row.frozen, row.unfrozen
		a := w.activities()
		a.Calendars, a.Now = almanac{hosts: nights(0, 7)}, func() time.Time { return night.Add(2 * time.Second) }
		o, err := a.Turn(t.Context(), TurnInput{Plan: files, From: row.from})
		if err != nil || o.OK != row.ok || !strings.HasPrefix(o.Why, row.why) || (o.Why == "") != (row.why == "") || o.Unknown != row.unknown || row.why != "" && !o.Next.Equal(night.AddDate(0, 0, 7)) {
			t.Errorf("%s: %+v, %v", row.name, o, err)
		}
	}
}

func TestDraftHoldsWhatHostsSaid(t *testing.T) {
	w := newWorld()
	files := filed(w)
	q := plan.Question{Hosts: []plan.Asking{{Host: "web-1"}, {Host: "web-2"}}}
	answers := []plan.Answer{{Host: "web-3", Unknown: "no connection"}, {Host: "web-4", OS: "debian", Release: "12", Arch: "amd64"}}
	for _, v := range []any{q, answers} {
		w.bodies[plan.Digest(v)] = plan.Body(v)
	}
	r, err := w.activities().Draft(t.Context(), DraftInput{Files: files, At: night, By: "ann", Batches: []DraftBatch{
		{Question: plan.Digest(q), Problem: "no worker of segment default took it up"}, {Question: "not read", Answers: plan.Digest(answers)},
	}})
	if err != nil {
		t.Fatal(err)
	}
	var saved plan.Saved
	if err := w.activities().load(t.Context(), r.Saved, &saved); err != nil {
		t.Fatal(err)
	}
	if r.Campaign.Instance != "monthly-20261111T210000Z" || r.Campaign.Requester != "ann" || r.Campaign.Plan != saved.Digest || r.Unknown != 3 || r.Asked != 4 || len(saved.Answers) != 4 || !strings.Contains(r.Silent, "web-3: no connection") || saved.Answers[0].Unknown != "no worker of segment default took it up" {
		t.Errorf("%+v\n%+v", r, saved.Answers)
	}
	for _, digest := range []string{saved.Digest, r.Campaign.Clusters[0].Part} {
		if w.bodies[digest] == nil {
			t.Errorf("%s is not in the store", digest)
		}
	}
	if _, err := w.activities().Draft(t.Context(), DraftInput{Files: files, At: night, Batches: []DraftBatch{{Answers: "gone"}}}); err == nil {
		t.Error("answers that are not there make a plan")
	}
}

// What no host said anything to is no plan that people could agree to.
func TestDraftOfNoAnswersIsRefused(t *testing.T) {
	w := newWorld()
	files := filed(w)
	answers := []plan.Answer{{Host: "web-1", Unknown: "no route to host"}, {Host: "web-2", Unknown: "no route to host"}}
	w.bodies[plan.Digest(answers)] = plan.Body(answers)
	r, err := w.activities().Draft(t.Context(), DraftInput{Files: files, At: night, By: "ann", Batches: []DraftBatch{{Answers: plan.Digest(answers)}}})
	var app *temporal.ApplicationError
	if !errors.As(err, &app) || !app.NonRetryable() || !strings.Contains(err.Error(), "none of 2 hosts answered: web-1: no route to host; web-2: no route to host") || !strings.Contains(err.Error(), "rollpatch schedule trigger monthly") {
		t.Errorf("%+v, %v: want it refused for good, with what to type", r, err)
	}
}

func TestDraftRefusesWhatNobodyCanTell(t *testing.T) {
	w := newWorld()
	files := filed(w)
	answers := []plan.Answer{{Host: "web-1", Untold: "packages.security: no repository says"}, {Host: "web-2", Untold: "packages.security: no repository says"}}
	w.bodies[plan.Digest(answers)] = plan.Body(answers)
	r, err := w.activities().Draft(t.Context(), DraftInput{Files: files, At: night, By: "ann", Batches: []DraftBatch{{Answers: plan.Digest(answers)}}})
	var app *temporal.ApplicationError
	if !errors.As(err, &app) || !app.NonRetryable() || !strings.Contains(err.Error(), `cluster "web" is refused: web-1, web-2: packages.security: no repository says`) || !strings.Contains(err.Error(), "rollpatch schedule create") {
		t.Errorf("%+v, %v: want it refused for good, with what to type", r, err)
	}
}

// Between its making and its turn lie days: what was approved is brought to its hosts in them, also where there is no window to wait for.
func TestDraftHasItsPackagesFetchedMeanwhile(t *testing.T) {
	for _, row := range []struct {
		name            string
		waits, windowed bool
		fetch           campaign.Fetch
		want            bool
	}{
		{"its turn is still to come", true, false, campaign.FetchApproved, true},
		{"and its window", true, true, campaign.FetchApproved, true},
		{"a person had it fire: it begins at once", false, false, campaign.FetchApproved, false},
		{"its policy is to fetch on the night", true, true, campaign.FetchWindow, false},
	} {
		w := newWorld()
		part := timed()
		if part.Policy.Fetch = row.fetch; !row.windowed {
			part.When = nil
		}
		w.bodies[plan.Digest(part)] = plan.Body(part)
		pl := plan.Plan{Name: "monthly", Reason: "security updates", Stages: []plan.Stage{{Name: "production", Clusters: []plan.Cluster{{Name: "web", Part: plan.Digest(part), Members: part.Cluster.Members}}}}}
		w.bodies[plan.Digest(pl)] = plan.Body(pl)
		answers := []plan.Answer{{Host: "web-1", OS: "debian", Release: "12", Arch: "amd64", Packages: []plan.Package{{Name: "openssl", Old: "1.0", New: "1.1"}}}}
		w.bodies[plan.Digest(answers)] = plan.Body(answers)
		r, err := w.activities().Draft(t.Context(), DraftInput{Files: plan.Digest(pl), At: night, By: "ann", Batches: []DraftBatch{{Answers: plan.Digest(answers)}}, Waits: row.waits})
		if err != nil || r.Campaign.Clusters[0].Ahead.Wanted != row.want {
			t.Errorf("%s: %+v, %v, want it fetched before: %t", row.name, r.Campaign.Clusters, err, row.want)
		}
		if w.bodies[r.Campaign.Plan] == nil {
			t.Errorf("%s: the plan %s is not in the store", row.name, r.Campaign.Plan)
		}
	}
}
