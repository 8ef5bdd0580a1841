package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/rollpatch/rollpatch/activities/store"
	"github.com/rollpatch/rollpatch/cmd/internal/status"
	"github.com/rollpatch/rollpatch/cmd/internal/wiring"
	"github.com/rollpatch/rollpatch/workflows"
	"github.com/rollpatch/rollpatch/workflows/advisory"
	"github.com/rollpatch/rollpatch/workflows/plan"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

// entry is a workflow as the fake server has it.
type entry struct {
	status.Execution
	Kind     string          `json:"kind"`
	Cluster  string          `json:"cluster,omitempty"`
	JSON     json.RawMessage `json:"json"`
	NoWorker bool            `json:"no_worker,omitempty"`
	Refuses  string          `json:"refuses,omitempty"` // every message, in these words
}

// frame is the server at one moment; a pause of the command moves on to the next.
type frame struct {
	At        time.Time        `json:"at"`
	Workflows map[string]entry `json:"workflows"`
	Taken     bool             `json:"taken,omitempty"`
	Frozen    frozen           `json:"frozen,omitzero"`
	// Records are what stands in Consul; Answer is how a request about them ends instead.
	Records []workflows.Record `json:"records,omitempty"`
	Answer  string             `json:"answer,omitempty"`
	// Asked are hosts that answer what they would get; the others cannot be reached. Nobody: no worker does.
	Asked  []plan.Answer `json:"asked,omitempty"`
	Nobody bool          `json:"nobody,omitempty"`
	// Built are the packages of hosts by their sources, where an emergency's advisories are asked for, and Offers the versions of these that
	// their repositories have.
	Built  map[string][]advisory.Package `json:"built,omitempty"`
	Offers map[string]string             `json:"offers,omitempty"`
	// Schedules are those that the server keeps.
	Schedules []scheduled `json:"schedules,omitempty"`
}

// fake stands for a Temporal server and its workers. What it is sent is appended to a file.
type fake struct {
	Frames []frame `json:"frames"`
	at     int
	sent   string
}

func loadFake(path, sent string) (*fake, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	f := &fake{sent: sent}
	return f, json.Unmarshal(raw, f)
}

func (f *fake) pass() { f.at = min(f.at+1, len(f.Frames)-1) }

func (f *fake) now() map[string]entry { return f.Frames[f.at].Workflows }

func (f *fake) time() time.Time { return f.Frames[f.at].At }

func (f *fake) State(_ context.Context, id string, into any) error {
	e, ok := f.now()[id]
	switch {
	case !ok:
		return status.ErrNotFound
	case e.NoWorker:
		return status.ErrNoWorker
	}
	return json.Unmarshal(e.JSON, into)
}

func (f *fake) Describe(_ context.Context, id string) (status.Execution, error) {
	e, ok := f.now()[id]
	if !ok {
		return status.Execution{}, status.ErrNotFound
	}
	return e.Execution, nil
}

func (f *fake) List(_ context.Context, want filter) ([]status.Execution, error) {
	var out []status.Execution
	for id, e := range f.now() {
		if e.Kind == want.kind && strings.HasPrefix(id, want.prefix) && (want.cluster == "" || e.Cluster == want.cluster) && (!want.running || e.Status == status.Running) {
			out = append(out, e.Execution)
		}
	}
	slices.SortFunc(out, func(a, b status.Execution) int { return b.Started.Compare(a.Started) })
	return out, nil
}

func (f *fake) Start(_ context.Context, st workflows.CampaignState) error {
	if f.Frames[f.at].Taken {
		return errTaken
	}
	sent := map[string]any{"start": workflows.CampaignID(st.Instance), "plan": st.Plan, "requester": st.Requester, "tell": st.Tell}
	if st.Request != nil {
		sent["request"] = st.Request
	}
	return f.record(sent)
}

func (f *fake) Tell(_ context.Context, id, word string, m rollout.Message) error {
	e, ok := f.now()[id]
	switch {
	case !ok || e.Status != status.Running:
		return status.ErrNotFound
	case e.NoWorker:
		return status.ErrNoWorker
	case e.Refuses != "":
		return &refusal{e.Refuses}
	}
	return f.record(map[string]any{"to": id, "word": word, "message": m})
}

func (f *fake) Freeze(_ context.Context, m rollout.Message) error {
	if f.Frames[f.at].Frozen.Frozen {
		return errTaken
	}
	return f.record(map[string]any{"freeze": m})
}

func (f *fake) Frozen(context.Context) (frozen, error) { return f.Frames[f.at].Frozen, nil }

func (f *fake) Records(_ context.Context, id string, in workflows.RecordsInput) ([]workflows.Record, error) {
	switch how, text, _ := strings.Cut(f.Frames[f.at].Answer, ": "); how {
	case "no worker":
		return nil, status.ErrNoWorker
	case "on its way":
		return nil, &onItsWayError{"; " + text}
	case "refused":
		return nil, &refusal{text}
	case "failed":
		return nil, errors.New(text)
	}
	all := f.Frames[f.at].Records
	if in.Word == workflows.RecordsList {
		return all, f.record(map[string]any{"records": id, "word": in.Word, "parts": len(in.Parts), "segments": len(in.Segments)})
	}
	for _, r := range all {
		if strings.HasSuffix(r.Key, "/"+in.Name) && (strings.HasPrefix(r.Key, rollout.QuarantineRecord) || strings.HasPrefix(r.Key, rollout.VersionsRecord)) == (in.Word != workflows.RecordsBreak) && !strings.HasPrefix(r.Key, rollout.DrainRecord) {
			if in.Word == workflows.RecordsWiden && r.Widened == nil {
				_, id, _ := strings.Cut(in.Name, "/")
				r.Into = in.Scope + "/" + id
			}
			in.Parts, in.Segments = nil, nil // digests
			return []workflows.Record{r}, f.record(map[string]any{"records": id, "in": in})
		}
	}
	return nil, &refusal{in.Name + " has no record"}
}

// Plan is what workers do with questions: read them in the store, and put the answers there.
func (f *fake) Plan(ctx context.Context, id string, in workflows.PlanInput) ([]workflows.PlanAnswer, error) {
	if f.Frames[f.at].Nobody {
		return nil, status.ErrNoWorker
	}
	folder, err := store.NewFolder(cmp.Or(os.Getenv("ROLLPATCH_STORE"), wiring.StateDir(os.Getenv, "store")))
	if err != nil {
		return nil, err
	}
	said := plan.ByHost(f.Frames[f.at].Asked)
	var out []workflows.PlanAnswer
	hosts := 0
	for _, b := range in.Batches {
		hosts += b.Hosts
		if b.Segment != "default" {
			out = append(out, workflows.PlanAnswer{Unknown: b.Hosts, Problem: "no worker of segment " + b.Segment + " took it up within 2m0s"})
			continue
		}
		var q plan.Question
		body, err := folder.Get(ctx, b.Question)
		if err := errors.Join(err, json.Unmarshal(body, &q)); err != nil {
			return nil, err
		}
		var answers []plan.Answer
		for _, h := range q.Hosts {
			if _, err := folder.Get(ctx, h.Part); err != nil {
				return nil, err
			}
			a, ok := said[h.Host]
			if !ok {
				a = plan.Answer{Host: h.Host, Unknown: "no connection: i/o timeout"}
			}
			if f := f.Frames[f.at]; ok && len(q.Advisories) > 0 {
				told := advisory.On(q.Advisories, a.OS, a.Release, f.Built[h.Host], f.Offers, nil)
				a.Advised, a.Named = &told, nil
			}
			answers = append(answers, a)
		}
		digest, err := folder.Put(ctx, plan.Body(answers))
		if err != nil {
			return nil, err
		}
		out = append(out, workflows.PlanAnswer{Answers: digest})
	}
	return out, f.record(map[string]any{"plan": id, "batches": len(in.Batches), "hosts": hosts})
}

func (f *fake) record(v any) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return err
	}
	file, err := os.OpenFile(f.sent, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = fmt.Fprintln(file, string(raw))
	return err
}

func (f *fake) Close() {}
