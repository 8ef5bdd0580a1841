package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/rollpatch/rollpatch/cmd/internal/status"
	"github.com/rollpatch/rollpatch/inventory"
	"github.com/rollpatch/rollpatch/workflows"
	"github.com/rollpatch/rollpatch/workflows/approval"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

func (d *desk) approveCommand() *cli.Command {
	return d.decision(word{
		name: workflows.UpdateApprove, usage: "agree to what waits at a gate: a start, a stage, or the end of a soak that passed; or break a freeze", says: "approved", toCluster: true, soak: true, fits: rollout.Cluster.MayApprove,
	}, append(d.storeFlags(), &cli.BoolFlag{Name: "when-pass", Usage: "ahead of a soak's end: valid only if it passes without a finding. Without --expires it counts until a day after that, by the plan in the store"})...)
}

func (d *desk) rejectCommand() *cli.Command {
	return d.decision(word{
		name: workflows.UpdateReject, usage: "refuse what waits at a gate; after a soak: bring its patched members back instead of going on", says: "rejected", toCluster: true, soak: true, fits: rollout.Cluster.MayReject,
	})
}

// decision is a message that can be signed.
func (d *desk) decision(w word, more ...cli.Flag) *cli.Command {
	cmd := d.message(w)
	cmd.Description = "Where a gate asks for signatures, what is said is shown and signed with the SSH agent or --key FILE (docs/approvals.md).\n" +
		"To sign elsewhere: --print-statement, ssh-keygen -Y sign -n " + approval.Namespace + ", then --statement FILE --signature FILE."
	cmd.Flags = join([]cli.Flag{
		&cli.StringFlag{Name: "stage", Usage: "`NAME` of a stage: its gate, and with one signature every soak of its clusters that waits (with --when-pass also those to come)"},
		&cli.StringFlag{Name: "freeze", Usage: map[bool]string{
			true:  "`NAME` of a freeze that keeps it waiting: its own approvers break this one span of it for this one instance",
			false: "`NAME` of a freeze: it stands, also if it was broken for this instance",
		}[w.name == workflows.UpdateApprove]},
	}, more, signFlags(), []cli.Flag{
		&cli.BoolFlag{Name: "print-statement", Usage: "print what would be signed, and send nothing"},
		&cli.PathFlag{Name: "statement", Usage: "`FILE` with what was signed, as --print-statement printed it"},
		&cli.PathFlag{Name: "signature", Usage: "`FILE` with the armoured signature over it"},
	}, cmd.Flags)
	cmd.Action = func(c *cli.Context) error { return d.decide(c, w) }
	return cmd
}

// target is where a decision goes.
type target struct {
	instance, cluster string // no cluster: the campaign
	gates             []string
}

func (t target) workflow() string {
	if t.cluster != "" {
		return workflows.ClusterID(t.instance, t.cluster)
	}
	return workflows.CampaignID(t.instance)
}

func (t target) String() string {
	if t.cluster != "" {
		return "cluster " + t.cluster + " of " + t.instance
	}
	return t.instance
}

func (d *desk) decide(c *cli.Context, w word) error {
	p, err := d.printer(c)
	if err != nil {
		return err
	}
	arg, err := argument(c, "CAMPAIGN or INSTANCE")
	if err != nil {
		return err
	}
	if err := errors.Join(checkName(arg), checkName(c.String("cluster")), checkName(c.String("stage")), checkName(c.String("freeze")), excluded(c)); err != nil {
		return err
	}
	ready, err := d.signedElsewhere(c, w)
	if err != nil {
		return err
	}
	m := rollout.Message{ID: c.String("id"), Actor: d.actor(c), Soak: c.Int("soak"), WhenPass: c.Bool("when-pass")}
	if ready == nil {
		m, err = d.messageOf(c, p.json || c.Bool("print-statement"))
		m.Soak, m.WhenPass = c.Int("soak"), c.Bool("when-pass")
	} else {
		m.Reason, m.WhenPass, m.Statement, m.Signature = ready.said.Reason, ready.said.WhenPass, ready.Statement, ready.Signature
		if m.ID == "" {
			m.ID = d.newID()
		}
	}
	if err != nil {
		return err
	}
	srv, err := d.connect(c)
	if err != nil {
		return err
	}
	defer srv.Close()
	instance, err := addressed(c.Context, srv, w.name, arg)
	if err != nil {
		return err
	}
	var st workflows.CampaignState
	if err := srv.State(c.Context, workflows.CampaignID(instance), &st); err != nil {
		return fmt.Errorf("instance %q: %w", instance, err)
	}
	var to target
	if ready != nil {
		to, err = ready.goesTo(instance)
	} else {
		to, err = d.target(c, srv, w, st, &m)
	}
	if err != nil {
		return err
	}
	if w.name == workflows.UpdateApprove && len(to.gates) == 1 && approval.IsFreeze(to.gates[0]) {
		if err := d.inVain(c, srv, st, to, ready); err != nil {
			return err
		}
	}
	key := ""
	if ready == nil {
		sign, err := d.signs(c, st.Agreement.Signed(to.gates...))
		if err != nil {
			return err
		}
		if sign || c.Bool("print-statement") {
			s, err := d.statement(c, srv, w, st, to, m)
			if err != nil {
				return err
			}
			if c.Bool("print-statement") {
				if err := s.Check(); err != nil {
					return usage(err.Error())
				}
				_, err := fmt.Fprint(d.out, s.Text())
				d.note("sign exactly this: ssh-keygen -Y sign -n %s -f KEY FILE; send it: rollpatch %s %s --statement FILE --signature FILE.sig", approval.Namespace, w.name, instance)
				return err
			}
			word, by, err := d.sign(c, s)
			if err != nil {
				return err
			}
			m.Statement, m.Signature, key = word.Statement, word.Signature, by
		} else if i := slices.IndexFunc(to.gates, func(g string) bool { return strings.HasPrefix(g, "soak/") }); i >= 0 && c.IsSet("stage") {
			return usage(fmt.Sprintf("one word for %s has to be signed: --key FILE signs it", strings.Join(to.gates, ", ")), "unsigned, each is said by itself, with --cluster NAME")
		}
		if !sign && m.WhenPass {
			d.unsignedAhead(c, srv, st, to)
		}
	}
	err = srv.Tell(c.Context, to.workflow(), w.name, m)
	switch {
	case errors.Is(err, status.ErrNotFound):
		return failed(fmt.Errorf("%s does not run", to), statusHint(instance))
	case errors.Is(err, status.ErrNoWorker):
		return failed(fmt.Errorf("no worker answered: nobody knows whether %s was taken", w.name),
			"say it again, it is taken once: rollpatch "+w.name+" "+instance+again(c, to)+fmt.Sprintf(" --reason %q --id %s", m.Reason, m.ID),
			"a worker is started with: rollpatch worker")
	case err != nil:
		return failed(err, statusHint(instance))
	}
	if c.String("freeze") != "" {
		w.says = map[bool]string{true: "the freeze is broken for it", false: "the freeze stands"}[w.name == workflows.UpdateApprove]
	}
	effect, err := afterHold(c.Context, srv, w, st, to)
	if err != nil {
		d.note("it was taken; whether a hold keeps it back could not be read: %v", err)
	}
	out := sent{Effect: effect, Instance: instance, Cluster: to.cluster, Message: w.name, ID: m.ID, Actor: m.Actor, Reason: m.Reason, Gates: to.gates, Key: key, Signed: m.Statement != ""}
	if err := p.result(out, func() {
		fmt.Fprintf(p.w, "%s: %s\n", to, w.says)
		if len(to.gates) > 1 || to.cluster == "" {
			for _, g := range to.gates {
				fmt.Fprintf(p.w, "  %s\n", g)
			}
		}
		for _, line := range effect {
			fmt.Fprintf(p.w, "  %s\n", line)
		}
	}); err != nil {
		return err
	}
	d.note("watch it with: rollpatch watch %s", instance)
	return nil
}

// afterHold says of an approval that it starts nothing while a person holds what it is for.
func afterHold(ctx context.Context, srv server, w word, st workflows.CampaignState, to target) ([]string, error) {
	if w.name != workflows.UpdateApprove {
		return nil, nil
	}
	why, cluster := st.Paused, ""
	if why == "" && to.cluster != "" {
		var c workflows.ClusterState
		if err := srv.State(ctx, to.workflow(), &c); err != nil && !errors.Is(err, status.ErrNotFound) {
			return nil, fmt.Errorf("cluster %q: %w", to.cluster, err)
		}
		why, cluster = c.Paused, to.cluster
	}
	if why == "" {
		return nil, nil
	}
	return []string{"it is held (" + why + "): nothing further begins before: rollpatch resume " + st.Instance + inFlags(cluster) + ` --reason "..."`}, nil
}

// again are the flags that say the same to the same.
func again(c *cli.Context, to target) string {
	out := inFlags(to.cluster)
	for _, name := range []string{"stage", "freeze", "key", "statement", "signature"} {
		if v := c.String(name); v != "" {
			out += " --" + name + " " + v
		}
	}
	if c.IsSet("expires") {
		out += " --expires " + c.String("expires")
	}
	for _, name := range []string{"when-pass", "unsigned"} {
		if c.Bool(name) {
			out += " --" + name
		}
	}
	return out
}

// excluded says which flags exclude each other.
func excluded(c *cli.Context) error {
	for _, pair := range [][2]string{
		{"stage", "cluster"}, {"stage", "soak"}, {"freeze", "stage"}, {"freeze", "cluster"}, {"freeze", "soak"}, {"freeze", "when-pass"}, {"freeze", "unsigned"}, {"freeze", "signature"}, {"signature", "key"}, {"signature", "unsigned"}, {"signature", "print-statement"}, {"unsigned", "print-statement"},
		{"signature", "reason"}, {"signature", "stage"}, {"signature", "cluster"}, {"signature", "soak"}, {"signature", "when-pass"}, {"signature", "expires"},
	} {
		if c.IsSet(pair[0]) && c.IsSet(pair[1]) {
			return usage(fmt.Sprintf("%s: --%s and --%s exclude each other", called(c), pair[0], pair[1]))
		}
	}
	if c.IsSet("statement") != c.IsSet("signature") {
		return usage(called(c) + ": --statement and --signature belong together: what was signed, and the signature over it")
	}
	return nil
}

// elsewhere is a statement that was signed elsewhere.
type elsewhere struct {
	approval.Signed
	said approval.Statement
}

func (d *desk) signedElsewhere(c *cli.Context, w word) (*elsewhere, error) {
	if !c.IsSet("signature") {
		return nil, nil
	}
	text, err := os.ReadFile(c.Path("statement"))
	if err != nil {
		return nil, usage("--statement: " + err.Error())
	}
	signature, err := os.ReadFile(c.Path("signature"))
	if err != nil {
		return nil, usage("--signature: " + err.Error())
	}
	s, err := approval.Parse(string(text))
	switch {
	case err != nil:
		return nil, usage("--statement "+c.Path("statement")+": "+err.Error(), "rollpatch "+w.name+" CAMPAIGN --reason \"...\" --print-statement prints one")
	case string(s.Decision) != w.name:
		return nil, usage(fmt.Sprintf("the statement says %s, and not %s", s.Decision, w.name))
	}
	return &elsewhere{approval.Signed{Statement: string(text), Signature: string(signature)}, s}, nil
}

// goesTo is where a statement belongs, by what it says itself.
func (e elsewhere) goesTo(instance string) (target, error) {
	if e.said.Instance != "" && e.said.Instance != instance {
		return target{}, usage(fmt.Sprintf("the statement is for %s, and not for %s", e.said.Instance, instance))
	}
	to := target{instance: instance, gates: e.said.Gates}
	if rest, soak := strings.CutPrefix(e.said.Gates[0], "soak/"); soak && len(e.said.Gates) == 1 {
		to.cluster, _, _ = strings.Cut(rest, "/")
	}
	return to, nil
}

// statement is what a person says, as it is signed.
func (d *desk) statement(c *cli.Context, srv server, w word, st workflows.CampaignState, to target, m rollout.Message) (approval.Statement, error) {
	lasts, err := d.lasts(c, srv, st, to, m.WhenPass)
	now := d.now().UTC().Truncate(time.Second)
	return approval.Statement{
		Decision: approval.Decision(w.name), Campaign: st.Name, Instance: st.Instance, Plan: st.Plan, Gates: to.gates, WhenPass: m.WhenPass,
		Reason: approval.OneLine(m.Reason), At: now, Expires: now.Add(lasts), Nonce: d.nonce(),
	}, err
}

// target is the gate that a person means: a stage's, the one that the campaign stands at, or that of a cluster's soak.
func (d *desk) target(c *cli.Context, srv server, w word, st workflows.CampaignState, m *rollout.Message) (target, error) {
	to := target{instance: st.Instance}
	if name := c.String("freeze"); name != "" {
		gates, err := ofFreeze(c.Context, srv, w, st, name)
		to.gates = gates
		return to, err
	}
	if name := c.String("stage"); name != "" {
		gates, err := ofStage(c.Context, srv, w, st, name, *m)
		to.gates = gates
		return to, err
	}
	if g, waits := st.Due(); waits && c.String("cluster") == "" && m.Soak == 0 && !m.WhenPass {
		to.gates = []string{g.ID}
		return to, nil
	}
	cluster, err := addressee(c.Context, srv, w, st.Instance, c.String("cluster"), m)
	if err != nil {
		return to, err
	}
	to.cluster = cluster
	no := m.Soak
	if no == 0 {
		if no, err = soakOf(c.Context, srv, st.Instance, cluster); err != nil {
			return to, err
		}
	}
	to.gates = []string{approval.GateSoak(cluster, no)}
	return to, nil
}

// soakOf is the number of the soak that goes on in a cluster, or comes next.
func soakOf(ctx context.Context, srv server, instance, cluster string) (int, error) {
	var s workflows.ClusterState
	err := srv.State(ctx, workflows.ClusterID(instance, cluster), &s)
	switch {
	case errors.Is(err, status.ErrNotFound):
		return 1, nil // it has not begun
	case err != nil:
		return 0, fmt.Errorf("cluster %q: %w", cluster, err)
	case s.Phase == rollout.PhaseSoak || s.Phase == rollout.PhaseGate || s.SoakNo > 0 && s.Wave+1 >= len(rollout.Waves(len(s.Members))) && !s.SoaksLast():
		return s.SoakNo, nil
	}
	return s.SoakNo + 1, nil
}

// ofStage lists the gates of a stage that a decision is for: its own while that is closed, and the soaks of its clusters.
func ofStage(ctx context.Context, srv server, w word, st workflows.CampaignState, name string, m rollout.Message) ([]string, error) {
	no := slices.Index(st.Stages, name)
	if no < 0 {
		return nil, usage(fmt.Sprintf("%q is no stage of %s%s", name, st.Instance, inventory.DidYouMean(name, st.Stages)), statusHint(st.Instance))
	}
	var gates []string
	own := approval.GateStage(name)
	if slices.ContainsFunc(st.Gates, func(g rollout.Gate) bool { return g.ID == own && g.Opened.IsZero() }) {
		gates = append(gates, own)
	}
	for _, r := range st.Clusters {
		if r.Stage != no || r.Outcome != "" || r.Total < 2 || !m.WhenPass && (!r.Running || r.Phase != rollout.PhaseGate && (w.name != workflows.UpdateReject || r.Phase != rollout.PhaseSoak)) {
			continue
		}
		soak, err := soakOf(ctx, srv, st.Instance, r.Name)
		if err != nil {
			return nil, err
		}
		gates = append(gates, approval.GateSoak(r.Name, soak))
	}
	if len(gates) == 0 {
		return nil, failed(fmt.Errorf("nothing of stage %s waits for approval; to agree ahead to its soaks, valid only if they pass without a finding, say %s --when-pass", name, strconv.Quote("approve")), statusHint(st.Instance))
	}
	return gates, nil
}
