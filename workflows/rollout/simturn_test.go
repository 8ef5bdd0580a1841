package rollout

import (
	"math/rand/v2"
	"slices"
	"time"
)

// turning is the turn of one instance in the simulator: what its windows said, kept apart from what the rules made of it.
type turning struct {
	rng    *rand.Rand
	opens  time.Time // the window that it is for
	agreed bool      // everybody had, when that opened
	held   bool      // and the windows said that it may begin
	kept   bool      // a person held the campaign in this window, or nobody could tell who asked for it
	known  time.Time // until then nobody can
	passed int
	never  bool // no other window opened before the next instance was made
}

// schedule gives some of the instances a turn of their own. Chance of its own leaves the rest of a seed what it was.
func (r *campaignRun) schedule(seeded *rand.Rand) {
	if seeded.IntN(20) != 0 {
		return
	}
	t := &turning{rng: rand.New(rand.NewPCG(seeded.Uint64(), 1))}
	t.opens = r.now.Add(t.between(0, 48*time.Hour))
	r.c.Turn = &Turn{Begin: t.opens}
	if r.kind != cooperative && t.rng.IntN(2) == 0 {
		r.c.Turn.Last = t.opens.Add(t.between(time.Hour, 96*time.Hour))
	}
	if r.turning = t; t.rng.IntN(4) == 0 {
		t.known = r.now.Add(t.between(0, 72*time.Hour))
	}
	r.stand()
}

// identify is the look at who asked for it.
func (r *campaignRun) identify() {
	t := r.turning
	switch {
	case t == nil || t.known.IsZero() || r.c.Outcome != "" || r.c.AbortFor != "" || r.now.Before(r.c.AskWho):
	case !r.now.Before(t.known):
		t.known = time.Time{}
		r.c = untouched(r.world, r.c, func(c Campaign) Campaign { return c.Identified(c.Requester) })
	default:
		r.c = untouched(r.world, r.c, func(c Campaign) Campaign { return c.Unidentified("no signers", r.now) })
		r.seen["nobody known asked for it"]++
	}
}

func (t *turning) between(from, to time.Duration) time.Duration {
	return from + time.Duration(t.rng.Int64N(int64(to-from)))
}

// open notes who has agreed when the window opens: nothing that comes later counts for it.
func (r *campaignRun) open() {
	t := r.turning
	if t == nil || r.c.Turn.Begun != (time.Time{}) || r.now.Before(t.opens) {
		return
	}
	t.kept = t.kept || r.c.Paused != "" || r.c.Unknown != ""
	if t.agreed {
		return
	}
	t.agreed = true
	for _, g := range r.c.Gates {
		if g.Stage == 0 && !slices.Contains(r.opened, g.ID) && !g.Proving {
			t.agreed = false
			t.opens = r.c.Turn.Begin // it stays shut for this one
		}
	}
}

// turn is the answer of windows and freezes.
func (r *campaignRun) turn(a Action) {
	t := r.turning
	anew := t != nil && r.now.Before(t.opens) && r.c.Turn.Anew // a freeze was broken: it may begin earlier
	if t == nil || r.now.Before(t.opens) && !anew {
		r.broken("%s asks for its turn before its window opens", r.c.Instance)
	}
	agreed := t.agreed
	r.launch(r.flights, a.ID, t.between(time.Second, time.Minute), func() {
		o := Opening{OK: true, Next: r.now.Add(t.between(time.Hour, 48*time.Hour))}
		switch n := t.rng.IntN(10); {
		case n == 0:
			o = Opening{Unknown: "calendar: connection refused"}
		case n < 3:
			o.OK, o.Why = false, "freeze fair"
		case n == 3 && r.kind != cooperative:
			o.Next = time.Time{}
		}
		past, asked := r.c.Turn.Past, r.c.Turn.Asked
		r.c = untouched(r.world, r.c, func(c Campaign) Campaign { return c.TurnAsked(a.ID, o, r.now) })
		switch {
		case anew && r.c.Turn.Asked == asked:
		case anew && r.now.Before(t.opens):
			if r.c.Turn.Past != past || !r.c.Turn.Begun.IsZero() {
				r.broken("%s was asked for its window before its time, and went on: %+v", r.c.Instance, *r.c.Turn)
			}
			t.agreed, t.kept, t.opens = false, false, r.c.Turn.Begin
			r.seen["turn asked anew"]++
		case r.c.Turn.Past > past:
			if agreed && o.OK && !t.kept {
				r.broken("%s lets its window pass, and nothing stood against it", r.c.Instance)
			}
			if t.kept {
				r.seen["kept out of its window"]++
			}
			t.passed++
			t.agreed, t.kept, t.opens = false, false, r.c.Turn.Begin
			r.seen["window passed without a start"]++
			t.never = r.c.Outcome != ""
		case !r.c.Turn.Begun.IsZero():
			if t.held = o.OK && o.Unknown == ""; t.kept || r.c.Unknown != "" {
				r.broken("%s begins in a window in which it was held, or nobody could tell who asked for it", r.c.Instance)
			}
			r.seen["began in its turn"]++
		case o.Unknown != "":
			r.seen["turn not known"]++
		}
		r.step()
	})
}

// mayTurn holds that nothing of an instance begins before its window, without everybody's agreement by then, or against a freeze (P7).
func (r *campaignRun) mayTurn(name string) {
	if t := r.turning; t != nil && (!t.agreed || !t.held || r.now.Before(t.opens)) {
		r.broken("P7: %s starts %s, and its turn has not come: everybody agreed when its window opened: %t, it was said to be open: %t, it opens at %s", r.c.Instance, name, t.agreed, t.held, t.opens)
	}
}

// mayNeverBegin holds that who is told of a start that did not come about has nothing touched.
func (r *campaignRun) mayNeverBegin() {
	t := r.turning
	if t == nil {
		return
	}
	if r.c.NeverBegan() && len(r.clusters) > 0 {
		r.broken("%s never began, and has clusters", r.c.Instance)
	}
	if t.passed != r.told["skip "+r.c.Instance] {
		r.broken("%d windows of %s passed without a start, and people were told of %d", t.passed, r.c.Instance, r.told["skip "+r.c.Instance])
	}
	if t.never {
		r.seen["never began"]++
	}
}
