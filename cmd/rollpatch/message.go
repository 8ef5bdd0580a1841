package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/rollpatch/rollpatch/cmd/internal/status"
	"github.com/rollpatch/rollpatch/inventory"
	"github.com/rollpatch/rollpatch/workflows"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

// word is a message that people send.
type word struct {
	name, usage, says string
	// to says where it goes. A message to clusters finds the one that it fits by itself when none is named.
	toCampaign, toCluster bool
	soak                  bool // a soak's number may be given
	longer                bool // how much longer must be given
	host                  bool // a member may be named
	all                   bool // the whole campaign may be meant, and that must be said
	fits                  func(rollout.Cluster, rollout.Message) error
	// effect says when it takes effect, for words that wait for something.
	effect func(ctx context.Context, srv server, instance, cluster string) ([]string, error)
}

func (d *desk) extendCommand() *cli.Command {
	return d.message(word{
		name: workflows.UpdateExtend, usage: "let a soak last longer", says: "soaking longer", toCluster: true, soak: true, longer: true, fits: rollout.Cluster.MayExtend,
	})
}

func (d *desk) skipCommand() *cli.Command {
	return d.message(word{
		name: workflows.UpdateSkip, usage: "leave a member that failed as it is, or give up on one that holds, and go on with the next one", says: "going on without it", toCluster: true,
		host: true, fits: rollout.Cluster.MaySkip,
	})
}

func (d *desk) retryCommand() *cli.Command {
	return d.message(word{
		name: workflows.UpdateRetry, usage: "try a member again that failed, or ask again at once for what it holds for", says: "trying again", toCluster: true,
		host: true, fits: rollout.Cluster.MayRetry,
	})
}

func (d *desk) backoutCommand() *cli.Command {
	return d.message(word{
		name: workflows.UpdateBackout, usage: "bring every patched member of a cluster, or of all that are on their way, back, and halt", says: "being backed out", toCluster: true, all: true,
		fits: rollout.Cluster.MayBackout, effect: backoutEffect,
	})
}

func (d *desk) holdCommand() *cli.Command {
	return d.message(word{
		name: workflows.UpdateHold, usage: "start nothing further; takes effect at the next border between members", says: "holding", toCampaign: true, toCluster: true,
		effect: holdEffect,
	})
}

func (d *desk) resumeCommand() *cli.Command {
	return d.message(word{
		name: workflows.UpdateResume, usage: "go on after a hold that a person set", says: "going on", toCampaign: true, toCluster: true, fits: rollout.Cluster.MayResume,
	})
}

func (d *desk) abortCommand() *cli.Command {
	return d.message(word{
		name: workflows.UpdateAbort, usage: "start nothing new and bring what is on its way to a safe end", says: "aborting", toCampaign: true,
	})
}

func (d *desk) message(w word) *cli.Command {
	flags := messageFlags()
	switch {
	case w.toCampaign && w.toCluster:
		flags = append(flags, &cli.StringFlag{Name: "cluster", Aliases: []string{"c"}, Usage: "`NAME` of one cluster; absent, it is said to the instance"})
	case w.toCluster:
		flags = append(flags, &cli.StringFlag{Name: "cluster", Aliases: []string{"c"}, Usage: "`NAME` of the cluster; may be left out where only one is meant"})
	}
	if w.soak {
		flags = append(flags, &cli.IntFlag{Name: "soak", Usage: "`NUMBER` of the soak", DefaultText: "the one that is open now"})
	}
	if w.host {
		flags = append(flags, &cli.StringFlag{Name: "host", Usage: "`NAME` of the member; may be left out where only one is meant"})
	}
	if w.all {
		flags = append(flags, &cli.BoolFlag{Name: "all", Usage: "every cluster of the instance that is on its way"})
	}
	if w.longer {
		flags = append(flags, &cli.StringFlag{Name: "for", Usage: "`TIME` that is added: 90m, 12h, 2d"})
	}
	return &cli.Command{
		Name: w.name, Usage: w.usage, ArgsUsage: "CAMPAIGN|INSTANCE", Flags: join(flags, outputFlags(), serverFlags()),
		Action: func(c *cli.Context) error { return d.send(c, w) },
	}
}

// messageFlags are those that every message has.
func messageFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "reason", Aliases: []string{"r"}, Usage: "`WHY`, on record; asked for on a terminal"},
		asFlag(),
		&cli.StringFlag{Name: "id", Usage: "request `ID`; a message with the same one is taken once", DefaultText: "a new one"},
	}
}

// messageOf is what a person says, as the flags give it.
func (d *desk) messageOf(c *cli.Context, json bool) (rollout.Message, error) {
	reason, err := d.reason(c, json)
	m := rollout.Message{ID: c.String("id"), Actor: d.actor(c), Reason: reason}
	if m.ID == "" {
		m.ID = d.newID()
	}
	return m, err
}

// sent is a message that was taken.
type sent struct {
	Instance string   `json:"instance"`
	Cluster  string   `json:"cluster,omitempty"`
	Message  string   `json:"message"`
	ID       string   `json:"id"`
	Actor    string   `json:"actor"`
	Reason   string   `json:"reason"`
	Effect   []string `json:"effect,omitempty"` // when it takes effect, and what comes then
	Gates    []string `json:"gates,omitempty"`  // of approve and reject
	Signed   bool     `json:"signed,omitempty"`
	Key      string   `json:"key,omitempty"` // that signed it here
}

func (d *desk) send(c *cli.Context, w word) error {
	p, err := d.printer(c)
	if err != nil {
		return err
	}
	arg, err := argument(c, "CAMPAIGN or INSTANCE")
	if err != nil {
		return err
	}
	if err := errors.Join(checkName(arg), checkName(c.String("cluster")), checkName(c.String("host"))); err != nil {
		return err
	}
	if c.Bool("all") && c.String("cluster") != "" {
		return usage(w.name + ": --all and --cluster exclude each other")
	}
	if w.longer && c.String("for") == "" {
		return usage(w.name+": --for is missing: how much longer", fmt.Sprintf(`rollpatch %s %s --for 12h --reason "..."`, w.name, arg))
	}
	m, err := d.messageOf(c, p.json)
	if err != nil {
		return err
	}
	m.Soak, m.For, m.Host = c.Int("soak"), c.String("for"), c.String("host")
	srv, err := d.connect(c)
	if err != nil {
		return err
	}
	defer srv.Close()
	instance, err := addressed(c.Context, srv, w.name, arg)
	if err != nil {
		return err
	}
	cluster := ""
	if !c.Bool("all") {
		if cluster, err = addressee(c.Context, srv, w, instance, c.String("cluster"), &m); err != nil {
			return err
		}
	}
	meant := inFlags(cluster)
	if m.Host != "" {
		meant += " --host " + m.Host
	}
	to, name := workflows.CampaignID(instance), instance
	if c.Bool("all") {
		meant = " --all"
	}
	if cluster != "" {
		to, name = workflows.ClusterID(instance, cluster), "cluster "+cluster+" of "+instance
	}
	err = srv.Tell(c.Context, to, w.name, m)
	switch {
	case errors.Is(err, status.ErrNotFound):
		return failed(notRunning(c.Context, srv, instance, name), statusHint(instance))
	case errors.Is(err, status.ErrNoWorker):
		return failed(fmt.Errorf("no worker answered: nobody knows whether %s was taken", w.name),
			"say it again, it is taken once: rollpatch "+w.name+" "+instance+meant+fmt.Sprintf(" --reason %q --id %s", m.Reason, m.ID),
			"a worker is started with: rollpatch worker")
	case err != nil:
		return failed(err, statusHint(instance))
	}
	out := sent{Instance: instance, Cluster: cluster, Message: w.name, ID: m.ID, Actor: m.Actor, Reason: m.Reason}
	if w.effect != nil {
		if out.Effect, err = w.effect(c.Context, srv, instance, cluster); err != nil {
			d.note("it was taken; what it does could not be read: %v", err)
		}
	}
	if err := p.result(out, func() {
		fmt.Fprintf(p.w, "%s: %s\n", name, w.says)
		for _, line := range out.Effect {
			fmt.Fprintf(p.w, "  %s\n", line)
		}
	}); err != nil {
		return err
	}
	d.note("watch it with: rollpatch watch %s", instance)
	return nil
}

// notRunning says why nobody takes a word any more.
func notRunning(ctx context.Context, srv server, instance, name string) error {
	var st workflows.CampaignState
	if err := srv.State(ctx, workflows.CampaignID(instance), &st); err == nil && st.Outcome != "" {
		return fmt.Errorf("%s has ended: %s", instance, st.Outcome)
	}
	return fmt.Errorf("%s does not run", name)
}

func inFlags(cluster string) string {
	if cluster == "" {
		return ""
	}
	return " --cluster " + cluster
}

// reason is required, on record as it is. Only a person at a terminal is asked for it.
func (d *desk) reason(c *cli.Context, json bool) (string, error) {
	reason := strings.TrimSpace(c.String("reason"))
	if reason == "" && !c.IsSet("reason") && !json && d.terminal(d.in) {
		fmt.Fprintf(d.err, "reason to %s: ", called(c))
		line, err := bufio.NewReader(d.in).ReadString('\n')
		if err != nil && line == "" {
			fmt.Fprintln(d.err)
		}
		reason = strings.TrimSpace(line)
	}
	if reason == "" {
		return "", usage(called(c)+": --reason is missing: it goes on record", "rollpatch "+strings.TrimSpace(called(c)+" "+c.Args().First())+` --reason "..."`)
	}
	return reason, nil
}

// addressee is the cluster that a message goes to, or none for the instance itself.
func addressee(ctx context.Context, srv server, w word, instance, named string, m *rollout.Message) (string, error) {
	if w.toCampaign && (!w.toCluster || named == "" && w.fits == nil) {
		return "", nil
	}
	var st workflows.CampaignState
	if err := srv.State(ctx, workflows.CampaignID(instance), &st); err != nil {
		return "", fmt.Errorf("instance %q: %w", instance, err)
	}
	if named != "" {
		return named, known(st, instance, named)
	}
	if st.Outcome != "" {
		return "", failed(fmt.Errorf("%s has ended: %s", instance, st.Outcome), statusHint(instance))
	}
	if w.toCampaign && st.Paused != "" {
		return "", nil
	}
	var fit, not []string
	soak := 0
	for _, r := range st.Clusters {
		if !r.Running {
			continue
		}
		var c workflows.ClusterState
		err := srv.State(ctx, workflows.ClusterID(instance, r.Name), &c)
		if errors.Is(err, status.ErrNotFound) {
			continue // its workflow starts this very moment
		}
		if err != nil {
			return "", fmt.Errorf("cluster %q: %w", r.Name, err)
		}
		if c.Took(w.name, m.ID) {
			return r.Name, nil // said again: it goes where it was taken
		}
		if err := w.fits(c.Cluster, *m); err != nil {
			not = append(not, err.Error())
			continue
		}
		fit, soak = append(fit, r.Name), c.SoakNo
	}
	switch len(fit) {
	case 0:
		if len(not) == 0 {
			not = []string{"no cluster of " + instance + " is on its way"}
		}
		return "", failed(errors.New(strings.Join(not, "\n")), statusHint(instance))
	case 1:
		if w.soak && m.Soak == 0 {
			m.Soak = soak // the one that was looked at, not one that opens meanwhile
		}
		return fit[0], nil
	}
	var hints []string
	for _, name := range fit {
		hints = append(hints, fmt.Sprintf("  rollpatch %s %s --cluster %s --reason %q", w.name, instance, name, m.Reason))
	}
	if w.all {
		hints = append(hints, fmt.Sprintf("  rollpatch %s %s --all --reason %q", w.name, instance, m.Reason))
	}
	return "", usage(fmt.Sprintf("%s: %d clusters could be meant: %s", w.name, len(fit), strings.Join(fit, ", ")), hints...)
}

// known says that the instance has no such cluster.
func known(st workflows.CampaignState, instance, cluster string) error {
	var names []string
	for _, r := range st.Clusters {
		if r.Name == cluster {
			return nil
		}
		names = append(names, r.Name)
	}
	return usage(fmt.Sprintf("%q is no cluster of %s%s", cluster, instance, inventory.DidYouMean(cluster, names)), statusHint(instance))
}
