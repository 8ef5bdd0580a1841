package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/rollpatch/rollpatch/cmd/internal/status"
	"github.com/rollpatch/rollpatch/workflows"
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
	return p.result(a, func() { p.answer(a) })
}

// explain finds what the name stands for and asks it. What is on its way goes before what has ended.
func explain(ctx context.Context, srv server, r *status.Reader, name string) (answer, error) {
	var m workflows.MemberState
	err := srv.State(ctx, workflows.MemberID(name), &m)
	if err != nil && !errors.Is(err, status.ErrNotFound) {
		return answer{}, fmt.Errorf("host %q: %w", name, err)
	}
	if err == nil && m.Outcome == "" {
		return asHost(ctx, r, m.Instance, m.Cluster, name)
	}
	if a, found, err := onItsWay(ctx, srv, r, name); err != nil || found {
		return a, err
	}
	if err == nil {
		return asHost(ctx, r, m.Instance, m.Cluster, name)
	}
	clusters, err := srv.List(ctx, filter{kind: workflows.ClusterType, cluster: name})
	if err != nil {
		return answer{}, err
	}
	if len(clusters) > 0 {
		var c workflows.ClusterState
		if err := srv.State(ctx, clusters[0].ID, &c); err != nil {
			return answer{}, fmt.Errorf("cluster %q: %w", name, err)
		}
		r.Only = name
		s, err := r.Read(ctx, c.Instance)
		return ofCluster(s, name), err
	}
	instance, err := resolve(ctx, srv, name)
	if err != nil {
		if p := (*problem)(nil); errors.As(err, &p) && p.code == exitFailed {
			return answer{}, failed(fmt.Errorf("no host, cluster, campaign or instance named %q was ever worked on", name), listHint)
		}
		return answer{}, err
	}
	s, err := r.Read(ctx, instance)
	return ofCampaign(s), err
}

func asHost(ctx context.Context, r *status.Reader, instance, cluster, host string) (answer, error) {
	r.Only = cluster
	s, err := r.Read(ctx, instance)
	return ofHost(s, cluster, host), err
}

// onItsWay finds a host or a cluster of an instance on its way, its turn come or not.
func onItsWay(ctx context.Context, srv server, r *status.Reader, name string) (answer, bool, error) {
	running, err := srv.List(ctx, filter{kind: workflows.CampaignType, running: true})
	if err != nil {
		return answer{}, false, err
	}
	for _, e := range running {
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
	a := answer{Subject: host, Kind: "host", Instance: s.Instance, Cluster: cluster, State: memberWord(m), Reason: m.Reason, Since: m.Since}
	switch m.State {
	case status.Waiting:
		a.Reason, a.Since = "its turn comes when the cluster gets there: "+dash(turn(cl)), cl.Since
	case status.OnItsWay:
	default: // what came of it is what holds its cluster
		if a.Since = cl.Since; a.Reason == "" {
			a.Reason = memberText(m)
		}
	}
	for _, w := range s.Awaits {
		if w.Cluster == cluster && (w.Host == "" || w.Host == host) {
			a.Awaits = append(a.Awaits, w)
		}
	}
	a.Who = who(s, cl, a.Awaits)
	return a
}

func ofCluster(s status.Status, name string) answer {
	cl, _ := s.Cluster(name)
	a := answer{Subject: name, Kind: "cluster", Instance: s.Instance, Cluster: name, State: cl.State, Reason: cl.Reason, Since: cl.Since}
	if cl.State == status.NotBegun {
		a.Reason = "its turn comes when the campaign gets there: " + s.Reason
	}
	for _, w := range s.Awaits {
		if w.Cluster == name || w.Cluster == "" {
			a.Awaits = append(a.Awaits, w)
		}
	}
	a.Who = who(s, cl, a.Awaits)
	return a
}

func ofCampaign(s status.Status) answer {
	a := answer{Subject: s.Campaign, Kind: "campaign", Instance: s.Instance, State: s.State, Reason: s.Reason, Since: s.Started, Awaits: s.Awaits}
	a.Who = who(s, status.Cluster{}, a.Awaits)
	return a
}

// turn is what a cluster does, or that its own turn is yet to come.
func turn(c status.Cluster) string {
	if c.State == status.NotBegun {
		return "cluster " + c.Name + " has not begun"
	}
	return c.Reason
}

// who can change it.
func who(s status.Status, c status.Cluster, awaits []status.Await) string {
	owner := ""
	if c.Owner != "" || c.Contact != "" {
		owner = "; the cluster's owner: " + dash(c.Owner) + inBrackets(c.Contact)
	}
	for _, a := range awaits {
		if a.Person {
			return "a person who types one of the commands below" + owner
		}
	}
	if s.Over() {
		return "nobody: the instance has ended; what is left to do goes into a new one" + owner
	}
	return "nobody has to: it goes on by itself" + owner
}

func (p printer) answer(a answer) {
	of := a.Instance
	if a.Kind == "host" {
		of = "cluster " + a.Cluster + " of " + of
	}
	fmt.Fprintf(p.w, "%s %s (%s): %s\n", a.Kind, a.Subject, of, p.paint(a.State, words(a.State)))
	fmt.Fprintf(p.w, "why    %s\n", dash(oneLine(a.Reason)))
	fmt.Fprintf(p.w, "since  %s\n", dash(stamp(a.Since)))
	fmt.Fprintf(p.w, "who    %s\n", a.Who)
	p.awaits(a.Awaits)
}
