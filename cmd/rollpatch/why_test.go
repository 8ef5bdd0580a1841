package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rollpatch/rollpatch/cmd/internal/status"
	"github.com/rollpatch/rollpatch/workflows"
	"github.com/rollpatch/rollpatch/workflows/plan"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

// questions are what people ask why of, in every state that there is an answer to.
func questions() []question {
	at := func(scene, name string) question { return question{scene + ", " + name, scenes[scene]()[0], name} }
	var all []question
	for _, step := range []rollout.Step{
		rollout.StepInspect, rollout.StepFetch, rollout.StepGate, rollout.StepDrain, rollout.StepPatch, rollout.StepReboot, rollout.StepCheck, rollout.StepUndrain,
	} {
		s := newStage().cacheDone().begin("web").out("web", "web-1", step)
		s.pending[workflows.MemberID("web-1")] = []status.Activity{{Name: "x", Attempt: 1, Taken: true, Since: s.at}}
		all = append(all, question{"a host in " + string(step), s.frame(), "web-1"})
	}
	back := newStage().cacheDone().begin("web").out("web", "web-1", rollout.StepCheck)
	back.step("web-1", rollout.MemberResult{Verdict: rollout.Fail, Reason: "unit nginx.service is failed"})
	all = append(all, question{"a host in backout", back.frame(), "web-1"})
	back.step("web-1", rollout.MemberResult{Verdict: rollout.Fail, Reason: "openssl 3.0.11 is missing"})
	all = append(all, question{"a host in quarantine", back.frame(), "web-1"})

	waits := newStage().cacheDone().begin("web").out("web", "web-1", rollout.StepGate)
	waits.step("web-1", rollout.MemberResult{Verdict: rollout.Inconclusive, Reason: "no Consul server answers"})
	all = append(all, question{"a host that waits", waits.frame(), "web-1"})
	untaken := newStage().cacheDone().begin("web").out("web", "web-1", rollout.StepPatch)
	untaken.pending[workflows.MemberID("web-1")] = []status.Activity{{Name: "Patch", Attempt: 1, Since: untaken.at.Add(-time.Minute)}}
	all = append(all, question{"a host that no worker attends to", untaken.frame(), "web-1"})
	lost := newStage().cacheDone().begin("web").out("web", "web-1", rollout.StepPatch)
	c := lost.clusters["web"]
	c.Cluster = c.Ended(rollout.MemberEnd{Host: "web-1", Mode: rollout.ModePatch, Outcome: rollout.Lost, Reason: "its workflow ended without a report: Terminated"}, lost.at)
	all = append(all, question{"a host that is lost", lost.report("web").frame(), "web-1"})
	gone := newStage().cacheDone().begin("web").bad("web", "web-1")
	gone.campaign = gone.campaign.Abort(rollout.Message{Actor: "ann", Reason: "not tonight"}, gone.at)
	c = gone.clusters["web"]
	c.Cluster = c.Abort(rollout.Message{Actor: "ann", Reason: "not tonight"}, gone.at)
	gone.release("web")
	all = append(all, question{"a host of an aborted instance", gone.frame(), "web-1"}, question{"its peer", gone.frame(), "web-2"}, question{"its cluster", gone.frame(), "web"})

	alone := newStage().cacheDone().begin("web").out("web", "web-1", rollout.StepDrain)
	c = alone.clusters["web"]
	c.Cluster = c.Hold(rollout.Message{Actor: "bob", Reason: "lunch"})
	all = append(all, question{"a peer of a cluster that is held next", alone.frame(), "web-2"})

	return append(all,
		at("unreachable", "web-1"), at("memberhold", "web-1"), at("memberhold", "web"),
		at("drain", "web-2"), at("drain", "web"), at("drain", "cache-1"), at("first", "web-1"), at("first", "web"), at("claim", "cache-1"), at("claim", "cache"),
		at("twice", "cache"), at("twice", "cache-2"), at("twice", "monthly"), at("backingout", "web"), at("backingout", "web-2"), at("released", "cache-1"),
		at("soak", "web-1"), at("soak", "web-2"), at("soak", "web"), at("gate", "web-1"), at("gate", "web-2"), at("gate", "web"), at("settle", "web-2"), at("settle", "web-3"), at("settle", "web"),
		at("hold", "web-1"), at("hold", "web-2"), at("hold", "web"), at("hold", "monthly"), at("backout", "web-1"), at("backout", "web-2"), at("backout", "web"),
		at("paused", "web-1"), at("paused", "web"), at("paused", "monthly"), at("pausedlater", "web-1"), at("pausedlater", "web-2"), at("pausedlater", "monthly"), at("last", "web-3"), at("last", "monthly"),
		at("done", "web-1"), at("done", "web"), at("done", "monthly"), at("halted", "cache-1"), at("halted", "cache-2"), at("halted", "cache"), at("halted", "web-1"), at("halted", "web"), at("halted", "monthly"),
		at("terminated", "web-1"), at("terminated", "monthly"),
		at("astray", "cache"), at("lost", "cache"), at("lost", "cache-1"), at("lost", "monthly"), at("owed", "cache"), at("owed", "cache-1"),
		at("ask", "web-1"), at("ask", "web-2"), at("ask", "web"), at("shared", "web-1"), at("shared", "web"), at("shared", "monthly"),
		at("start", "cache-1"), at("start", "cache"), at("start", "web"), at("start", "monthly"), at("startexpired", "monthly"),
		at("ramp", "web-1"), at("ramp", "web"), at("ramp", "monthly"),
		at("frozenmember", "web-1"), at("frozenmember", "web-2"), at("frozenmember", "web"),
	)
}

type question struct {
	title string
	frame frame
	name  string
}

// TestWhyInEveryState holds every answer against testdata/why.golden, which is there to be read as a whole.
func TestWhyInEveryState(t *testing.T) {
	store := sceneStore{}
	_, parts := sceneFiles()
	for _, part := range parts {
		store[plan.Digest(part)] = plan.Body(part)
	}
	var got bytes.Buffer
	for _, q := range questions() {
		srv := &fake{Frames: []frame{q.frame}}
		a, err := explain(context.Background(), srv, &status.Reader{Source: srv, Now: srv.time, Bodies: store}, q.name)
		if err != nil {
			t.Errorf("%s: %v", q.title, err)
			continue
		}
		fmt.Fprintf(&got, "# %s\n", q.title)
		printer{w: &got}.answer(a)
		got.WriteString("\n")
		if strings.TrimSpace(a.Reason) == "" || a.Reason == "-" || a.Who == "" {
			t.Errorf("%s: nobody is told why or who: %+v", q.title, a)
		}
		for _, w := range a.Awaits {
			if w.Person && len(w.Type) == 0 && !w.Mend {
				t.Errorf("%s: a person is waited for, and nothing is there to type: %+v", q.title, w)
			}
		}
	}
	path := filepath.Join("testdata", "why.golden")
	if *update {
		if err := os.WriteFile(path, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got.String() != string(want) {
		t.Errorf("the answers are not those of %s; go test -update writes it anew, then read the difference:\n%s", path, got.String())
	}
}

func TestWhyOfAHostThatWasLeftDrained(t *testing.T) {
	const why = "it was left drained by monthly-1, which this server does not know"
	m := workflows.MemberState{Member: rollout.Forgotten("monthly-1", "web", "web-1", why, rollout.MemberPolicy{Unattended: true})}
	if got, want := ofReturn(m, sceneStart).Reason, "on its way back ("+why+"): inspect web-1"; got != want {
		t.Errorf("while it is looked at: %q, want %q", got, want)
	}
	for _, v := range []rollout.Verdict{rollout.Fail, rollout.Pass} { // of the inspection, and of putting it on record
		m.Member = m.Apply(fmt.Sprintf("%s.%d", m.Step, m.Asked), rollout.MemberResult{Verdict: v, Reason: "unclean"}, sceneStart)
	}
	if got, want := ofReturn(m, sceneStart).Reason, "not in order: unclean (after: "+why+")"; got != want {
		t.Errorf("in quarantine: %q, want %q", got, want)
	}
}
