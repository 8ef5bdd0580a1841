package rollout

import "time"

// How long a member takes is measured step by step, without what it waits for: an attempt that came to nothing is part of the wait that
// follows, and what was asked again counts as it was answered last. What was measured decides nothing here: later plans are made with it.

// Took is how long the steps of one way took, of a patch or of a way back, in milliseconds.
type Took struct {
	Inspect int64 `json:"inspect,omitempty"`
	Fetch   int64 `json:"fetch,omitempty"`
	Drain   int64 `json:"drain,omitempty"`
	Patch   int64 `json:"patch,omitempty"`
	Reboot  int64 `json:"reboot,omitempty"`
	Check   int64 `json:"check,omitempty"`
	Undrain int64 `json:"undrain,omitempty"`
	Backout int64 `json:"backout,omitempty"`
	// Apart is why it says nothing of how long a host takes; empty: it counts.
	Apart string    `json:"apart,omitempty"`
	At    time.Time `json:"at,omitzero"` // when its cluster heard of it
}

// of is where a step's time stands; nil: it is not measured.
func (t *Took) of(s Step) *int64 {
	switch s {
	case StepInspect:
		return &t.Inspect
	case StepFetch:
		return &t.Fetch
	case StepDrain:
		return &t.Drain
	case StepPatch:
		return &t.Patch
	case StepReboot:
		return &t.Reboot
	case StepCheck:
		return &t.Check
	case StepUndrain:
		return &t.Undrain
	case StepBackout:
		return &t.Backout
	}
	return nil
}

// tookSteps are those that are measured, in the order in which a member comes to them.
var tookSteps = []Step{StepInspect, StepFetch, StepDrain, StepPatch, StepBackout, StepReboot, StepCheck, StepUndrain}

// StepTook is how long one step took.
type StepTook struct {
	Step  Step
	Milli int64
}

// Steps lists those that were measured.
func (t Took) Steps() []StepTook {
	var all []StepTook
	for _, s := range tookSteps {
		if ms := *t.of(s); ms > 0 {
			all = append(all, StepTook{s, ms})
		}
	}
	return all
}

// Timed keeps how long an attempt of a step took whose result is applied next; 0: nobody knows, because a worker was lost over it.
func (m Member) Timed(step Step, r MemberResult, took time.Duration) Member {
	t := &m.Took
	if m.Failed {
		t = &m.TookBack
	}
	place := t.of(step)
	if place == nil || m.Outcome != "" || m.Mode == ModeReturn || m.Found || r.Verdict != Pass && r.Verdict != Fail {
		return m
	}
	*place = took.Milliseconds()
	switch {
	case took <= 0:
		t.Apart = first(t.Apart, "a worker was lost over its "+string(step))
	case m.Attempt > 1:
		t.Apart = first(t.Apart, "its "+string(step)+" was cut short and begun again")
	case step == StepReboot && (m.LateTold || m.Powered):
		t.Apart = first(t.Apart, "its reboot was late")
	}
	return m
}

// Measured is how long its patch and its way back took. One that did not come to its end, or was cut, says nothing of how long a host takes.
func (m Member) Measured() (patch, back Took) {
	patch, back = m.Took, m.TookBack
	apart := func(t *Took, whole bool, why string) {
		if *t != (Took{}) && !whole {
			t.Apart = first(t.Apart, why)
		}
	}
	cut := m.Abort || m.Overdue
	apart(&patch, m.Outcome == Patched && !cut && patch.Patch > 0 && patch.Undrain > 0, "it was not patched, or not to the end")
	apart(&back, m.Outcome == BackedOut && !cut && back.Backout > 0 && back.Undrain > 0, "it was not brought back, or not to the end")
	return patch, back
}

// took keeps what a member's end says of it.
func (s *Slot) took(e MemberEnd, now time.Time) {
	for _, t := range []struct {
		said Took
		kept *Took
	}{{e.Took, &s.Took}, {e.TookBack, &s.TookBack}} {
		if t.said != (Took{}) {
			*t.kept = t.said
			t.kept.At = now
		}
	}
	s.Platform = first(e.Platform, s.Platform)
}

// MemberTook is how long one member took, for the record.
type MemberTook struct {
	Host     string `json:"host"`
	Platform string `json:"platform"`
	Backout  bool   `json:"backout,omitempty"`
	Took     Took   `json:"took"`
}

// Measured is what counts of how long its members took.
func (c Cluster) Measured() []MemberTook {
	var all []MemberTook
	for _, s := range c.Members {
		for i, t := range []Took{s.Took, s.TookBack} {
			if t != (Took{}) && t.Apart == "" && s.Platform != "" {
				all = append(all, MemberTook{Host: s.Host, Platform: s.Platform, Backout: i == 1, Took: t})
			}
		}
	}
	return all
}
