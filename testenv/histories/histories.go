// Package histories records the histories of whole stories: a rollpatchd over a simulated fleet plays each, and what Temporal wrote down
// of its workflows becomes a file that tests replay. It knows the stories and what may not stand in a file; it must not know what the
// workflows decided, which is what the tests look at.
package histories

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/sdk/client"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/rollpatch/rollpatch/testenv/estate"
	"github.com/rollpatch/rollpatch/testenv/sim"
)

// members of the one cluster, "web".
var members = sim.Members("web", 2)

// canary is the member that comes first.
const canary = "web-1"

// policy is a patch night in seconds.
const policy = `
policy:
  soak: 2s
  soak_interval: 1s
  soak_passes: 2
  settle: 1s
  reboot: if-needed
  drain: {timeout: 10s}
  checks: {passes: 3, interval: 1s, timeout: 6s}
  wait_max: 15s
  timeouts: {patch: 1m, reboot: 10s, fetch: 1m}
`

// story is one instance and what happens to it.
type story struct {
	name     string
	publish  string // what the repository has
	attended bool
	events   int // after which histories are long; 0: the server's own figure
	happens  func(*scene) error
	ends     string // how the instance must end, or the story was not told
}

// The one with short histories comes last: it needs a server of its own.
var stories = []story{
	{name: "happy", publish: "1.4", ends: "done"},
	{name: "hold", publish: "1.1", attended: true, ends: "done", happens: holdAndApprove},
	{name: "backout", publish: "1.2", ends: "halted"},
	{name: "quarantine", publish: "1.1", ends: "halted", happens: unreachable},
	{name: "continue-as-new", publish: "1.4", events: 30, ends: "done"},
}

// scene is one story as it is played.
type scene struct {
	*estate.Estate
	ctx      context.Context
	temporal client.Client
	instance string
}

// storyLimit bounds one story.
const storyLimit = 5 * time.Minute

// Record plays the named stories, or every one, and writes their histories to folders below into.
func Record(ctx context.Context, bin, into string, names []string, log io.Writer) (err error) {
	for _, name := range names {
		if !slices.ContainsFunc(stories, func(s story) bool { return s.name == name }) {
			return fmt.Errorf("there is no story %q", name)
		}
	}
	dir, err := os.MkdirTemp("", "rollpatch-histories-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	e, err := estate.Up(ctx, estate.Options{
		Kind: estate.Sim, Dir: dir, Bin: bin,
		Fleet: sim.Options{Net: "127.79", Clusters: []sim.Cluster{{Name: "web", Members: members, Port: 80, Kind: sim.Page}}},
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, e.Down()) }()
	for _, s := range stories {
		if len(names) > 0 && !slices.Contains(names, s.name) {
			continue
		}
		if err := play(ctx, e, s, filepath.Join(into, s.name), dir); err != nil {
			return fmt.Errorf("story %q: %w", s.name, err)
		}
		fmt.Fprintf(log, "recorded %s\n", s.name)
	}
	return nil
}

func play(ctx context.Context, e *estate.Estate, s story, folder, dir string) error {
	ctx, cancel := context.WithTimeout(ctx, storyLimit)
	defer cancel()
	if s.events > 0 {
		if err := e.Daemon.Stop(); err != nil {
			return err
		}
		e.Daemon.Address, e.Daemon.UI = "", "" // those of before may be somebody else's by now
		e.Daemon.Args = []string{"--suggest-continue-as-new", fmt.Sprint(s.events)}
		if err := e.Daemon.Start(ctx); err != nil {
			return err
		}
	}
	if err := e.Reset(ctx); err != nil {
		return err
	}
	if err := e.Publish(ctx, s.publish); err != nil {
		return err
	}
	c, err := e.Daemon.Client(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	sc := &scene{Estate: e, ctx: ctx, temporal: c}
	text := fmt.Sprintf("name: %s\nreason: November security updates\nunattended: %t\npackages: {include: [lab-web, lab-web-data]}\nnotify: [{name: pager, command: [\"true\"]}]\nstages:\n  - {name: production, clusters: [web]}\n%s", s.name, !s.attended, policy)
	file, err := e.Write(s.name+".yaml", text)
	if err != nil {
		return err
	}
	out, err := sc.rollpatch("run", "--detach", "-i", e.InventoryFile(), file)
	if err != nil {
		return err
	}
	sc.instance = strings.TrimSpace(out)
	if s.happens != nil {
		if err := s.happens(sc); err != nil {
			return err
		}
	}
	outcome, err := sc.end()
	if err != nil {
		return err
	}
	if outcome != s.ends {
		return fmt.Errorf("it ended %s, want %s", outcome, s.ends)
	}
	return sc.write(folder, dir)
}

func (s *scene) rollpatch(args ...string) (string, error) {
	r, err := s.Rollpatch(s.ctx, nil, args...)
	if err == nil && r.Code != 0 {
		err = fmt.Errorf("rollpatch %s exited %d: %s", strings.Join(args, " "), r.Code, strings.TrimSpace(r.Stderr))
	}
	return r.Stdout, err
}

// holdAndApprove holds the campaign while the canary is worked on, approves its soak, and lets it go on once it is held.
func holdAndApprove(s *scene) error {
	if err := s.until("host/"+canary, "step", "fetch"); err != nil {
		return err
	}
	if _, err := s.rollpatch("hold", s.instance, "--reason", "wait for the database team"); err != nil {
		return err
	}
	if err := s.until(s.cluster(), "phase", "gate"); err != nil {
		return err
	}
	if _, err := s.rollpatch("approve", s.instance, "--cluster", "web", "--reason", "looks fine"); err != nil {
		return err
	}
	if err := s.until(s.cluster(), "phase", "roll"); err != nil {
		return err
	}
	_, err := s.rollpatch("resume", s.instance, "--reason", "they are done")
	return err
}

// unreachable cuts the canary off the network once it is patched, until it is given up.
func unreachable(s *scene) error {
	if err := s.until("host/"+canary, "step", "check"); err != nil {
		return err
	}
	if err := s.Fleet().Cut(canary); err != nil {
		return err
	}
	_, err := s.end()
	return errors.Join(err, s.Fleet().Heal(canary))
}

func (s *scene) cluster() string  { return "cluster/" + s.instance + "/web" }
func (s *scene) campaign() string { return "campaign/" + s.instance }

// poll is how often a State is asked for.
const poll = 20 * time.Millisecond

// state reads a workflow's State as far as stories need it.
func (s *scene) state(id string) (map[string]any, error) {
	v, err := s.temporal.QueryWorkflow(s.ctx, id, "", "state")
	if err != nil {
		return nil, err
	}
	var st map[string]any
	if err := v.Get(&st); err != nil {
		return nil, err
	}
	if st["instance"] != s.instance {
		return nil, fmt.Errorf("%s works for %v", id, st["instance"])
	}
	return st, nil
}

// until waits until a field of a workflow's State has one of the values.
func (s *scene) until(id, field string, values ...string) error {
	return s.eventually(fmt.Sprintf("%s of %s to be %s", field, id, strings.Join(values, " or ")), func() error {
		st, err := s.state(id)
		if err != nil {
			return err
		}
		for _, v := range values {
			if st[field] == v {
				return nil
			}
		}
		return fmt.Errorf("it is %v", st[field])
	})
}

func (s *scene) eventually(what string, holds func() error) error {
	for {
		err := holds()
		if err == nil {
			return nil
		}
		select {
		case <-s.ctx.Done():
			return fmt.Errorf("waited in vain for %s: %w", what, err)
		case <-time.After(poll):
		}
	}
}

// end waits for the instance's end and says how it ended.
func (s *scene) end() (outcome string, err error) {
	err = s.eventually("the end of "+s.instance, func() error {
		for _, id := range []string{s.campaign(), s.cluster()} {
			d, err := s.temporal.DescribeWorkflowExecution(s.ctx, id, "")
			if err != nil {
				return err
			}
			if d.GetWorkflowExecutionInfo().GetStatus() == enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING {
				return fmt.Errorf("%s runs", id)
			}
		}
		return nil
	})
	if err != nil {
		return "", err
	}
	st, err := s.state(s.campaign())
	if err != nil {
		return "", err
	}
	outcome, _ = st["outcome"].(string)
	return outcome, nil
}

// write writes each run of the story's workflows into a file of its own.
func (s *scene) write(folder, dir string) error {
	if err := os.RemoveAll(folder); err != nil {
		return err
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	names := map[string]string{"campaign": s.campaign(), "cluster-web": s.cluster()}
	for _, m := range members {
		if _, err := s.state("host/" + m); err == nil {
			names["member-"+m] = "host/" + m
		}
	}
	for name, id := range names {
		chain, err := s.chain(id)
		if err != nil {
			return fmt.Errorf("%s: %w", id, err)
		}
		for i, h := range chain {
			file := name + ".json"
			if len(chain) > 1 {
				file = fmt.Sprintf("%s.%02d.json", name, i+1)
			}
			body, err := neutral(h, dir)
			if err != nil {
				return fmt.Errorf("%s: %w", id, err)
			}
			if err := os.WriteFile(filepath.Join(folder, file), body, 0o644); err != nil {
				return err
			}
		}
	}
	return nil
}

// chain is every run of a workflow, from the first to the one that ended without continuing as new.
func (s *scene) chain(id string) ([]*historypb.History, error) {
	var chain []*historypb.History
	for runID := ""; ; {
		h := &historypb.History{}
		for it := s.temporal.GetWorkflowHistory(s.ctx, id, runID, false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT); it.HasNext(); {
			e, err := it.Next()
			if err != nil {
				return nil, err
			}
			h.Events = append(h.Events, e)
		}
		chain = append([]*historypb.History{h}, chain...)
		if runID = h.GetEvents()[0].GetWorkflowExecutionStartedEventAttributes().GetContinuedExecutionRunId(); runID == "" {
			return chain, nil
		}
	}
}

// neutral is a history as JSON that says nothing of the machine it was recorded on.
func neutral(h *historypb.History, dir string) ([]byte, error) {
	raw, err := protojson.Marshal(h)
	if err != nil {
		return nil, err
	}
	var doc any
	if err := json.Unmarshal(raw, &doc); err != nil {
		return nil, err
	}
	host, err := os.Hostname()
	if err != nil {
		return nil, err
	}
	me, err := user.Current()
	if err != nil {
		return nil, err
	}
	anybody := strings.NewReplacer(me.Username+"@"+host, "ann@admin", "@"+host, "@admin")
	// A simulated host's own root is a folder of this machine.
	root := regexp.MustCompile(regexp.QuoteMeta(filepath.Join(dir, "fleet", "hosts")) + `/[a-z0-9-]+`)
	var found []error
	doc = rewrite(doc, func(key, text string) string {
		switch key {
		case "identity":
			return "worker"
		case "data":
			body, err := base64.StdEncoding.DecodeString(text)
			if err != nil {
				return text
			}
			clean := root.ReplaceAllString(anybody.Replace(string(body)), "")
			found = append(found, telltale(clean, dir))
			return base64.StdEncoding.EncodeToString([]byte(clean))
		}
		if rest, ok := strings.CutPrefix(text, host+":"); ok { // the worker's own queue
			text = "worker:" + rest
		}
		text = root.ReplaceAllString(text, "")
		found = append(found, telltale(text, dir, "@"+host))
		return text
	})
	if err := errors.Join(found...); err != nil {
		return nil, err
	}
	return json.MarshalIndent(doc, "", " ")
}

func rewrite(v any, text func(key, value string) string) any {
	var walk func(key string, v any) any
	walk = func(key string, v any) any {
		switch v := v.(type) {
		case map[string]any:
			for k := range v {
				v[k] = walk(k, v[k])
			}
		case []any:
			for i := range v {
				v[i] = walk(key, v[i])
			}
		case string:
			return text(key, v)
		}
		return v
	}
	return walk("", v)
}

// telltale finds what no recorded history may hold.
func telltale(text string, never ...string) error {
	for _, s := range append([]string{os.TempDir() + "/", "PRIVATE KEY"}, never...) {
		if strings.Contains(text, s) {
			return fmt.Errorf("%q tells of the machine: it holds %q", text, s)
		}
	}
	return nil
}
