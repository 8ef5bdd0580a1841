package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/rollpatch/rollpatch/cmd/internal/status"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

// watchEvery is how often an instance is asked.
const watchEvery = time.Second

// heldReads is how many reads in a row must find an instance held: a message that was just sent is on its way to its clusters.
const heldReads = 3

func (d *desk) watchCommand() *cli.Command {
	return &cli.Command{
		Name:      "watch",
		Usage:     "print what an instance does, as it happens, until it ends",
		ArgsUsage: "[CAMPAIGN|INSTANCE]",
		Description: "Ends with 0 when the instance is done, with 3 when it halted or nothing moves without a person.\n" +
			"Ctrl-C ends the watching only.",
		Flags:  join(d.storeFlags(), outputFlags(), serverFlags()),
		Action: d.watch,
	}
}

func (d *desk) watch(c *cli.Context) error {
	p, srv, instance, err := d.meant(c)
	if err != nil {
		return err
	}
	defer srv.Close()
	return d.follow(c, p, srv, instance)
}

// moment is something that changed.
type moment struct {
	Time    time.Time `json:"time"`
	Cluster string    `json:"cluster,omitempty"`
	Host    string    `json:"host,omitempty"`
	State   string    `json:"state"` // a state, or the step of a member on its way
	Text    string    `json:"text,omitempty"`
}

// follow prints what changes until the instance ends, or until nothing moves without a person.
func (d *desk) follow(c *cli.Context, p printer, srv server, instance string) error {
	ctx := c.Context
	r, err := d.reader(c, srv)
	if err != nil {
		return err
	}
	seen := map[[2]string]moment{}
	asked := map[string]bool{}
	lost, held := "", 0
	for {
		s, err := r.Read(ctx, instance)
		switch {
		case ctx.Err() != nil:
			return left(instance)
		case errors.Is(err, status.ErrNoWorker) || errors.Is(err, status.ErrUnreachable):
			// Neither ends an instance, so neither ends the watching.
			if lost != err.Error() {
				lost = err.Error()
				d.note("%s; asking again every second, nothing is lost", lost)
			}
		case err != nil:
			return failed(err, watchHint(instance))
		default:
			if lost != "" {
				lost = ""
				d.note("answered again")
			}
			if err := p.moments(d.now(), s, seen); err != nil {
				return err
			}
			if s.Over() {
				return d.over(p, s)
			}
			d.ask(s, asked)
			if held++; s.State != status.Hold {
				held = 0
			}
			if held >= heldReads {
				return heldFor(s)
			}
		}
		d.pause(ctx, watchEvery)
	}
}

// ask says once what only a person can do while the rest goes on; what is held when nothing goes on is said at the end.
func (d *desk) ask(s status.Status, asked map[string]bool) {
	for _, a := range s.Awaits {
		if a.Person && s.State != status.Hold && !asked[a.Cluster+" "+a.Host+" "+a.For] {
			asked[a.Cluster+" "+a.Host+" "+a.For] = true
			for _, line := range awaited(a) {
				d.note("%s", line)
			}
		}
	}
}

// awaited is what is waited for, and the commands that a person may type.
func awaited(a status.Await) []string {
	who := strings.TrimSpace(a.Cluster + " " + a.Host)
	if who == "" {
		who = "the campaign"
	}
	lines := []string{who + " waits for " + a.For}
	for _, t := range a.Type {
		lines = append(lines, "  "+t)
	}
	return lines
}

// moments prints what differs from what was seen.
func (p printer) moments(now time.Time, s status.Status, seen map[[2]string]moment) error {
	all := momentsOf(s)
	clusters, hosts := 0, len("host-1")
	for _, m := range all {
		clusters, hosts = max(clusters, len(m.Cluster)), max(hosts, len(m.Host))
	}
	for _, m := range all {
		key := [2]string{m.Cluster, m.Host}
		old, known := seen[key]
		if known && old == m || !known && unbegun(m.State) {
			continue
		}
		seen[key] = m
		m.Time = now.UTC().Truncate(time.Second)
		word, said := words(m.State), m.Text
		if m.Host != "" {
			word = stepWord(m.State)
			said = strings.TrimPrefix(said, word+" ") // the column before says it
		}
		text := fmt.Sprintf("%s  %-*s  %-*s  %s  %s", stamp(m.Time), clusters, m.Cluster, hosts, m.Host, p.paint(m.State, fmt.Sprintf("%-11s", word)), oneLine(said))
		if err := p.line(m, strings.TrimRight(text, " ")); err != nil {
			return err
		}
	}
	return nil
}

// unbegun says that nothing happened, or will: nothing to tell of as news.
func unbegun(state string) bool {
	return state == status.NotBegun || state == status.Waiting || state == status.NotTouched || state == status.NotTriedAgain
}

// momentsOf is how everything of an instance stands, each in one line without what changes all the time.
func momentsOf(s status.Status) []moment {
	running := moment{State: s.State, Text: beyond(s.State, s.Reason)}
	var before, after, all []moment
	for _, st := range s.Stages {
		for _, c := range st.Clusters {
			var members []moment
			for _, x := range c.Members {
				members = append(members, moment{Cluster: c.Name, Host: x.Host, State: memberWord(x), Text: memberText(x)})
			}
			m := moment{Cluster: c.Name, State: c.State, Text: beyond(c.State, c.Reason)}
			switch rollout.Phase(c.State) {
			case rollout.PhaseRoll, rollout.PhaseBackout:
				m.Text = "" // the member on its way says it better
				all = append(append(all, m), members...)
			case rollout.PhaseClaim:
				all = append(append(all, m), members...)
			default: // what came of the members, then what that means
				all = append(append(all, members...), m)
			}
		}
	}
	if s.State == status.Running {
		before = []moment{running}
	} else {
		after = []moment{running}
	}
	return slices.Concat(before, all, after)
}

// beyond is what a reason says that the state beside it does not.
func beyond(state, reason string) string {
	if reason == state {
		return ""
	}
	return strings.TrimPrefix(reason, state+": ")
}

func memberWord(m status.Member) string {
	if m.State == status.OnItsWay && m.Step != "" {
		return m.Step
	}
	return m.State
}

func memberText(m status.Member) string {
	if m.State == status.OnItsWay {
		return m.Reason
	}
	text := facts(m)
	if m.Reason != "" {
		text = append([]string{m.Reason}, text...)
	}
	return strings.Join(text, ", ")
}

// facts are what is known of a member that is not on its way.
func facts(m status.Member) []string {
	var facts []string
	if m.Canary {
		facts = append(facts, "canary")
	}
	if m.Count > 0 {
		facts = append(facts, many(m.Count, "package"))
	}
	if m.Rebooted {
		facts = append(facts, "rebooted")
	}
	if m.OutSeconds > 0 {
		facts = append(facts, out(m.OutSeconds)+" out of service")
	}
	return facts
}

// over ends the watching of an instance that ended.
func (d *desk) over(p printer, s status.Status) error {
	if !p.json {
		fmt.Fprintln(p.w)
		p.status(s, false)
	}
	switch s.State {
	case string(rollout.CampaignDone):
		return nil
	case string(rollout.CampaignHalted), string(rollout.CampaignAborted):
		hints := []string{statusHint(s.Instance)}
		for _, st := range s.Stages {
			for _, c := range st.Clusters {
				for _, m := range c.Members {
					if m.Outcome == string(rollout.Quarantined) || m.Outcome == string(rollout.Lost) {
						hints = append(hints, fmt.Sprintf("%s is %s, look at it first: rollpatch why %s", m.Host, m.Outcome, m.Host))
					}
				}
			}
		}
		return &problem{code: exitHalted, err: fmt.Errorf("%s %s", s.Instance, s.Reason), hints: append(hints, "what is left to do goes into a new instance: rollpatch run CAMPAIGN.yaml")}
	}
	return failed(fmt.Errorf("%s %s: %s", s.Instance, s.State, s.Reason), statusHint(s.Instance))
}

// heldFor ends the watching of an instance that only a person moves.
func heldFor(s status.Status) error {
	p := &problem{code: exitHalted, err: fmt.Errorf("%s is held: nothing moves without a person", s.Instance)}
	for _, a := range s.Awaits {
		if a.Person {
			p.hints = append(p.hints, awaited(a)...)
		}
	}
	p.hints = append(p.hints, watchHint(s.Instance))
	return p
}

// left is what Ctrl-C says.
func left(instance string) error {
	return &problem{code: exitInterrupted, err: fmt.Errorf("no longer watching; %s goes on", instance), hints: []string{watchHint(instance), "end it with: rollpatch abort " + instance + ` --reason "..."`}}
}
