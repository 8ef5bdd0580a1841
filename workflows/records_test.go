package workflows_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"

	"github.com/rollpatch/rollpatch/activities"
	"github.com/rollpatch/rollpatch/workflows"
	"github.com/rollpatch/rollpatch/workflows/audit"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

// records runs one request about what stands in Consul; dropped are the keys that went.
func (w *world) records(t *testing.T, in workflows.RecordsInput, stand []activities.Claim, running ...string) (found []workflows.Record, dropped []string, err error) {
	t.Helper()
	var suite testsuite.WorkflowTestSuite
	env := environment(&suite)
	env.SetTestTimeout(30 * time.Second)
	env.SetStartWorkflowOptions(client.StartWorkflowOptions{ID: "records/1", TaskQueue: workflows.Queue})
	workflows.Register(env)
	env.RegisterActivityWithOptions(func(context.Context) (string, error) { return server, nil }, activity.RegisterOptions{Name: "Server"})
	env.RegisterActivityWithOptions(func(context.Context, activities.RecordsInput) ([]activities.Claim, error) {
		return stand, nil
	}, activity.RegisterOptions{Name: "Records"})
	env.RegisterActivityWithOptions(func(_ context.Context, in activities.DropInput) (activities.DropResult, error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		for _, k := range in.Keys {
			dropped = append(dropped, in.Owner.Instance+" "+k)
		}
		w.entries = append(w.entries, in.Intent)
		return activities.DropResult{}, nil
	}, activity.RegisterOptions{Name: "Drop"})
	env.RegisterActivityWithOptions(func(_ context.Context, in activities.WidenInput) (activities.WidenResult, error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.entries = append(w.entries, in.Intent); in.Part == "away" {
			return activities.WidenResult{}, temporal.NewNonRetryableApplicationError("connection refused", activities.ErrBadInput, nil)
		}
		w.calls = append(w.calls, "widen "+in.Of.Key+" to "+in.Scope+" through "+in.Part)
		out, head := in.Intent.Head().Next(audit.Entry{Kind: audit.Outcome, Action: in.Intent.Action, Result: "left out"})
		w.entries = append(w.entries, out)
		return activities.WidenResult{Already: in.Scope == "mq", Audit: head}, nil
	}, activity.RegisterOptions{Name: "Widen"})
	w.ask = func(in activities.AskInput) activities.AskResult {
		if slices.Contains(running, in.WorkflowID) {
			return activities.AskResult{Running: true, Status: "Running", Instance: claimed.Owner}
		}
		return activities.AskResult{Status: "not found"}
	}
	w.register(env)
	env.ExecuteWorkflow(workflows.RecordsType, in)
	if err = env.GetWorkflowError(); err == nil {
		err = env.GetWorkflowResult(&found)
	}
	return found, dropped, err
}

var (
	claimed     = activities.Claim{Key: "cluster/web", Owner: "monthly-1", Server: server, Reason: "security updates"}
	drained     = activities.Claim{Key: "drain/web-1", Owner: "monthly-1", Server: server}
	quarantined = activities.Claim{Key: "quarantine/web-1", Owner: "monthly-1", Server: server, Reason: "the backout failed"}
	person      = rollout.Message{Actor: "ann", Reason: "its server was restored from a backup"}
)

func refusedWith(t *testing.T, err error, want string) {
	t.Helper()
	var app *temporal.ApplicationError
	if !asApp(err, &app) || app.Type() != workflows.ErrRefused || !strings.Contains(app.Message(), want) {
		t.Errorf("ended with %v, want a refusal that says %q", err, want)
	}
}

func TestRecordsAreListedWithTheirOwners(t *testing.T) {
	all, dropped, err := newWorld().records(t, workflows.RecordsInput{Word: workflows.RecordsList, Parts: []string{"part"}}, []activities.Claim{claimed, drained, quarantined}, "campaign/monthly-1")
	if err != nil || len(all) != 3 || len(dropped) > 0 {
		t.Fatalf("%+v, dropped %v, %v", all, dropped, err)
	}
	if !all[0].Live || !all[2].Drained {
		t.Errorf("%+v: want the owner alive, and the quarantined member drained", all)
	}
}

// Two ways may lead to one Consul.
func TestRecordsAreListedOnce(t *testing.T) {
	all, _, err := newWorld().records(t, workflows.RecordsInput{Word: workflows.RecordsList, Parts: []string{"part", "another"}}, []activities.Claim{claimed, quarantined})
	if err != nil || len(all) != 2 {
		t.Errorf("%+v, %v: want each record once", all, err)
	}
}

func TestAClaimIsBrokenOnlyWhenItsOwnerIsGone(t *testing.T) {
	in := workflows.RecordsInput{Word: workflows.RecordsBreak, Parts: []string{"part"}, Name: "web", Message: person}
	w := newWorld()
	_, dropped, err := w.records(t, in, []activities.Claim{claimed}, "campaign/monthly-1")
	if err != nil || !slices.Equal(dropped, []string{"monthly-1 cluster/web"}) {
		t.Errorf("dropped %v, %v", dropped, err)
	}
	if len(w.entries) < 2 || w.entries[0].Kind != audit.Message || w.entries[0].Actor != "ann (claimed)" || w.entries[1].Kind != audit.Intent {
		t.Errorf("on the chain: %+v; want who said it, and the intent", w.entries)
	}
	_, dropped, err = newWorld().records(t, in, []activities.Claim{claimed}, "cluster/monthly-1/web")
	refusedWith(t, err, "rollpatch abort monthly-1")
	if len(dropped) > 0 {
		t.Errorf("dropped %v of a cluster that is worked on", dropped)
	}
	_, _, err = newWorld().records(t, in, []activities.Claim{drained})
	refusedWith(t, err, "is not claimed")

	// Its owner works on another cluster with one of its hosts, or only on a member of it any more.
	in.Clusters, in.Hosts = []string{"cache"}, []string{"web-1", "web-2"}
	_, dropped, err = newWorld().records(t, in, []activities.Claim{claimed}, "cluster/monthly-1/cache")
	refusedWith(t, err, `works on cluster "cache"`)
	if len(dropped) > 0 {
		t.Errorf("dropped %v of a cluster that shares a host with one that is worked on", dropped)
	}
	_, dropped, err = newWorld().records(t, in, []activities.Claim{claimed}, "host/web-2")
	refusedWith(t, err, "rollpatch why web-2")
	if len(dropped) > 0 {
		t.Errorf("dropped %v of a cluster with a member on its way", dropped)
	}
	other := claimed
	other.Owner = "weekly-1"
	if _, _, err = newWorld().records(t, in, []activities.Claim{other}, "host/web-2"); err != nil {
		t.Errorf("a member of another instance keeps a claim: %v", err)
	}
}

func TestRecordsOfAnotherRollpatchAreLeftToIt(t *testing.T) {
	theirs := func(c activities.Claim) activities.Claim { c.Server = "another server"; return c }
	for _, row := range []struct {
		in   workflows.RecordsInput
		key  string
		drop string
	}{
		{workflows.RecordsInput{Word: workflows.RecordsBreak, Name: "web"}, "cluster/web", "monthly-1 cluster/web"},
		{workflows.RecordsInput{Word: workflows.RecordsRelease, Name: "web-1", How: workflows.Retired}, "quarantine/web-1", "monthly-1 quarantine/web-1"},
		{workflows.RecordsInput{Word: workflows.RecordsRelease, Name: "web/3f2a9c1b7d20", How: workflows.Versions}, "versions/web/3f2a9c1b7d20", "monthly-1 versions/web/3f2a9c1b7d20"},
	} {
		stand := []activities.Claim{theirs(activities.Claim{Key: row.key, Owner: "monthly-1"})}
		row.in.Parts, row.in.Message = []string{"part"}, person
		_, dropped, err := newWorld().records(t, row.in, stand)
		refusedWith(t, err, "belongs to another rollpatch")
		if len(dropped) > 0 {
			t.Errorf("dropped %v", dropped)
		}
		row.in.Elsewhere = true // a person knows that it is gone
		if _, dropped, err = newWorld().records(t, row.in, stand); err != nil || !slices.Contains(dropped, row.drop) {
			t.Errorf("dropped %v, %v; want %s", dropped, err, row.drop)
		}
	}
}

// Two servers may give the same name to an instance: what works here under that name says nothing of theirs.
func TestARecordOfAnotherRollpatchIsNotThatOfItsNamesakeHere(t *testing.T) {
	theirs := claimed
	theirs.Server = "another server"
	here := []string{"campaign/monthly-1", "cluster/monthly-1/web"}
	all, _, err := newWorld().records(t, workflows.RecordsInput{Word: workflows.RecordsList, Parts: []string{"part"}}, []activities.Claim{theirs}, here...)
	if err != nil || len(all) != 1 || all[0].Live || !all[0].Elsewhere {
		t.Errorf("%+v, %v: want it listed as another's, of whose work nothing is known", all, err)
	}
	in := workflows.RecordsInput{Word: workflows.RecordsBreak, Parts: []string{"part"}, Name: "web", Message: person, Elsewhere: true}
	if _, dropped, err := newWorld().records(t, in, []activities.Claim{theirs}, here...); err != nil || len(dropped) != 1 {
		t.Errorf("dropped %v, %v; want the claim gone: a person knows that its server is", dropped, err)
	}
	shut := quarantined
	shut.Server = theirs.Server
	in = workflows.RecordsInput{Word: workflows.RecordsRelease, Parts: []string{"part"}, Name: "web-1", How: workflows.Return, Message: person, Elsewhere: true}
	w := newWorld("web-1", "web-2")
	if _, _, err := w.records(t, in, []activities.Claim{shut}); err != nil || !slices.Equal(w.servers, []string{"check " + shut.Server, "undrain " + shut.Server}) {
		t.Errorf("%v, steps as the owner on %q; want its record of the drain to be given back in its name", err, w.servers)
	}
}

func TestARecordThatCannotBeReadIsListedAndNotEnded(t *testing.T) {
	broken := activities.Claim{Key: "cluster/web", Broken: "it cannot be read: consul kv get rollpatch/claims/cluster/web"}
	all, _, err := newWorld().records(t, workflows.RecordsInput{Word: workflows.RecordsList, Parts: []string{"part"}}, []activities.Claim{broken, quarantined})
	if err != nil || len(all) != 2 || all[0].Reason != broken.Broken || all[0].Elsewhere {
		t.Errorf("%+v, %v: want both, and why one says nothing", all, err)
	}
	for _, sure := range []bool{false, true} {
		in := workflows.RecordsInput{Word: workflows.RecordsBreak, Parts: []string{"part"}, Name: "web", Message: person, Elsewhere: sure}
		_, dropped, err := newWorld().records(t, in, []activities.Claim{broken})
		refusedWith(t, err, "consul kv get")
		if len(dropped) > 0 {
			t.Errorf("dropped %v", dropped)
		}
	}
}

func TestAQuarantineEnds(t *testing.T) {
	in := workflows.RecordsInput{Word: workflows.RecordsRelease, Parts: []string{"part"}, Name: "web-1", How: workflows.Return, Message: person}
	stand := []activities.Claim{drained, quarantined}

	w := newWorld("web-1", "web-2")
	_, dropped, err := w.records(t, in, stand)
	if err != nil || !slices.Equal(dropped, []string{"monthly-1 quarantine/web-1"}) {
		t.Errorf("returned: dropped %v, %v", dropped, err)
	}
	if got := strings.Join(w.calls, ", "); got != "check web-1, undrain web-1" {
		t.Errorf("returned by %q, want its checks and its undrain", got)
	}

	w = newWorld("web-1", "web-2")
	w.on["check web-1"] = func(int) rollout.MemberResult {
		return rollout.MemberResult{Verdict: rollout.Fail, Reason: "page answers 500"}
	}
	_, dropped, err = w.records(t, in, stand)
	refusedWith(t, err, "stays in quarantine")
	if got := strings.Join(w.calls, ", "); got != "check web-1" || len(dropped) > 0 {
		t.Errorf("not in order, and %q was done to it, %v dropped", got, dropped)
	}

	// A script that failed in one return is not followed to that end by the next.
	w = newWorld("web-1", "web-2")
	w.scripted = 40
	if _, _, err = w.records(t, in, stand); err != nil {
		t.Fatal(err)
	}
	if len(w.runs) == 0 {
		t.Error("no script was run")
	}
	for _, run := range w.runs {
		if strings.HasSuffix(run, ".-1-1") {
			t.Errorf("run %s would be the same in every return", run)
		}
	}

	in.How = workflows.Retired
	w = newWorld()
	_, dropped, err = w.records(t, in, stand)
	if err != nil || !slices.Equal(dropped, []string{"monthly-1 quarantine/web-1", "monthly-1 drain/web-1"}) || len(w.calls) > 0 {
		t.Errorf("retired: dropped %v, %v, touched by %v", dropped, err, w.calls)
	}
	_, _, err = newWorld().records(t, in, nil)
	refusedWith(t, err, "is not in quarantine")
}

func TestVersionsAreReleasedOnceTheirInstanceHasLeftTheCluster(t *testing.T) {
	shut := activities.Claim{Key: "versions/web/3f2a9c1b7d20", Owner: "monthly-1", Server: server, Reason: "page answers 500", Suspects: &activities.Suspects{Cluster: "web", Count: 2, Body: "sha256:versions"}}
	in := workflows.RecordsInput{Word: workflows.RecordsRelease, Parts: []string{"part"}, Name: "web/3f2a9c1b7d20", How: workflows.Versions, Message: person}
	w := newWorld()
	was, dropped, err := w.records(t, in, []activities.Claim{shut, quarantined}, "campaign/monthly-1")
	if err != nil || !slices.Equal(dropped, []string{"monthly-1 versions/web/3f2a9c1b7d20"}) || len(was) != 1 || was[0].Suspects == nil {
		t.Errorf("%+v, dropped %v, %v", was, dropped, err)
	}
	if len(w.calls) > 0 || len(w.entries) < 2 || w.entries[0].Kind != audit.Message || w.entries[0].Actor != "ann (claimed)" || w.entries[1].Kind != audit.Intent {
		t.Errorf("touched by %v, on the chain: %+v; want who said it, and the intent", w.calls, w.entries)
	}
	_, dropped, err = newWorld().records(t, in, []activities.Claim{shut}, "cluster/monthly-1/web")
	refusedWith(t, err, "rollpatch abort monthly-1")
	if len(dropped) > 0 {
		t.Errorf("dropped %v while their instance works on the cluster", dropped)
	}
	_, _, err = newWorld().records(t, in, []activities.Claim{quarantined})
	refusedWith(t, err, "no versions are in quarantine as web/3f2a9c1b7d20")
}

func TestVersionsAreWidenedOnAPersonsWord(t *testing.T) {
	shut := activities.Claim{Key: "versions/web/3f2a9c1b7d20", Owner: "monthly-1", Server: server, Plan: "sha256:plan", Reason: "page answers 500", Suspects: &activities.Suspects{Cluster: "web", Count: 2, Body: "sha256:versions"}}
	in := workflows.RecordsInput{Word: workflows.RecordsWiden, Parts: []string{"web", "one", "two"}, Name: "web/3f2a9c1b7d20", Scope: rollout.Everywhere, Message: person}
	w := newWorld()
	was, dropped, err := w.records(t, in, []activities.Claim{shut}, "cluster/monthly-1/web")
	if err != nil || len(dropped) > 0 || len(was) != 1 || was[0].Into != "+all/3f2a9c1b7d20" {
		t.Fatalf("%+v, dropped %v, %v", was, dropped, err)
	}
	if got, want := strings.Join(w.calls, ", "), "widen versions/web/3f2a9c1b7d20 to +all through one, widen versions/web/3f2a9c1b7d20 to +all through two"; got != want {
		t.Errorf("did %q, want %q", got, want)
	}
	kinds := ""
	for i, e := range w.entries {
		if kinds += string(e.Kind) + " "; i > 0 && e.Prev != w.entries[i-1].Digest {
			t.Errorf("entry %d, %+v, does not follow the one before it", i, e)
		}
	}
	if want := "message intent outcome intent outcome "; kinds != want || w.entries[0].Actor != "ann (claimed)" {
		t.Errorf("on the chain: %s, want %s: %+v", kinds, want, w.entries)
	}
	if len(w.notices) != 1 || w.notices[0].Event != rollout.TellQuarantine || !strings.Contains(w.notices[0].Text, "left out as +all/3f2a9c1b7d20 too") || w.plans[0] != "sha256:plan" {
		t.Errorf("told %+v by %v", w.notices, w.plans)
	}

	in.Parts, in.Scope, w = []string{"web", "one"}, "mq", newWorld()
	if was, _, err = w.records(t, in, []activities.Claim{shut}); err != nil || was[0].Into != "" || len(w.notices) > 0 {
		t.Errorf("where they were left out before: %+v, %v, told %v", was, err, w.notices)
	}
	in.Parts, in.Scope, w = []string{"web", "one", "away"}, rollout.Everywhere, newWorld()
	_, _, err = w.records(t, in, []activities.Claim{shut})
	refusedWith(t, err, "whether web/3f2a9c1b7d20 is left out as +all/3f2a9c1b7d20 is not known: connection refused")
	if last := w.entries[len(w.entries)-1]; last.Kind != audit.Outcome || !strings.Contains(last.Result, "unknown") || len(w.notices) != 1 {
		t.Errorf("the chain ends with %+v, told %v; want that nobody knows, and people to hear of the one that was done", last, w.notices)
	}
	theirs, broken := shut, shut
	theirs.Server, broken.Broken = "another server", "consul kv get it"
	for says, stand := range map[string][]activities.Claim{"no versions are in quarantine as": {quarantined}, "say it there": {theirs}, "consul kv get it": {broken}} {
		w = newWorld()
		_, _, err = w.records(t, in, stand)
		refusedWith(t, err, says)
		if len(w.calls) > 0 {
			t.Errorf("%s: did %v", says, w.calls)
		}
	}
}

// What a person has widened did not fail there: nobody who works there tries it again, so nobody is waited for. Everywhere is in every Consul.
func TestWidenedVersionsAreReleased(t *testing.T) {
	shut := activities.Claim{Key: "versions/+all/3f2a9c1b7d20", Owner: "monthly-1", Server: server, Suspects: &activities.Suspects{Cluster: "web"}, Widened: &activities.Widened{From: "web/3f2a9c1b7d20", By: "ann"}}
	in := workflows.RecordsInput{Word: workflows.RecordsRelease, Parts: []string{"one", "two"}, Name: "+all/3f2a9c1b7d20", How: workflows.Versions, Message: person}
	_, dropped, err := newWorld().records(t, in, []activities.Claim{shut}, "cluster/monthly-1/web")
	if want := []string{"monthly-1 versions/+all/3f2a9c1b7d20", "monthly-1 versions/+all/3f2a9c1b7d20"}; err != nil || !slices.Equal(dropped, want) {
		t.Errorf("dropped %v, %v; want %v", dropped, err, want)
	}
}
