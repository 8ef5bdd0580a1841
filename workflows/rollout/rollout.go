// Package rollout decides what a rolling patch does next. It knows nothing of Temporal, SSH, Consul or the clock: every
// function is a pure function of its arguments.
//
// Three states decide, each with a Next (what to start, when to look again, and why) and an Apply (what a fact or a message
// changes): Member is one host from inspect to undrain, Cluster the members that are redundant for each other, Campaign the
// clusters of an instance. Workflows carry out what Next says; the simulator in the tests drives the same functions.
package rollout

import "time"

// Step is an operator's word for what is done. The same words stand in files, the CLI, the UI and the docs.
type Step string

// The steps of a member.
const (
	StepInspect    Step = "inspect"
	StepFetch      Step = "fetch"
	StepGate       Step = "gate" // ask again whether the member may be, or stay, out of service
	StepDrain      Step = "drain"
	StepPatch      Step = "patch"
	StepReboot     Step = "reboot"
	StepPower      Step = "power" // of a host that went down for its reboot and did not come back
	StepCheck      Step = "check"
	StepUndrain    Step = "undrain"
	StepBackout    Step = "backout"
	StepQuarantine Step = "quarantine"
)

// The actions of a cluster and a campaign.
const (
	DoClaim   Step = "claim"
	DoWindow  Step = "window" // ask windows and freezes whether a member may begin
	DoStaged  Step = "staged" // ask whether what a member would get has finished in the stage that goes first
	DoRelease Step = "release"
	DoMember  Step = "member" // start the member's workflow
	DoWatch   Step = "watch"  // sample the checks of patched members
	DoCluster Step = "cluster"
	DoNotify  Step = "notify"
	DoProve   Step = "prove"  // look once more at the keys of those who agreed
	DoChange  Step = "change" // ask for a change number, or tell how the instance ended
	DoLook    Step = "look"   // for standing approvals that may open a gate
	DoTurn    Step = "turn"   // ask windows and freezes whether an instance of a schedule may begin
)

// Verdict is what a step, a check or a soak came to.
type Verdict string

// The verdicts. Inconclusive is neither of the others: what cannot be reached or told makes us wait.
const (
	Pass         Verdict = "pass"
	Fail         Verdict = "fail"
	Inconclusive Verdict = "inconclusive"
)

// Action is one thing to start. Its ID is unique within its workflow: an action that is in flight is not started again.
type Action struct {
	ID   string `json:"id"`
	Do   Step   `json:"do"`
	Host string `json:"host,omitempty"`
	// Name is the cluster of a DoCluster action.
	Name string `json:"name,omitempty"`
	// Attempt counts runs of a script on a host: it grows only after a recorded interruption (P6).
	Attempt int `json:"attempt,omitempty"`
	// Gated: it begins on the gate's word only, while that is new. Attach: that word is used up, and nothing begins.
	Gated  bool `json:"gated,omitempty"`
	Attach bool `json:"attach,omitempty"`
	// Ask is what a gate asks windows and freezes.
	Ask Ask `json:"ask,omitempty"`
	// Spent is how much of the time that a host needs is behind it.
	Spent time.Duration `json:"spent,omitempty"`
	// By is when an answer is wanted at the latest; zero: whenever there is one.
	By time.Time `json:"by,omitzero"`
	// Mode is what a DoMember action is for.
	Mode Mode `json:"mode,omitempty"`
	// Canary marks the member whose versions become the cluster's manifest.
	Canary bool    `json:"canary,omitempty"`
	Notice *Notice `json:"notice,omitempty"`
}

// Decision is what Next says: start these unless in flight, look again at WakeAt (zero: only when something happens).
type Decision struct {
	Start  []Action
	WakeAt time.Time
	Reason string // what people read in the UI, in watch and in why
	End    bool
}

// Notice is something a person must be told. Numbers grow, so that each is sent once.
type Notice struct {
	N     int    `json:"n"`
	Event string `json:"event"`
	Host  string `json:"host,omitempty"`
	Text  string `json:"text"`
	Next  string `json:"next,omitempty"` // the command to type
}

// The events a person is told of.
const (
	TellHold       = "hold"
	TellFail       = "fail"
	TellBackout    = "backout"
	TellQuarantine = "quarantine"
	TellGate       = "gate"
	TellWait       = "wait"
	TellHalted     = "halted"
	TellDone       = "done"
	TellSkip       = "skip" // a schedule's turn that passes without a start
)

// Outbox holds notices that were not handed on yet.
type Outbox struct {
	Last    int      `json:"last,omitempty"`
	Pending []Notice `json:"pending,omitempty"`
}

func (o *Outbox) tell(event, host, text, next string) {
	o.Last++
	o.Pending = append(o.Pending[:len(o.Pending):len(o.Pending)], Notice{N: o.Last, Event: event, Host: host, Text: text, Next: next})
}

// Sent drops a notice that was handed on.
func (o *Outbox) Sent(n int) {
	var left []Notice
	for _, p := range o.Pending {
		if p.N != n {
			left = append(left, p)
		}
	}
	o.Pending = left
}

func (o *Outbox) actions() []Action {
	var out []Action
	for i := range o.Pending {
		n := o.Pending[i]
		out = append(out, Action{ID: "notify." + itoa(n.N), Do: DoNotify, Host: n.Host, Notice: &n})
	}
	return out
}
