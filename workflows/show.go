package workflows

import (
	"fmt"
	"strings"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/rollpatch/rollpatch/workflows/rollout"
)

// The search attributes. They are never encrypted: names and states only.
var (
	attrCampaign = temporal.NewSearchAttributeKeyKeyword("RollpatchCampaign")
	attrCluster  = temporal.NewSearchAttributeKeyKeyword("RollpatchCluster")
	attrStage    = temporal.NewSearchAttributeKeyKeyword("RollpatchStage")
	attrState    = temporal.NewSearchAttributeKeyKeyword("RollpatchState")
	attrHost     = temporal.NewSearchAttributeKeyKeyword("RollpatchHost")
)

// SearchAttributes names the Keyword attributes that a namespace needs.
func SearchAttributes() []string {
	return []string{attrCampaign.GetName(), attrCluster.GetName(), attrStage.GetName(), attrState.GetName(), attrHost.GetName()}
}

// StartAttributes are those that an instance's workflow begins with.
func StartAttributes(instance string) temporal.SearchAttributes {
	return attributes(instance, "", "", "", "running")
}

func attributes(instance, cluster, stage, host, state string) temporal.SearchAttributes {
	var u []temporal.SearchAttributeUpdate
	for _, a := range []struct {
		key   temporal.SearchAttributeKeyKeyword
		value string
	}{{attrCampaign, instance}, {attrCluster, cluster}, {attrStage, stage}, {attrHost, host}, {attrState, state}} {
		if a.value != "" {
			u = append(u, a.key.ValueSet(a.value))
		}
	}
	return temporal.NewSearchAttributes(u...)
}

// describe says in the Temporal UI what an Update is for.
var describe = map[string]string{
	UpdateApprove:               `let a soak end that passed: {"actor": "<your name>", "reason": "<why>"}`,
	"campaign " + UpdateApprove: `agree at the gate that the campaign waits at: {"actor": "<your name>", "reason": "<why>"}, which counts as claimed; signed: rollpatch approve`,
	"campaign " + UpdateReject:  `end the campaign instead of opening the gate that it waits at: {"actor": "<your name>", "reason": "<why>"}`,
	UpdateReject:                `bring the patched members back instead of going on: {"actor": "<your name>", "reason": "<why>"}`,
	UpdateExtend:                `let a soak last longer: {"actor": "<your name>", "reason": "<why>", "for": "12h"}`,
	UpdateRetry:                 `try a member again that failed, or ask again at once for what it holds for: {"actor": "<your name>", "reason": "<why>"}`,
	UpdateSkip:                  `leave a member that failed as it is, or give up on one that holds, and go on with the next one: {"actor": "<your name>", "reason": "<why>"}`,
	UpdateBackout:               `bring every patched member back, and halt: {"actor": "<your name>", "reason": "<why>"}`,
	UpdateHold:                  `start nothing further; takes effect at the next border between members: {"actor": "<your name>", "reason": "<why>"}`,
	UpdateResume:                `go on after a hold that a person set: {"actor": "<your name>", "reason": "<why>"}`,
	UpdateAbort:                 `start nothing new and bring what is on its way to a safe end: {"actor": "<your name>", "reason": "<why>"}`,
	UpdateHandIn:                `hand a standing approval in, which rollpatch standing give signs`,
	UpdateWithdraw:              `withdraw a standing approval: {"actor": "<your name>", "reason": "<why>", "name": "<its name>"}`,
	UpdateThaw:                  `end the freeze of the whole estate: {"actor": "<your name>", "reason": "<why>"}`,
}

// updateForm is what every Update takes, as it is typed into the Temporal UI.
const updateForm = " An Update takes `{\"actor\": \"<your name>\", \"reason\": \"<why>\"}`.\n"

// tellUI puts the details and the state where the Temporal UI and lists show them, when they changed.
func (c *carrier) tellUI(ctx workflow.Context, details, state string) {
	if details != c.details {
		c.details = details
		workflow.SetCurrentDetails(ctx, details)
	}
	if state != c.attrs {
		c.attrs = state
		_ = workflow.UpsertTypedSearchAttributes(ctx, attrState.ValueSet(state))
	}
}

func (m *member) show(ctx workflow.Context, d rollout.Decision) {
	var b strings.Builder
	fmt.Fprintf(&b, "**%s** · %s of cluster %s, instance %s\n\n%s\n", m.Host, m.Mode, m.Cluster, m.Instance, d.Reason)
	if m.Changes > 0 {
		fmt.Fprintf(&b, "\nPackages in its transaction: %d. Out of service: %s.\n", m.Changes, seconds(m.OutMilli))
	}
	if m.BootNew != "" {
		fmt.Fprintf(&b, "\nBoot id %s, before the patch %s.\n", m.BootNew, m.BootOld)
	}
	if m.Why != "" {
		fmt.Fprintf(&b, "\nFirst cause: %s\n", m.Why)
	}
	showDiffers(&b, "Not as before its patch", m.Differs)
	showDiffers(&b, "Not restored by its way back", m.Remains)
	if m.Held {
		fmt.Fprintf(&b, "\nIt goes on by itself when that is over. What a person may say to it is on the page of `%s`.\n", m.Parent)
	}
	state := string(m.Step)
	switch {
	case m.Outcome != "":
		state = string(m.Outcome)
	case m.Held:
		state = "hold"
	}
	m.tellUI(ctx, b.String(), state)
}

// showDiffers is what a host's fingerprint says, as a diff.
func showDiffers(b *strings.Builder, title string, d rollout.Differs) {
	if !d.IsZero() {
		fmt.Fprintf(b, "\n%s:\n\n```diff\n%s\n```\n", title, strings.ReplaceAll(strings.Join(d.Lines(), "\n"), "`", "'"))
	}
}

func (c *cluster) show(ctx workflow.Context, d rollout.Decision) {
	var b strings.Builder
	fmt.Fprintf(&b, "**%s** · stage %s of %s\n\n%s\n\n| member | state | packages | out of service | why |\n| --- | --- | --- | --- | --- |\n", c.Name, c.Stage, c.Instance, d.Reason)
	for _, s := range c.ClusterState.Members {
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", s.Host, c.slotState(s), count(s.Count), seconds(s.OutMilli), oneLine(s.Reason))
	}
	if c.Paused != "" && !c.Over() {
		fmt.Fprintf(&b, "\nHeld from the next border between members on: %s\n", oneLine(c.Paused))
	}
	switch c.Phase {
	case rollout.PhaseGate:
		fmt.Fprintf(&b, "\nTo let soak %d end: `%s`, or send the Update `approve`. To bring the patched members back: `reject`.%s", c.SoakNo, c.Gate.Type(c.Instance+" --cluster "+c.Name), updateForm)
	case rollout.PhaseSoak:
		fmt.Fprintf(&b, "\nTo bring the patched members back instead: `rollpatch reject %s --cluster %s --reason \"...\"`, or send the Update `reject`.%s", c.Instance, c.Name, updateForm)
	case rollout.PhaseAsk:
		fmt.Fprintf(&b, "\nIts campaign answers by itself. To bring the patched members back without its word: `rollpatch backout %s --cluster %s --reason \"...\"`, or send the Update `backout`.%s", c.Instance, c.Name, updateForm)
	case rollout.PhaseHold:
		b.WriteString("\nA person decides how it goes on:\n\n")
		c.showOpen(&b, "")
	case rollout.PhaseBackout:
		if c.Closed && c.Later() {
			b.WriteString("\nIt goes on by itself in its window, or a person decides:\n\n")
			c.showOpen(&b, "")
		}
	}
	for _, s := range c.ClusterState.Members {
		if s.Running && s.Holds != "" {
			fmt.Fprintf(&b, "\n%s holds before %s: %s. It goes on by itself when that is over, or a person decides:\n\n", s.Host, s.HoldsAt, oneLine(s.Holds))
			c.showOpen(&b, " --host "+s.Host)
		}
	}
	if c.Outcome == rollout.ClusterHalted {
		b.WriteString("\nThis cluster is not touched any further. What is left to do goes into a new instance: `rollpatch run`.\n")
	}
	state := string(c.Phase)
	if c.Outcome != "" {
		state = string(c.Outcome)
	}
	c.tellUI(ctx, b.String(), state)
}

// means is what each word does to a cluster that holds.
var means = map[string]string{
	UpdateResume: "goes on", UpdateRetry: "tries it again", UpdateSkip: "leaves it as it is, or gives it up, and goes on",
	UpdateBackout: "brings every patched member back, and halts",
}

// showOpen lists the words that the cluster takes now, as Updates and as they are typed.
func (c *cluster) showOpen(b *strings.Builder, host string) {
	for _, word := range c.Open() {
		flags := " --cluster " + c.Name
		if word == UpdateRetry || word == UpdateSkip {
			flags += host
		}
		what := means[word]
		switch {
		case word == UpdateResume && c.AskFor != "":
			what = "has the patched members soak, or settle, anew"
		case word == UpdateResume && c.BackoutFor != "":
			what = "has the way back go on"
		case word == UpdateBackout && c.BackoutFor != "":
			what = "brings them back now, window or not"
		}
		fmt.Fprintf(b, "- the Update `%s`, `rollpatch %s %s%s --reason \"...\"`: %s\n", word, word, c.Instance, flags, what)
	}
	fmt.Fprintf(b, "- `rollpatch abort %s --reason \"...\"`: ends the campaign\n\n%s", c.Instance, strings.TrimPrefix(updateForm, " "))
}

func (c *campaign) show(ctx workflow.Context, d rollout.Decision) {
	var b strings.Builder
	fmt.Fprintf(&b, "**%s** · %s", c.Instance, c.Why)
	if c.Ticket != "" {
		fmt.Fprintf(&b, " (%s)", c.Ticket)
	}
	if c.Change != nil && c.Change.Number != "" {
		fmt.Fprintf(&b, " · change %s", oneLine(c.Change.Number))
	}
	fmt.Fprintf(&b, "\n\n%s\n\n| stage | cluster | state | members | why |\n| --- | --- | --- | --- | --- |\n", d.Reason)
	for i, r := range c.Clusters {
		if i == 50 {
			fmt.Fprintf(&b, "\nand %d more: `rollpatch status %s`\n", len(c.Clusters)-i, c.Instance)
			break
		}
		state := string(r.Phase)
		switch {
		case r.Outcome != "":
			state = string(r.Outcome)
		case state == "":
			state = "not begun"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %d of %d | %s |\n", c.Stages[r.Stage], r.Name, state, r.Done, r.Total, oneLine(r.Reason))
	}
	if g, waits := c.Awaits(); waits && !g.Expired {
		fmt.Fprintf(&b, "\nTo agree at gate %s: `%s`, or the Update `approve` where the gate takes words that nobody signed. To end the campaign instead: `reject`.%s", g.ID, g.Type(c.Instance), updateForm)
	}
	if c.Outcome == "" {
		b.WriteString("\nFor the whole campaign, from the next border on: the Updates `hold`, `resume`, `abort` and `backout`." + updateForm)
	}
	state := "running"
	switch {
	case c.Outcome != "":
		state = string(c.Outcome)
	case c.Held():
		state = "hold"
	default:
		if g, waits := c.Awaits(); waits && !g.Expired {
			state = string(rollout.PhaseGate)
		}
	}
	c.tellUI(ctx, b.String(), state)
}

// Over says that no member is started any more: the cluster is at its end, or on its way back.
func (st ClusterState) Over() bool {
	return st.Outcome != "" || st.Ending != "" || st.BackoutFor != "" || st.AbortFor != ""
}

// What a member without an outcome is where no member is started any more.
const (
	NotTouched    = "not-touched"
	NotTriedAgain = "not-tried-again" // it was given up or brought back before, and a person had resumed the cluster
)

// Left is the word for a member whose turn does not come any more.
func Left(s rollout.Slot) string {
	if s.Tries == 0 {
		return NotTouched
	}
	return NotTriedAgain
}

func (c *cluster) slotState(s rollout.Slot) string {
	switch {
	case s.Running:
		return string(s.Mode) + " on its way"
	case s.Outcome == "" && c.Over():
		return strings.ReplaceAll(Left(s), "-", " ")
	case s.Outcome == "":
		return "waiting"
	}
	if s.Canary {
		return string(s.Outcome) + ", canary"
	}
	return string(s.Outcome)
}

func seconds(ms int64) string {
	if ms == 0 {
		return "-"
	}
	return (time.Duration(ms) * time.Millisecond).Round(100 * time.Millisecond).String()
}

func count(n int) string {
	if n == 0 {
		return "-"
	}
	return itoa(n)
}

func oneLine(s string) string {
	s = strings.ReplaceAll(strings.ReplaceAll(s, "\n", " "), "|", "/")
	if s == "" {
		return "-"
	}
	return s
}
