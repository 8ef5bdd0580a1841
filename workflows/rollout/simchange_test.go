package rollout

import (
	"math/rand/v2"
	"time"
)

// keeper keeps changes, in the simulation: it may refuse, say nothing for a while or for ever, and its answers may be lost.
type keeper struct {
	refuses, silent bool
	opened          int    // changes, under one key
	outcome         string // as it was told
}

// keep gives some instances a keeper. It has odds of its own, so that worlds without one stay what they are.
func (r *campaignRun) keep(seed int) {
	odds := rand.New(rand.NewPCG(uint64(seed), 13+uint64(len(r.runs))))
	if odds.Float64() >= 0.15 {
		return
	}
	r.keeper = &keeper{refuses: r.trouble(0.2), silent: r.trouble(0.2)}
	r.c.Change = &Change{By: "the change hook", Timeout: 30 * time.Second, Within: 10 * time.Minute}
}

// change asks the keeper, who is asked again until the hook's time is over.
func (r *campaignRun) change(a Action) {
	k := r.keeper
	if a.Name == ChangeOpen {
		r.c = r.c.ChangeAsked(r.now)
	}
	r.launch(r.flights, a.ID, r.between(time.Second, 10*time.Minute), func() {
		heard, lost := !k.silent && !r.trouble(0.2), r.trouble(0.2)
		switch {
		case a.Name == ChangeOpen && heard && k.refuses:
			if !lost {
				r.c = r.c.ChangeRefused("change freeze", r.now)
				r.seen["change refused"]++
			}
		case a.Name == ChangeOpen:
			if heard {
				k.opened = 1
			}
			if heard && !lost {
				r.c = r.c.ChangeOpened("CHG1")
			}
		case r.c.Outcome == "":
			r.broken("%s tells its end before it has ended", r.c.Instance)
		case heard && k.outcome != "" && k.outcome != string(r.c.Outcome):
			r.broken("%s ended %s, and then %s", r.c.Instance, k.outcome, r.c.Outcome)
		case heard:
			if k.outcome = string(r.c.Outcome); !lost {
				r.c = r.c.ChangeTold(r.now)
				r.seen["change closed"]++
			}
		}
		switch h := r.c.Change; {
		case a.Name == ChangeOpen && h.pending() && (k.silent || r.trouble(0.3)):
			r.c = r.c.ChangeUnknown("no answer", r.now)
			r.seen["change unknown"]++
		case a.Name == ChangeClose && h.Told.IsZero() && (k.silent || r.trouble(0.3)):
			r.c = r.c.ChangeUntold("no answer")
			r.seen["change not closed"]++
		}
		r.step()
	})
}

// mayChange holds that nothing starts without a number.
func (r *campaignRun) mayChange(name string) {
	if r.keeper != nil && r.c.Change.Number == "" {
		r.broken("P7: %s starts %s without a change number", r.c.Instance, name)
	}
}

// changeClosed holds that who opened a change was told how it ended, or a person was told that he was not.
func (r *campaignRun) changeClosed() {
	if k := r.keeper; k != nil && k.opened > 0 && k.outcome != string(r.c.Outcome) && (r.c.Change.Untold == "" || r.told["fail "+r.c.Instance] == 0) {
		r.broken("%s ended %s, and its change says %q", r.c.Instance, r.c.Outcome, k.outcome)
	}
}
