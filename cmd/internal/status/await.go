package status

import (
	"fmt"
	"time"

	"github.com/rollpatch/rollpatch/workflows/rollout"
)

// awaits lists what the instance waits for, and what a person may type.
func awaits(s Status, c rollout.Campaign) []Await {
	if s.Over() {
		return nil
	}
	var out []Await
	if c.Paused != "" && c.AbortFor == "" {
		out = append(out, Await{For: "a person to resume the campaign: " + c.Paused, Person: true, Type: []string{say("resume", s.Instance, ""), say("abort", s.Instance, "")}})
	}
	for _, st := range s.Stages {
		for _, cl := range st.Clusters {
			out = append(out, cl.awaits(s.Instance)...)
		}
	}
	return out
}

func (c Cluster) awaits(instance string) []Await {
	var out []Await
	a := Await{Cluster: c.Name, Since: c.Since}
	switch rollout.Phase(c.State) {
	case rollout.PhaseGate:
		a.Person = true
		a.For = "a person to approve the soak, which passed"
		if c.Soak != nil {
			a.For = fmt.Sprintf("a person to approve soak %d, which passed", c.Soak.Number)
		}
		a.Type = []string{say("approve", instance, c.Name), say("reject", instance, c.Name)}
		out = append(out, a)
	case rollout.PhaseHold:
		a.Person = true
		a.For = "a person: " + c.Reason
		if !c.doubt {
			a.Type = []string{say("resume", instance, c.Name)}
		}
		if c.has(rollout.Patched) {
			a.Type = append(a.Type, say("backout", instance, c.Name))
		}
		a.Type = append(a.Type, say("abort", instance, ""))
		out = append(out, a)
	case rollout.PhaseSoak:
		if c.Soak != nil {
			a.For = fmt.Sprintf("soak %d to pass, not before %s", c.Soak.Number, c.Soak.Ends.UTC().Format(time.RFC3339))
			a.Type = []string{say("reject", instance, c.Name)}
			out = append(out, a)
		}
	case rollout.PhaseClaim:
		a.For = c.Reason
		out = append(out, a)
	}
	for _, m := range c.Members {
		if m.Held {
			out = append(out, Await{Cluster: c.Name, Host: m.Host, For: "its cause to clear, or a person: " + m.waitFor, Since: m.Since, Person: true, Type: []string{say("abort", instance, "")}})
		}
	}
	return out
}

func (c Cluster) has(o rollout.Outcome) bool {
	for _, m := range c.Members {
		if m.Outcome == string(o) {
			return true
		}
	}
	return false
}

// say is a message as it is typed.
func say(word, instance, cluster string) string {
	s := "rollpatch " + word + " " + instance
	if cluster != "" {
		s += " --cluster " + cluster
	}
	return s + ` --reason "..."`
}
