package activities

import (
	"context"
	"fmt"
	"time"

	"github.com/rollpatch/rollpatch/inventory/recur"
	"github.com/rollpatch/rollpatch/workflows/calendar"
	"github.com/rollpatch/rollpatch/workflows/plan"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

// Calendars reads windows and freezes, anew each time, as instants from one on. What a source does not tell is in Unknown, or an error.
type Calendars interface {
	Calendar(ctx context.Context, p plan.Part, canary bool, from time.Time) (calendar.Calendar, error)
}

// WindowInput asks windows and freezes for the member that its cluster would start.
type WindowInput struct {
	Instance string       `json:"instance"`
	Part     string       `json:"part"`
	Host     string       `json:"host"`
	Canary   bool         `json:"canary,omitempty"`
	Mode     rollout.Mode `json:"mode"`
	// Broken are the freezes that its approvers broke for this instance.
	Broken []rollout.Broken `json:"broken,omitempty"`
}

// Window says whether a member may begin now, and if not, when. It is read only, and on no audit chain: the gate before the drain is.
func (a *Activities) Window(ctx context.Context, in WindowInput) (rollout.FitResult, error) {
	p, err := a.part(ctx, in.Part)
	if err != nil {
		return rollout.FitResult{}, err
	}
	frozen, err := a.Workflows.Frozen(ctx)
	switch {
	case ctx.Err() != nil:
		return rollout.FitResult{}, ctx.Err()
	case err != nil:
		return rollout.FitResult{Reason: fmt.Sprintf("whether the estate is frozen: %v", err)}, nil
	case frozen != "":
		return rollout.FitResult{Closed: frozen, Frozen: true}, nil
	}
	says, err := a.timing(ctx, p, in.Canary, rollout.AskFit, need(a.estimate(ctx, p, in.Host, ""), in.Mode, 0), in.Broken)
	switch {
	case ctx.Err() != nil:
		return rollout.FitResult{}, ctx.Err()
	case err != nil:
		return rollout.FitResult{Reason: clip(err.Error())}, nil
	case says.freeze != "":
		return rollout.FitResult{Closed: says.freeze, Next: says.next, Stands: says.stands}, nil
	case says.closed != "":
		return rollout.FitResult{Closed: says.closed, Next: says.next, Stands: says.stands}, nil
	}
	return rollout.FitResult{OK: true}, nil
}

// timing is what windows and freezes say: one of the two words, or neither.
type timing struct {
	freeze, closed string
	next           time.Time
	stands         []rollout.Freeze // that keep it from beginning
}

// timing asks them as they are now, without the freezes that are broken. A freeze comes first: nothing lifts it but its end, and its approvers.
func (a *Activities) timing(ctx context.Context, p plan.Part, canary bool, ask rollout.Ask, n calendar.Need, broken []rollout.Broken) (timing, error) {
	now := a.Now().UTC()
	cal, err := a.Calendars.Calendar(ctx, p, canary, now)
	switch {
	case err != nil:
		return timing{}, fmt.Errorf("the windows and freezes are not known: %w", err)
	case cal.Unknown != "":
		return timing{}, fmt.Errorf("the windows and freezes are not known: %s", cal.Unknown)
	}
	cal = without(cal, broken)
	freezes := calendar.Calendar{Always: true, Freezes: cal.Freezes}
	if ok, why, next := freezes.Fit(now, calendar.Need{}); !ok {
		if ask == rollout.AskFit {
			_, why, next = cal.Fit(now, n) // when it may begin then, windows included
		}
		return timing{freeze: clip(why + byClocks(p, canary, next)), next: next, stands: inTheWay(cal, now, n, broken)}, nil
	}
	switch ask {
	case rollout.AskFreeze:
		return timing{}, nil
	case rollout.AskOpen:
		n = calendar.Need{}
		cal.Windows = uncut(cal.Windows)
	}
	barely := n
	barely.Work -= min(askTakes, barely.Work/20)
	if ok, _, _ := cal.Fit(now, barely); ok {
		return timing{}, nil
	}
	_, why, next := cal.Fit(now, n)
	return timing{closed: clip(why + byClocks(p, canary, next)), next: next, stands: inTheWay(cal, now, n, broken)}, nil
}

// without is the calendar for an instance whose freezes were broken.
func without(cal calendar.Calendar, broken []rollout.Broken) calendar.Calendar {
	var breaks []calendar.Break
	for _, b := range broken {
		breaks = append(breaks, calendar.Break{Span: calendar.Span{Name: b.Name, Start: b.From, End: b.To}, Until: b.Until})
	}
	return cal.Broken(breaks)
}

// inTheWay lists the freezes that keep a host from beginning, as the sources have them: what is broken of one for a while is the same freeze.
func inTheWay(cal calendar.Calendar, now time.Time, n calendar.Need, broken []rollout.Broken) []rollout.Freeze {
	var out []rollout.Freeze
	begin, _ := cal.Unfrozen(now, n)
	for _, f := range cal.InTheWay(now, n) {
		for _, b := range broken {
			if f.Name == b.Name && f.End.Equal(b.To) && f.Start.Equal(b.Until) {
				f.Start = b.From
			}
		}
		if len(out) < mostStanding {
			out = append(out, rollout.Freeze{Name: f.Name, From: f.Start.UTC(), To: f.End.UTC(), Begin: begin.UTC(), Takes: n.Whole()})
		}
	}
	return out
}

// mostStanding bounds what is kept of them.
const mostStanding = 10

// byClocks says an instant once more, by the clocks that the files mean.
func byClocks(p plan.Part, canary bool, at time.Time) string {
	if at.IsZero() || p.When == nil {
		return ""
	}
	names := []string{}
	for _, w := range p.When.Windows(canary) {
		names = append(names, w.Zone)
	}
	for _, f := range p.When.Freezes {
		names = append(names, f.Zone)
	}
	for _, name := range names {
		if zone, err := recur.Zone(name); name != "" && err == nil && zone.String() != "UTC" {
			return " (" + at.In(zone).Format("Mon 2006-01-02 15:04 MST") + ")"
		}
	}
	return at.Format(" (Mon)")
}

// askTakes is how long it may take to ask, or a twentieth of the work: a window that is as long as a host needs fits one that asks as it opens.
const askTakes = time.Minute

// uncut is the windows to their ends, for one that was begun.
func uncut(ws []calendar.Window) []calendar.Window {
	var out []calendar.Window
	for _, w := range ws {
		w.Cutoff = time.Time{}
		out = append(out, w)
	}
	return out
}

// need is how long a member needs yet. Once it may be drained, that is what was measured from the drain on. Where nothing was, at most half of
// the work counts as behind it: what takes its time before the drain says little of what comes after it.
func need(e calendar.Estimate, mode rollout.Mode, spent time.Duration) calendar.Need {
	n := e.Need
	switch {
	case mode == rollout.ModeBackout:
		return calendar.Need{Work: n.Backout}
	case spent > 0 && e.Out > 0:
		return calendar.Need{Work: min(n.Work, e.Out), Backout: n.Backout}
	}
	n.Work -= min(spent, n.Work/2)
	return n
}
