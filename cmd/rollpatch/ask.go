package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"

	"github.com/rollpatch/rollpatch/activities/store"
	"github.com/rollpatch/rollpatch/cmd/internal/status"
	"github.com/rollpatch/rollpatch/workflows"
	"github.com/rollpatch/rollpatch/workflows/calendar"
	"github.com/rollpatch/rollpatch/workflows/plan"
)

func planFlags() []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{Name: "offline", Usage: "ask no host: what the files alone say"},
		&cli.PathFlag{Name: "save", Usage: "write the plan to `FILE`, which must not exist: for approval, and run --plan"},
		&cli.PathFlag{Name: "plan", Usage: "ask no host: show the plan of `FILE`, as --save wrote it"},
	}
}

func planOutputFlags() []cli.Flag {
	return []cli.Flag{&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "`FORMAT` of what is printed: text, json, or markdown or html for a change request", Value: "text"}}
}

// made is the plan with what hosts say: by asking them, as a file kept it, or without.
func (d *desk) made(c *cli.Context, m ordered) (plan.Saved, error) {
	from, offline := c.Path("plan"), c.Bool("offline")
	switch {
	case from != "" && (offline || c.Path("save") != ""):
		return plan.Saved{}, usage("plan: --plan shows what is saved already: it goes with neither --offline nor --save", "rollpatch plan --help lists the flags")
	case offline && len(m.urgent.advisories) > 0:
		return plan.Saved{}, usage("plan: --offline asks no host, and only a host knows which of its packages --advisory is about", byNameHint(c), nothingHint)
	case from != "":
		return d.saved(c, from, m)
	}
	s := plan.Saved{Made: d.now().UTC(), By: d.requester(), Plan: m.plan, Parts: m.parts}
	if !offline {
		hint := offlineHint(c)
		if len(m.urgent.advisories) > 0 {
			hint = byNameHint(c)
		}
		answers, err := d.askHosts(c, m.plan, m.parts, inquiry{hint: []string{hint}})
		if err != nil {
			return s, err
		}
		s.Answers = answers
		pl, parts, err := d.advised(c, m, answers, true)
		if err != nil {
			return s, err
		}
		s.Plan, s.Parts = plan.Answered(pl, parts, answers)
	}
	s.Digest = plan.Digest(s.Plan)
	return s, nil
}

// offlineHint is for whoever cannot have hosts asked.
func offlineHint(c *cli.Context) string {
	return "what the files alone say: rollpatch plan --offline" + inventoryOf(c) + " " + c.Args().First()
}

// inquiry is what hosts are asked, and which of a plan's.
type inquiry struct {
	check bool     // what stands against patching them, instead of what they would get
	host  string   // this one alone; empty: all of them
	hint  []string // for whoever cannot have them asked
}

// askHosts has every host of the plan asked, once each.
func (d *desk) askHosts(c *cli.Context, pl plan.Plan, parts map[string]plan.Part, what inquiry) ([]plan.Answer, error) {
	path, err := d.storeFolder(c.Path("store"))
	if err != nil {
		return nil, err
	}
	srv, err := d.dial(c.Context, d, settings{address: c.String("address"), namespace: c.String("namespace"), verbose: c.Bool("verbose"), quick: true})
	if err != nil {
		if p := (*problem)(nil); errors.As(err, &p) {
			p.hints = append(p.hints, what.hint...)
		}
		return nil, err
	}
	defer srv.Close()
	if err := keep(c.Context, path, pl, parts); err != nil {
		return nil, failed(err, "--store DIR names another")
	}
	folder, err := store.NewFolder(path)
	if err != nil {
		return nil, failed(err, "--store DIR names another")
	}
	questions, in, err := ask(c.Context, folder, pl, parts, what)
	if err != nil {
		return nil, failed(err)
	}
	if d.terminal(d.err) {
		d.note("asking the hosts: that takes seconds, or minutes where one does not answer")
	}
	told, err := srv.Plan(c.Context, workflows.PlanID(pl.Name, d.now().UTC().Format("20060102T150405.000Z")), in)
	switch {
	case c.Context.Err() != nil:
		return nil, err
	case errors.Is(err, status.ErrNoWorker):
		return nil, failed(err, append([]string{"a worker is started with: rollpatch worker"}, what.hint...)...)
	case err != nil:
		return nil, failed(fmt.Errorf("the hosts could not be asked: %w", err), what.hint...)
	}
	var all []plan.Answer
	for i, q := range questions {
		answers, err := read(c.Context, folder, q, told, i)
		if err != nil {
			return nil, failed(err, "does --store name the same folder as the worker's?")
		}
		all = append(all, answers...)
	}
	if f := plan.Foresee(pl, parts, all); len(f.Unknown) > 0 && !what.check {
		d.note("nothing is known of %s: what it says is in the plan", many(f.Asked-f.Answered, "host"))
	}
	return all, nil
}

// ask puts the questions into the store: hosts of one segment, a batch each.
func ask(ctx context.Context, folder *store.Folder, pl plan.Plan, parts map[string]plan.Part, what inquiry) ([]plan.Question, workflows.PlanInput, error) {
	var segments []string
	hosts, seen := map[string][]plan.Asking{}, map[string]bool{}
	for _, s := range pl.Stages {
		for _, cl := range s.Clusters {
			for _, h := range parts[cl.Name].Hosts {
				if seen[h.Name] || what.host != "" && h.Name != what.host || !slices.Contains(parts[cl.Name].Worked(), h.Name) {
					continue
				}
				seen[h.Name] = true
				if hosts[h.Segment] == nil {
					segments = append(segments, h.Segment)
				}
				hosts[h.Segment] = append(hosts[h.Segment], plan.Asking{Host: h.Name, Part: cl.Part})
			}
		}
	}
	var questions []plan.Question
	var in workflows.PlanInput
	for _, s := range segments {
		for some := range slices.Chunk(hosts[s], workflows.PlanBatchSize) {
			q := plan.Question{Hosts: some, Check: what.check, Advisories: pl.Advisories}
			digest, err := folder.Put(ctx, plan.Body(q))
			if err != nil {
				return nil, in, err
			}
			questions = append(questions, q)
			in.Batches = append(in.Batches, workflows.PlanBatch{Segment: s, Question: digest, Hosts: len(some)})
		}
	}
	return questions, in, nil
}

// read reads the answers to one batch. Where there are none, every host of it is unknown.
func read(ctx context.Context, folder *store.Folder, q plan.Question, told []workflows.PlanAnswer, i int) ([]plan.Answer, error) {
	if i >= len(told) {
		return nil, fmt.Errorf("%d batches of hosts were asked, and %d were answered", i+1, len(told))
	}
	var answers []plan.Answer
	if told[i].Problem != "" {
		for _, h := range q.Hosts {
			answers = append(answers, plan.Answer{Host: h.Host, Unknown: told[i].Problem})
		}
		return answers, nil
	}
	body, err := folder.Get(ctx, told[i].Answers)
	if err != nil {
		return nil, err
	}
	return answers, json.Unmarshal(body, &answers)
}

// planTimeout is more than the hosts of a large estate take together.
const planTimeout = time.Hour

// Plan starts the questions and waits for their end: hosts may take minutes. Ctrl-C ends them too.
func (t *temporalServer) Plan(ctx context.Context, id string, in workflows.PlanInput) ([]workflows.PlanAnswer, error) {
	starting, cancel := context.WithTimeout(ctx, tellTimeout)
	defer cancel()
	hosts := 0
	for _, b := range in.Batches {
		hosts += b.Hosts
	}
	run, err := t.client.ExecuteWorkflow(starting, client.StartWorkflowOptions{
		ID: id, TaskQueue: workflows.Queue, WorkflowIDConflictPolicy: enumspb.WORKFLOW_ID_CONFLICT_POLICY_FAIL, WorkflowExecutionErrorWhenAlreadyStarted: true,
		StaticSummary: "ask " + strconv.Itoa(hosts) + " hosts what they would get", WorkflowExecutionTimeout: planTimeout, // nobody reads it later
	}, workflows.PlanType, in)
	if err != nil {
		return nil, t.explain(err, false)
	}
	out, err := t.planned(ctx, run)
	if err != nil {
		stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), askTimeout)
		defer cancel()
		_ = t.client.CancelWorkflow(stopping, id, run.GetRunID()) // nobody reads its answers any more
	}
	return out, err
}

// planned waits for the answers. When nobody has even begun with the questions after a while, nobody will.
func (t *temporalServer) planned(ctx context.Context, run client.WorkflowRun) ([]workflows.PlanAnswer, error) {
	var out []workflows.PlanAnswer
	waiting, cancel := context.WithTimeout(ctx, tellTimeout)
	defer cancel()
	err := run.Get(waiting, &out)
	if err != nil && waiting.Err() != nil && ctx.Err() == nil {
		begun, asked := t.begun(ctx, run.GetID())
		switch {
		case asked != nil:
			return nil, asked
		case !begun:
			return nil, status.ErrNoWorker
		}
		err = run.Get(ctx, &out)
	}
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil:
		return nil, t.recordsError(err, "plan")
	}
	return out, nil
}

// saved is the plan of a file, if the inventory and the campaign still say the same.
func (d *desk) saved(c *cli.Context, path string, m ordered) (plan.Saved, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return plan.Saved{}, usage(err.Error(), "rollpatch plan CAMPAIGN.yaml --save FILE writes one")
	}
	s, err := plan.ParseSaved(raw)
	if err != nil {
		return s, usage(path+": "+err.Error(), nothingHint)
	}
	pl, parts, err := d.advised(c, m, s.Answers, false)
	if err != nil {
		return s, err
	}
	if all := s.Differences(pl, parts); len(all) > 0 {
		const most = 20
		lines := []string{path + ": this is not what the files ask for any more:"}
		for i, l := range all {
			if i == most {
				lines = append(lines, fmt.Sprintf("  and %d more", len(all)-most))
				break
			}
			lines = append(lines, "  "+l)
		}
		return s, usage(strings.Join(lines, "\n"), "put the files back, or have another plan approved: rollpatch plan CAMPAIGN.yaml --save FILE", nothingHint)
	}
	return s, nil
}

// save writes a plan where --save says. What is there already may be what somebody approved.
func (d *desk) save(c *cli.Context, s plan.Saved) error {
	path := c.Path("save")
	if path == "" {
		return nil
	}
	raw, err := json.MarshalIndent(s, "", " ")
	if err != nil {
		return failed(err)
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if errors.Is(err, os.ErrExist) {
		return failed(fmt.Errorf("%s is there already: somebody may have approved it", path), "name another, or remove it")
	}
	if err != nil {
		return failed(err)
	}
	_, err = file.Write(append(raw, '\n'))
	if err := errors.Join(err, file.Sync(), file.Close()); err != nil {
		return failed(err)
	}
	d.note("saved as %s; exactly this is run with: rollpatch run --plan %s%s %s", path, path, inventoryOf(c), c.Args().First())
	return nil
}

// made prints a plan, in the form that was asked for.
func (p printer) made(s plan.Saved, dates *calendar.Dates, file string) error {
	f := plan.Foresee(s.Plan, s.Parts, s.Answers)
	if file != "" {
		file = filepath.Base(file)
	}
	switch p.format {
	case "markdown":
		return request(s, f, dates, file).markdown(p.w)
	case "html":
		return request(s, f, dates, file).html(p.w)
	}
	out := digested{Plan: s.Plan, Digest: s.Digest, Dates: dates}
	if len(s.Answers) > 0 {
		out.Forecast = &f
	}
	return p.result(out, func() {
		p.plan(s.Plan)
		if len(s.Answers) > 0 {
			p.forecast(f)
		}
		switch {
		case dates != nil:
			fmt.Fprintln(p.w)
		case len(s.Answers) > 0:
			p.estimates(foreseenFor(f))
		}
		p.dates(s.Plan, s.Parts, dates)
	})
}

// mostPackages is how many packages of a cluster a terminal gets; every other form has all of them.
const mostPackages = 12

func (p printer) forecast(f plan.Forecast) {
	fmt.Fprintf(p.w, "\n%s\n\n", asked(f))
	var sums, packages []row
	for _, e := range f.Clusters {
		hosts, platform := strconv.Itoa(len(e.Hosts)), e.Platform
		if platform == "" {
			hosts, platform = "", "not known"
		}
		sums = append(sums, row{cells: []string{e.Stage, e.Cluster, platform, hosts, strconv.Itoa(len(e.Packages)), securityOf(e), size(e.Download), rebootOf(e), e.Takes}})
		for i, k := range e.Packages {
			if i == mostPackages {
				packages = append(packages, row{cells: []string{e.Cluster, fmt.Sprintf("and %d more: --output json, markdown or html lists them", len(e.Packages)-i)}})
				break
			}
			packages = append(packages, row{cells: []string{e.Cluster, k.Name, k.Old, k.New, k.Security, k.Origin, size(k.Size), fmt.Sprintf("%d of %d", len(k.Hosts), len(e.Hosts))}})
		}
	}
	p.table([]string{"stage", "cluster", "platform", "hosts", "packages", "security", "download", "reboot", "takes at least"}, sums)
	if len(packages) > 0 {
		fmt.Fprintln(p.w)
		p.table([]string{"cluster", "package", "from", "to", "security", "origin", "download", "hosts"}, packages)
	}
	p.finished(f)
	if len(f.Unknown) > 0 {
		fmt.Fprintln(p.w)
		var rows []row
		for _, u := range f.Unknown {
			rows = append(rows, row{cells: []string{u.Cluster, u.Host, u.Why}})
		}
		p.table([]string{"cluster", "not known", "because"}, rows)
	}
	if len(f.Risks) > 0 {
		fmt.Fprintln(p.w)
		var rows []row
		for _, r := range f.Risks {
			rows = append(rows, row{cells: []string{r.Cluster, r.Text}})
		}
		p.table([]string{"cluster", "risk"}, rows)
	}
}

// asked says how many hosts answered.
func asked(f plan.Forecast) string {
	if f.Answered == f.Asked {
		return many(f.Asked, "host") + " asked, and all answered."
	}
	return fmt.Sprintf("%s asked, %d answered; nothing is known of %d.", many(f.Asked, "host"), f.Answered, f.Asked-f.Answered)
}

func securityOf(e plan.Expected) string {
	if e.Untold > 0 {
		return fmt.Sprintf("%d, not told of %d", e.Security, e.Untold)
	}
	return strconv.Itoa(e.Security)
}

// rebootOf says whether members are expected to be rebooted, and the first cause.
func rebootOf(e plan.Expected) string {
	if len(e.Because) == 0 || e.Reboot == "always" {
		return e.Reboot
	}
	more := ""
	if n := len(e.Because) - 1; n > 0 {
		more = fmt.Sprintf(", and %d more", n)
	}
	return e.Reboot + " (" + e.Because[0] + more + ")"
}

// size writes bytes as people read them.
func size(n int64) string {
	switch {
	case n <= 0:
		return ""
	case n < 1000:
		return strconv.FormatInt(n, 10) + " B"
	case n < 1000_000:
		return fmt.Sprintf("%.1f kB", float64(n)/1e3)
	}
	return fmt.Sprintf("%.1f MB", float64(n)/1e6)
}

// clusterOf finds a cluster of a plan.
func clusterOf(pl plan.Plan, name string) (plan.Cluster, bool) {
	for _, s := range pl.Stages {
		for _, c := range s.Clusters {
			if c.Name == name {
				return c, true
			}
		}
	}
	return plan.Cluster{}, false
}
