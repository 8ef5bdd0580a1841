package activities

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/rollpatch/rollpatch/inventory"
	"github.com/rollpatch/rollpatch/inventory/campaign"
	"github.com/rollpatch/rollpatch/workflows/audit"
	"github.com/rollpatch/rollpatch/workflows/plan"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

func TestAudited(t *testing.T) {
	for _, row := range []struct {
		says    string
		fails   audit.Kind
		work    error
		worked  bool
		entries int
		want    string // in the error; "" for none
	}{
		{"the intent stands before the work, the outcome after it", "", nil, true, 2, ""},
		{"what cannot be written down is not done", audit.Intent, nil, false, 0, "audit: intent of patch: disk full"},
		{"work that could not be done has no outcome", "", errors.New("no answer"), true, 1, "no answer"},
		{"an outcome that cannot be written is an error, so that the work is asked for again", audit.Outcome, nil, true, 1, "audit: outcome of patch: disk full"},
	} {
		t.Run(row.says, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				w.auditFails = row.fails
				a, in := w.activities(), intent("patch", "web-1")
				head, err := do(t, nil, func(ctx context.Context, in audit.Entry) (audit.Head, error) {
					return a.audited(ctx, in, func(context.Context) (string, string, error) {
						w.note("work")
						return "pass: done", "sha256:1", row.work
					})
				}, in)
				if (w.did("work") == 1) != row.worked || len(w.entries) != row.entries {
					t.Errorf("did %q", w.log)
				}
				switch {
				case row.want == "":
					out := w.entries[1]
					if err != nil || !slices.Equal(w.log, []string{"audit intent", "work", "audit outcome"}) || head != out.Head() || out.Prev != in.Digest ||
						out.Actor != "worker-1" || out.Action != "patch" || out.Host != "web-1" || out.Result != "pass: done" || out.Output != "sha256:1" {
						t.Errorf("head %+v, %v, outcome %+v, did %q", head, err, out, w.log)
					}
				case err == nil || !strings.Contains(err.Error(), row.want):
					t.Errorf("error %v, want %q in it", err, row.want)
				}
			})
		})
	}
}

func TestWorkerStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, stop := newWorld(), make(chan struct{})
		w.silent = true
		in := StepInput{Instance: instance, Host: "web-1", Run: "run-1", Intent: intent("patch", "web-1")}
		w.transaction(&in)
		in.Part, _ = w.Put(t.Context(), plan.Body(webPart()))
		began := time.Now()
		time.AfterFunc(30*time.Second, func() { close(stop) })
		r, err := do(t, stop, w.activities().Patch, in)
		if err == nil || !strings.Contains(err.Error(), `host "web-1": step "patch": context canceled`) || len(w.entries) != 1 {
			t.Errorf("%+v, %v with %d entries; want no result: the next attempt attaches to the run", r, err, len(w.entries))
		}
		if took := time.Since(began); took != 30*time.Second {
			t.Errorf("it took %s to notice", took)
		}
	})
}

func TestBadInput(t *testing.T) {
	w := newWorld()
	part, _ := w.Put(t.Context(), plan.Body(webPart()))
	broken, _ := w.Put(t.Context(), []byte("{"))
	changes := StepInput{Part: part, Host: "web-1", Changes: broken}
	for _, row := range []struct {
		says string
		in   StepInput
		step stepFunc
		want string
		kind string
	}{
		{"a host that the part does not know cannot be worked on", StepInput{Part: part, Host: "db-1"}, (*Activities).Check, `host "db-1" is not in the part of cluster "web"`, ErrBadInput},
		{"a body that is no JSON stays so", StepInput{Part: broken, Host: "web-1"}, (*Activities).Check, "unexpected end of JSON", ErrBadInput},
		{"a transaction that is no JSON stays so", changes, (*Activities).Patch, "unexpected end of JSON", ErrBadInput},
		{"a body that cannot be had may be had later", StepInput{Part: "sha256:0", Host: "web-1"}, (*Activities).Check, "body sha256:0: not there", "wrapError"},
		{"a reboot needs to know the boot that it leaves", StepInput{Part: part, Host: "web-1"}, (*Activities).Reboot, "no boot id to tell the next boot from", ErrBadInput},
	} {
		a := w.activities()
		row.in.Intent = intent("patch", "web-1")
		_, err := do(t, nil, func(ctx context.Context, in StepInput) (StepResult, error) { return row.step(a, ctx, in) }, row.in)
		if err == nil || !strings.Contains(err.Error(), row.want) || errorType(err) != row.kind {
			t.Errorf("%s: error %v of type %q, want %q of type %q", row.says, err, errorType(err), row.want, row.kind)
		}
	}
	if w.did("run reboot") > 0 {
		t.Error("a reboot without a boot id was started")
	}
}

func TestClaim(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		a, p := w.activities(), webPart()
		sharedHost(w, &p)
		in := ClaimInput{Instance: instance, Reason: "monthly patches", Intent: intent("claim", "")}
		in.Part, _ = w.Put(t.Context(), plan.Body(p))
		claim := func() ClaimResult {
			r, err := do(t, nil, a.Claim, in)
			if err != nil {
				t.Fatal(err)
			}
			return r
		}
		w.records["cluster/db"] = Claim{Key: "cluster/db", Owner: "other-1", Server: theServer, Since: in.Intent.Time, Reason: "urgent"}
		if r := claim(); r.OK || !r.Held || r.Reason != "cluster/db is claimed by other-1 since 2026-11-21 12:00 (urgent)" || len(w.records) != 1 {
			t.Errorf("a cluster that shares a host with a claimed one: %+v, records %v", r, w.records)
		}
		w.records["cluster/db"] = Claim{Key: "cluster/db", Owner: instance, Server: another, Since: in.Intent.Time, Reason: "urgent"}
		if r := claim(); r.OK || !r.Held || !strings.Contains(r.Reason, instance+" of another rollpatch since") {
			t.Errorf("an instance of the same name on another server has it: %+v", r)
		}
		if r, err := do(t, nil, a.Release, in); err != nil || !r.OK || len(w.records) != 1 {
			t.Errorf("release of what that one has: %+v, %v, records %v", r, err, w.records)
		}
		delete(w.records, "cluster/db")
		if r := claim(); !r.OK || r.Held || w.records["cluster/web"].Owner != instance || w.records["cluster/db"].Reason != "monthly patches" {
			t.Errorf("both free: %+v, records %v", r, w.records)
		}
		if r := claim(); !r.OK {
			t.Errorf("taken again by its owner: %+v", r)
		}
		w.records["quarantine/web-1"] = Claim{Key: "quarantine/web-1", Owner: instance, Server: theServer}
		r, err := do(t, nil, a.Release, in)
		if err != nil || !r.OK || len(w.records) != 1 {
			t.Errorf("release: %+v, %v, records %v; want the quarantine to stay", r, err, w.records)
		}
		w.claims = errAway
		if r := claim(); r.OK || r.Held || r.Reason != "the servers are away" {
			t.Errorf("servers away: %+v, want trouble and its cause alone", r)
		}
		if r, err := do(t, nil, a.Release, in); err != nil || r.OK || r.Held || r.Reason != "the servers are away" {
			t.Errorf("servers away at the release: %+v, %v", r, err)
		}
		w.proveNoSecret(t, r)
	})
}

func TestTell(t *testing.T) {
	w := newWorld()
	a := w.activities()
	to := func(name string, events ...campaign.Event) campaign.Notify {
		return campaign.Notify{Name: name, Events: events, Webhook: &campaign.Webhook{URL: inventory.Secret{File: secretFile}}}
	}
	in := TellInput{Notice: Notice{Event: rollout.TellHold, Text: "web-1 holds"}}
	in.Plan, _ = w.Put(t.Context(), plan.Body(plan.Plan{Notify: []campaign.Notify{
		to("all"), to("holds", campaign.EventHold), to("ends", campaign.EventDone, campaign.EventHalted), to("pager", campaign.EventHold),
	}}))
	names, err := a.Receivers(t.Context(), in)
	if err != nil || !slices.Equal(names, []string{"all", "holds", "pager"}) {
		t.Errorf("Receivers = %q, %v; want only those who want it", names, err)
	}
	in.Receiver = "holds"
	if err := a.Tell(t.Context(), in); err != nil || !slices.Equal(w.told, []string{"holds"}) {
		t.Errorf("told %q, %v; want the one that is meant", w.told, err)
	}
	w.undelivered["pager"] = errors.New("status 503")
	in.Receiver = "pager"
	if err := a.Tell(t.Context(), in); err == nil || err.Error() != "notify \"pager\": status 503" {
		t.Errorf("an undelivered notice is %v, want an error that names the receiver", err)
	}
	in.Receiver = "nobody"
	if err := a.Tell(t.Context(), in); errorType(err) != ErrBadInput {
		t.Errorf("a receiver that the plan does not name is %v, want %s", err, ErrBadInput)
	}
	w.proveNoSecret(t, in)
	if err := a.Tell(t.Context(), TellInput{Plan: "sha256:0"}); err == nil {
		t.Error("a plan that is not there is no error")
	}
}

func TestRecord(t *testing.T) {
	w := newWorld()
	first, head := audit.Head{Chain: "campaign/x"}.Next(audit.Entry{Kind: audit.Message, Action: "approve"})
	second, _ := head.Next(audit.Entry{Kind: audit.Child, Result: "sha256:1"})
	in := RecordInput{Entries: []audit.Entry{first, second}}
	if err := w.activities().Record(t.Context(), in); err != nil || !slices.Equal(w.entries, in.Entries) {
		t.Errorf("entries %v, %v", w.entries, err)
	}
	w.auditFails = audit.Child
	if err := w.activities().Record(t.Context(), in); err == nil {
		t.Error("an entry that cannot be written is no error")
	}
}

func TestBegin(t *testing.T) {
	w, p := newWorld(), webPart()
	p.Hosts[1].Segment = "dmz"
	short, long := inventory.Duration(5*time.Second), inventory.Duration(30*time.Second)
	p.Cluster.Consul.DNSTTL, p.Others = &short, []plan.Other{dbCluster()}
	p.Others[0].Cluster.Consul.DNSTTL = &long
	part, _ := w.Put(t.Context(), plan.Body(p))
	got, err := w.activities().Begin(t.Context(), BeginInput{Instance: instance, Part: part, Unattended: true})
	want := BeginResult{
		Cluster: p.State(instance, true), Member: p.MemberPolicy(true), Segments: map[string]string{"web-1": "", "web-2": "dmz", "web-3": ""},
		Limits: map[rollout.Step]time.Duration{
			rollout.StepFetch: 30 * time.Minute, rollout.StepDrain: time.Minute + 30*time.Second, rollout.StepPatch: time.Hour, rollout.StepBackout: time.Hour,
			rollout.StepReboot: 5 * time.Minute, rollout.StepCheck: time.Minute, rollout.StepUndrain: 2 * time.Minute,
		},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("Begin = %+v, %v; want %+v", got, err, want)
	}
}

// A host goes back into one of its clusters after the other, and each runs its scripts and waits for what they say.
func TestLimitsOfScripts(t *testing.T) {
	p := webPart()
	p.Others = []plan.Other{dbCluster(), dbCluster()}
	scripted := func(c *inventory.Cluster, members ...string) { c.Drain, c.Members = inventory.DrainCommand, members }
	for _, row := range []struct {
		says           string
		change         func()
		drain, undrain time.Duration
	}{
		{"no scripts", func() {}, time.Minute, 2 * time.Minute},
		{"one cluster by scripts", func() { scripted(&p.Others[0].Cluster, "web-1", "db-2") }, 2 * time.Minute, 4 * time.Minute},
		{"two, each with another member", func() { scripted(&p.Others[1].Cluster, "web-2", "db-3") }, 2 * time.Minute, 4 * time.Minute},
		{"two, both with one member", func() { scripted(&p.Others[1].Cluster, "web-1", "db-3") }, 2 * time.Minute, 6 * time.Minute},
	} {
		row.change()
		if got := limits(p); got[rollout.StepDrain] != row.drain || got[rollout.StepUndrain] != row.undrain {
			t.Errorf("%s: drain %s, undrain %s; want %s and %s", row.says, got[rollout.StepDrain], got[rollout.StepUndrain], row.drain, row.undrain)
		}
	}
}

func TestTail(t *testing.T) {
	if got := tail([]byte("short")); got != "short" {
		t.Errorf("tail = %q", got)
	}
	long := strings.Repeat("é", tailSize) + "x" // cut in the middle of a letter
	if got := tail([]byte(long)); len(got) > tailSize || !utf8.ValidString(got) || !strings.HasSuffix(got, "éx") {
		t.Errorf("tail of %d bytes has %d, valid %t", len(long), len(got), utf8.ValidString(got))
	}
}
