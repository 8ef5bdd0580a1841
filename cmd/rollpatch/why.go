package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/rollpatch/rollpatch/cmd/internal/status"
	"github.com/rollpatch/rollpatch/workflows"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

func (d *desk) whyCommand() *cli.Command {
	return &cli.Command{
		Name:        "why",
		Usage:       "say what a host, a cluster or a campaign does or waits for, since when, and who can change it",
		ArgsUsage:   "HOST|CLUSTER|CAMPAIGN|INSTANCE",
		Description: "A name that several have is a host's first, then a cluster's, then a campaign's.",
		Flags:       join(d.storeFlags(), outputFlags(), serverFlags()),
		Action:      d.why,
	}
}

// answer is why something stands as it does.
type answer struct {
	Subject  string         `json:"subject"`
	Kind     string         `json:"kind"` // host, cluster or campaign
	Instance string         `json:"instance"`
	Cluster  string         `json:"cluster,omitempty"`
	State    string         `json:"state"`
	Reason   string         `json:"reason,omitempty"`
	Since    time.Time      `json:"since,omitzero"`
	Who      string         `json:"who"`
	Awaits   []status.Await `json:"awaits,omitempty"`
}

func (d *desk) why(c *cli.Context) error {
	p, err := d.printer(c)
	if err != nil {
		return err
	}
	name, err := argument(c, "HOST, CLUSTER, CAMPAIGN or INSTANCE")
	if err != nil {
		return err
	}
	if err := checkName(name); err != nil {
		return err
	}
	srv, err := d.connect(c)
	if err != nil {
		return err
	}
	defer srv.Close()
	r, err := d.reader(c, srv)
	if err != nil {
		return err
	}
	a, err := explain(c.Context, srv, r, name)
	if err != nil {
		return err
	}
	if err := p.result(a, func() { p.answer(a) }); err != nil {
		return err
	}
	d.warnOfFreeze(c.Context, srv)
	return nil
}

// explain finds what the name stands for and asks it. What is on its way goes before what has ended.
func explain(ctx context.Context, srv server, r *status.Reader, name string) (answer, error) {
	var m workflows.MemberState
	err := srv.State(ctx, workflows.MemberID(name), &m)
	if err != nil && !errors.Is(err, status.ErrNotFound) {
		return answer{}, fmt.Errorf("host %q: %w", name, err)
	}
	if err == nil && m.Outcome == "" && m.Mode == rollout.ModeReturn {
		return ofReturn(m, r.Now()), nil
	}
	if err == nil && m.Outcome == "" {
		return asHost(ctx, r, m.Instance, m.Cluster, name)
	}
	if a, found, err := among(ctx, srv, r, name, filter{kind: workflows.CampaignType, running: true}, maxListed); err != nil || found {
		if released := m.Mode == rollout.ModeReturn && m.Outcome != ""; released && err == nil && a.Kind == "host" && a.State == string(rollout.Quarantined) {
			return ofReturn(m, r.Now()), nil // the instance has not heard of what came after it
		}
		return a, err
	}
	switch {
	case err == nil && m.Mode == rollout.ModeReturn:
		return ofReturn(m, r.Now()), nil
	case err == nil:
		return asHost(ctx, r, m.Instance, m.Cluster, name)
	}
	clusters, err := srv.List(ctx, filter{kind: workflows.ClusterType, cluster: name})
	if err != nil {
		return answer{}, err
	}
	if len(clusters) > 0 {
		var c workflows.ClusterState
		last := slices.MaxFunc(clusters, endedLater)
		if err := srv.State(ctx, last.ID, &c); err != nil {
			return answer{}, fmt.Errorf("cluster %q: %w", name, err)
		}
		r.Only = name
		s, err := r.Read(ctx, c.Instance)
		return ofCluster(s, name), err
	}
	instance, _, err := resolve(ctx, srv, name)
	if err != nil {
		if p := (*problem)(nil); errors.As(err, &p) && p.code == exitFailed {
			if a, found, err := among(ctx, srv, r, name, filter{kind: workflows.CampaignType}, 1); err != nil || found {
				return a, err // it is of the latest instance, which ended before its turn came
			}
			return answer{}, failed(fmt.Errorf("no host, cluster, campaign or instance named %q was ever worked on", name), listHint)
		}
		return answer{}, err
	}
	s, err := r.Read(ctx, instance)
	return ofCampaign(s), err
}

// endedLater compares by the end; what is on its way ends last of all.
func endedLater(a, b status.Execution) int {
	running := func(e status.Execution) int {
		if e.Status == status.Running {
			return 1
		}
		return 0
	}
	return cmp.Or(cmp.Compare(running(a), running(b)), a.Closed.Compare(b.Closed), a.Started.Compare(b.Started))
}

func asHost(ctx context.Context, r *status.Reader, instance, cluster, host string) (answer, error) {
	r.Only = cluster
	s, err := r.Read(ctx, instance)
	return ofHost(s, cluster, host), err
}

// among finds a host or a cluster of the instances that are listed, at most so many, its turn come or not.
func among(ctx context.Context, srv server, r *status.Reader, name string, f filter, most int) (answer, bool, error) {
	found, err := srv.List(ctx, f)
	if err != nil {
		return answer{}, false, err
	}
	for _, e := range found[:min(most, len(found))] {
		s, err := (&status.Reader{Source: r.Source, Bodies: r.Bodies, Now: r.Now}).Read(ctx, instanceOf(e))
		if err != nil {
			return answer{}, false, err
		}
		for _, st := range s.Stages {
			for _, c := range st.Clusters {
				if _, ok := c.Member(name); ok {
					return ofHost(s, c.Name, name), true, nil
				}
			}
		}
		if _, ok := s.Cluster(name); ok {
			return ofCluster(s, name), true, nil
		}
	}
	return answer{}, false, nil
}

func ofHost(s status.Status, cluster, host string) answer {
	cl, _ := s.Cluster(cluster)
	m, _ := cl.Member(host)
	a := answer{Subject: host, Kind: "host", Instance: s.Instance, Cluster: cluster, State: memberWord(m)}
	turn := false // what the whole instance waits for is waited for here too
	switch m.State {
	case status.Waiting:
		turn = true
		a.Reason, a.Since = "its turn has not come: "+inside(s, cl), since(s, cl)
	case status.NotTouched, status.NotTriedAgain:
		a.Reason, a.Since = "its turn does not come any more: "+inside(s, cl), since(s, cl)
	case status.OnItsWay:
		if a.Reason, a.Since = untimed(m), m.Since; m.Mode == string(rollout.ModeBackout) {
			a.Reason = "on its way back: " + a.Reason
		}
	default:
		a.Reason = m.Reason
		if known := strings.Join(facts(m), ", "); known != "" {
			a.Reason = strings.TrimPrefix(a.Reason+"; "+known, "; ")
		}
		switch {
		case cl.State == status.Hold && strings.HasPrefix(cl.Reason, host+" is "):
			a.Reason, a.Since = a.Reason+"; its cluster holds for that", cl.Since
		case !s.Over() && !cl.Ended():
			a.Reason += "; " + inside(s, cl)
		}
		if a.Reason == "" {
			a.Reason = "it is " + words(m.State)
		}
	}
	for _, w := range s.Awaits {
		if w.Cluster == cluster && (w.Host == "" || w.Host == host) || w.Cluster == "" && turn {
			a.Awaits = append(a.Awaits, w)
		}
	}
	a.Awaits = append(a.Awaits, shutIn(cluster, m)...)
	a.Who = who(s, cl, []status.Member{m}, a.Awaits)
	return a
}

func ofCluster(s status.Status, name string) answer {
	cl, _ := s.Cluster(name)
	a := answer{Subject: name, Kind: "cluster", Instance: s.Instance, Cluster: name, State: cl.State, Reason: standing(cl), Since: since(s, cl)}
	if cl.State == status.NotBegun {
		turn := "its turn has not come: "
		if s.Over() {
			turn = "its turn does not come any more: "
		}
		a.Reason = turn + ofInstance(s)
		if cl.Reason != "" && !s.Over() {
			a.Reason = turn + cl.Reason + "; " + ofInstance(s)
		}
	}
	for _, m := range cl.Members {
		if m.State == status.OnItsWay {
			a.Reason += ": " + untimed(m)
		}
	}
	for _, w := range s.Awaits {
		if w.Cluster == name || w.Cluster == "" {
			a.Awaits = append(a.Awaits, w)
		}
	}
	a.Who = who(s, cl, cl.Members, a.Awaits)
	return a
}

func ofCampaign(s status.Status) answer {
	a := answer{Subject: s.Campaign, Kind: "campaign", Instance: s.Instance, State: s.State, Reason: ofInstance(s), Since: since(s, status.Cluster{}), Awaits: s.Awaits}
	var all []status.Member
	held := time.Time{}
	for _, st := range s.Stages {
		for _, cl := range st.Clusters {
			all = append(all, cl.Members...)
			if cl.State == status.Hold && cl.Since.After(held) {
				held = cl.Since
			}
		}
	}
	if s.State == status.Hold {
		a.Since = held // none, where a person held what had not begun: nobody keeps when that was said
	}
	a.Who = who(s, status.Cluster{}, all, a.Awaits)
	return a
}

// untimed is what a member on its way does, without the time that is told beside it.
func untimed(m status.Member) string {
	if m.Since.IsZero() {
		return m.Told()
	}
	return strings.Replace(m.Told(), " since "+stamp(m.Since), "", 1)
}

// standing is what a cluster does or waits for.
func standing(c status.Cluster) string {
	if reason := beyond(c.State, c.Reason); strings.HasPrefix(reason, "before ") {
		return "holding " + reason
	} else if reason != "" {
		return reason
	}
	switch c.State {
	case string(rollout.PhaseClaim):
		return "its claim is being taken"
	case string(rollout.PhaseRelease):
		return "its claim is being given back"
	case string(rollout.ClusterDone):
		return fmt.Sprintf("%d of its %s are through", c.Done, many(c.Total, "member"))
	}
	return "it is " + words(c.State)
}

// inside is the same for whoever asked for one of its members.
func inside(s status.Status, c status.Cluster) string {
	stands := standing(c)
	switch {
	case c.State == status.NotBegun && s.Over():
		return "the instance is " + s.State + ", and cluster " + c.Name + " had not begun"
	case c.State == status.NotBegun:
		reason := "cluster " + c.Name + " has not begun; "
		if c.Reason != "" {
			reason += c.Reason + "; "
		}
		return reason + ofInstance(s)
	case c.State == status.Hold && !strings.HasPrefix(stands, "holding "):
		return "cluster " + c.Name + " holds: " + stands
	case c.Ended() && !strings.HasPrefix(stands, c.State): // an abort begins with the word
		return "cluster " + c.Name + " is " + c.State + ": " + stands
	}
	return "cluster " + c.Name + ": " + stands
}

func ofInstance(s status.Status) string {
	if reason := beyond(s.State, s.Reason); reason != "" {
		return reason
	}
	return "the instance is " + s.State
}

// since is when the cluster came to stand where it does, or the instance for one that has not begun.
func since(s status.Status, c status.Cluster) time.Time {
	switch {
	case !c.Since.IsZero():
		return c.Since
	case s.Over():
		return s.Ended
	}
	return s.Started
}

// who can change it. Members are those that were asked about.
func who(s status.Status, c status.Cluster, members []status.Member, awaits []status.Await) string {
	owner := ""
	if c.Owner != "" || c.Contact != "" {
		owner = "; the cluster's owner: " + dash(c.Owner) + inBrackets(c.Contact)
	}
	commands, mend := 0, false
	for _, a := range awaits {
		mend = mend || a.Mend
		if a.Person {
			commands += len(a.Type)
		}
	}
	types := "one of the commands below"
	if commands == 1 {
		types = "the command below"
	}
	var look []string
	waits, held, onItsWay := strings.HasPrefix(c.Reason, "waiting "), false, false
	for _, m := range members {
		switch m.State {
		case string(rollout.Quarantined), string(rollout.Lost):
			look = append(look, m.Host)
		case status.OnItsWay:
			waits, held, onItsWay = waits || m.Waits(), held || m.Held, true
		}
	}
	switch {
	case len(look) > 0 && commands > 0:
		return "a person who looks at " + strings.Join(look, ", ") + ", then types " + types + owner
	case len(look) > 0:
		return "a person who looks at " + strings.Join(look, ", ") + "; nothing goes on there before" + owner
	case mend && commands == 0:
		return "whoever ends its cause, then it goes on by itself" + owner
	case held || mend:
		return "whoever ends its cause, then it goes on by itself; or a person who types " + types + owner
	case commands > 0:
		return "a person who types " + types + owner
	case s.State == string(rollout.CampaignDone):
		return "nobody: the instance is done" + owner
	case s.Over() && onItsWay:
		return "nobody has to: it comes to a safe end by itself" + owner
	case s.Over():
		return "nobody: the instance has ended; what is left to do goes into a new one" + owner
	case c.Ended():
		return "nobody: its cluster is " + c.State + owner
	case waits:
		return "nobody has to: it goes on by itself when that is over" + owner
	}
	return "nobody has to: it goes on by itself" + owner
}

func (p printer) answer(a answer) {
	of := a.Instance
	if a.Kind == "host" && a.Cluster != "" {
		of = "cluster " + a.Cluster + " of " + of
	}
	word := words(a.State)
	if a.Kind == "host" {
		word = stepWord(a.State)
	}
	fmt.Fprintf(p.w, "%s %s (%s): %s\n", a.Kind, a.Subject, of, p.paint(a.State, word))
	fmt.Fprintf(p.w, "why    %s\n", oneLine(a.Reason))
	if !a.Since.IsZero() { // of what has ended, or is tried again, nobody keeps when it began
		fmt.Fprintf(p.w, "since  %s\n", stamp(a.Since))
	}
	fmt.Fprintf(p.w, "who    %s\n", a.Who)
	p.awaits(a.Awaits)
}
