package rollout

import (
	"math/rand/v2"
	"slices"
	"time"
)

// calendar is what a seed's windows and freezes are, and the simulator's own reckoning of them. It throws dice of its own: seeds without
// windows play as they did before there were any.
type calendar struct {
	dice          *rand.Rand
	canary, peers hours
	work, back    time.Duration // what a host needs
	freezes       []stretch
	broken        map[string][]Broken // by their approvers, for one instance each
	dark          time.Time           // until then nobody can read them
}

// hours are a window that comes again and again.
type hours struct {
	every, opens, lasts, cutoff time.Duration
}

type stretch struct{ from, to time.Time }

func (w *world) chance2(p float64) bool { return w.calendar.dice.Float64() < p }

// openWindows gives a third of the seeds windows, and some of them freezes that were announced beforehand.
func (w *world) openWindows(seed int) {
	if seed%3 != 1 {
		return
	}
	k := &calendar{dice: rand.New(rand.NewPCG(uint64(seed), 11)), work: 25 * time.Minute, back: 15 * time.Minute}
	if w.calendar = k; k.dice.IntN(2) == 0 { // a guess that is too low
		k.work, k.back = time.Minute, time.Minute
	}
	some := func() hours {
		h := hours{every: 24 * time.Hour, opens: time.Duration(k.dice.IntN(24)) * time.Hour}
		if k.dice.IntN(2) == 0 {
			h.every /= 2
		}
		h.cutoff = time.Duration(k.dice.IntN(3)) * 10 * time.Minute
		h.lasts = k.work + k.back + h.cutoff + time.Duration(k.dice.IntN(1+k.dice.IntN(20)))*20*time.Minute
		return h
	}
	k.canary = some()
	if k.peers = k.canary; w.chance2(0.5) {
		k.peers = some()
	}
	if w.kind != cooperative && w.chance2(0.5) {
		w.announce()
	}
}

// bind gives a campaign its policy for windows.
func (r *campaignRun) bind() {
	k := r.calendar
	if k == nil {
		return
	}
	r.cluster.Windows, r.member.Windows = true, true
	r.member.AtCutoff = []string{"", CutoffFinish}[k.dice.IntN(2)]
	r.cluster.OnFail = []string{"", OnFailWait}[k.dice.IntN(2)]
	r.member.OnFail = r.cluster.OnFail
	r.cluster.MaxMixed = []time.Duration{0, 2 * time.Hour, 20 * time.Hour}[k.dice.IntN(3)]
}

// announce adds a freeze, which begins at once or later.
func (w *world) announce() {
	k := w.calendar
	from := w.now.Add(time.Duration(k.dice.IntN(12)) * 10 * time.Minute)
	k.freezes = append(k.freezes, stretch{from, from.Add(time.Duration(1+k.dice.IntN(30)) * time.Hour)})
	w.seen["freeze announced"]++
	w.logf("a freeze is announced: %s until %s", from, k.freezes[len(k.freezes)-1].to)
}

// calendarHappens is trouble with the calendar, while there is any.
func (w *world) calendarHappens() {
	if k := w.calendar; k != nil && !w.calm {
		if w.chance2(0.3) {
			w.announce()
		} else if w.chance2(0.4) {
			w.breaksOne()
		} else if w.chance2(0.3) {
			k.dark = w.now.Add(time.Duration(k.dice.IntN(120)) * time.Minute)
			w.logf("the calendar cannot be read until %s", k.dark)
		}
		w.after(time.Duration(1+k.dice.IntN(12))*30*time.Minute, w.calendarHappens)
	}
}

// breaksOne has a freeze broken for one instance by those who may. Its campaign knows at once, clusters and members hear of it.
func (w *world) breaksOne() {
	k := w.calendar
	if len(k.freezes) == 0 || len(w.runs) == 0 {
		return
	}
	f, run := k.freezes[k.dice.IntN(len(k.freezes))], w.runs[k.dice.IntN(len(w.runs))]
	until := w.now.Add(time.Duration(1+k.dice.IntN(40)) * 20 * time.Minute)
	if until.After(f.to) {
		until = f.to
	}
	if run.over || !until.After(f.from) || !f.to.After(w.now) {
		return
	}
	if k.broken == nil {
		k.broken = map[string][]Broken{}
	}
	instance := run.c.Instance
	k.broken[instance] = append(slices.Clip(k.broken[instance]), Broken{Freeze: Freeze{Name: "fair", From: f.from, To: f.to}, Until: until, By: "mia", At: w.now})
	w.seen["freeze broken"]++
	w.logf("the freeze from %s to %s is broken for %s until %s", f.from, f.to, instance, until)
	list := k.broken[instance]
	run.c = untouched(w, run.c, func(c Campaign) Campaign {
		return c.Break(list, func(f Freeze) string { return "freeze/" + f.Name }, w.now)
	})
	for _, c := range run.ordered() {
		w.after(time.Duration(k.dice.IntN(5))*time.Second, func() { c.hearsOfBroken() })
	}
	run.step()
}

// hearsOfBroken tells a cluster which freezes are broken, and its members on their way.
func (c *clusterRun) hearsOfBroken() {
	if c.over {
		return
	}
	c.c = untouched(c.world, c.c, func(st Cluster) Cluster { return st.Break(c.camp.c.Broken) })
	for _, m := range c.world.working() {
		if m.cl == c && !m.over {
			m.m = untouched(c.world, m.m, func(st Member) Member { return st.Break(c.c.Broken) })
			m.step()
		}
	}
	c.step()
}

// frozenBut is frozen for whom some freezes are broken: they begin when that ends.
func (k *calendar) frozenBut(broken []Broken, t time.Time, need time.Duration) (until time.Time, is bool) {
	mine := calendar{}
	for _, f := range k.freezes {
		for _, b := range broken {
			if b.From.Equal(f.from) && b.To.Equal(f.to) && b.Until.After(f.from) {
				f.from = b.Until
			}
		}
		if f.from.Before(f.to) {
			mine.freezes = append(mine.freezes, f)
		}
	}
	return mine.frozen(t, need)
}

// frozenFor is whether an instance must let it be: only what was broken for this very one is none.
func (r *memberRun) frozenFor(t time.Time) bool {
	_, is := r.calendar.frozenBut(r.calendar.broken[r.cl.camp.c.Instance], t, 0)
	if _, others := r.calendar.frozen(t, 0); others && !is {
		r.seen["went on in a freeze that was broken for it"]++
	}
	return is
}

func (k *calendar) calmDown(now time.Time) {
	if k != nil {
		k.freezes, k.dark = nil, now
	}
}

func (k *calendar) hours(canary, emergency bool) hours {
	switch {
	case emergency: // it waits for no window
		return hours{every: 24 * time.Hour, lasts: 1000 * time.Hour}
	case canary:
		return k.canary
	}
	return k.peers
}

// frozen says whether a freeze lies within so much time from t on, and when it is over.
func (k *calendar) frozen(t time.Time, need time.Duration) (until time.Time, is bool) {
	for _, f := range k.freezes {
		if t.Before(f.to) && (f.from.Before(t.Add(need)) || !f.from.After(t)) {
			return f.to, true
		}
	}
	return time.Time{}, false
}

// fits says whether so much time is left at t, but for a moment: to ask takes time too.
func (h hours) fits(t time.Time, need time.Duration) bool {
	return h.fitsAt(t, max(need-time.Minute, 0))
}

func (h hours) fitsAt(t time.Time, need time.Duration) bool {
	since := t.Sub(epoch.Add(h.opens-h.every)) % h.every
	return since < h.lasts-h.cutoff && since+need <= h.lasts
}

// open says that t is in a window, whatever its cutoff.
func (h hours) open(t time.Time) bool {
	h.cutoff = 0
	return h.fitsAt(t, 0)
}

// next is when so much time is left.
func (k *calendar) next(t time.Time, h hours, need time.Duration, broken []Broken) time.Time {
	for at := t; at.Before(t.Add(30 * 24 * time.Hour)); {
		until, is := k.frozenBut(broken, at, need)
		switch {
		case is:
			at = until
		case h.fitsAt(at, need):
			return at
		default:
			at = at.Add(h.every - at.Sub(epoch.Add(h.opens-h.every))%h.every) // where the next one opens
		}
	}
	return time.Time{}
}

// need is what a member of that mode needs.
func (k *calendar) need(mode Mode) time.Duration {
	if mode == ModeBackout {
		return k.back
	}
	return k.work + k.back
}

// timed adds to the gate's answer what windows and freezes say. It is false when they cannot be read.
func (r *memberRun) timed(a Action, res *MemberResult) bool {
	k, ask := r.calendar, a.Ask
	switch {
	case k == nil || ask == "":
		return true
	case r.now.Before(k.dark):
		r.seen["calendar cannot be read"]++
		return false
	}
	h, need := k.hours(r.m.Canary, r.m.Policy.Keep), k.need(r.m.Mode)
	if a.Spent > 0 {
		need -= min(a.Spent, k.work/2)
	}
	if until, is := k.frozenBut(r.m.Broken, r.now, 0); is {
		res.Frozen, res.Next = "a freeze", until
		r.seen["calendar freeze in "+string(r.m.Mode)]++
		return true
	}
	_, soon := k.frozenBut(r.m.Broken, r.now, need)
	switch {
	case ask == AskFit && (soon || !h.fits(r.now, need)), ask == AskOpen && !h.open(r.now):
		res.Closed, res.Next = "no window is open", k.next(r.now, h, need, r.m.Broken)
		r.seen["closed for "+string(r.m.Mode)+" asked "+string(ask)]++
	}
	return true
}

// isThawed holds that nobody is drained while somebody keeps the whole estate as it is.
func (r *memberRun) isThawed() {
	if r.now.Before(r.frozen) {
		r.broken("P7: %s drains while somebody keeps the whole estate as it is", r.name())
	}
}

// mayDrain is P7 as a member goes out of service.
func (r *memberRun) mayDrain() {
	k := r.calendar
	if k == nil || r.m.Mode == ModePatch && r.blamed { // what was begun is finished
		return
	}
	if r.frozenFor(r.now) {
		r.broken("P7: %s drains in a freeze", r.name())
	}
	switch h, need := k.hours(r.m.Canary, r.m.Policy.Keep), k.need(r.m.Mode); {
	case r.m.Mode == ModePatch && r.patches == 0 && h.fits(r.now, need-k.work/2):
	case r.m.Mode == ModeBackout && (r.m.Policy.OnFail != OnFailWait || r.cl.person):
	case !h.fits(r.now, need):
		r.broken("P7: %s drains outside of its window", r.name())
	}
}

// maySit holds that nobody is kept out of service, unchanged, until the next window.
func (r *memberRun) maySit() {
	if r.m.Closed && r.m.Mode == ModePatch && r.patches == 0 && r.h.ours == r.cl.camp.c.Instance {
		r.broken("%s is drained and unchanged, and waits for its window", r.name())
	}
}

// mayChange is P7 as a patch, or a way back from a soak that failed, begins.
func (r *memberRun) mayChange(a Action) {
	k := r.calendar
	if a.Attempt > 1 || a.Attach || r.inUse[a.Do] || r.runNo[a.Do] > 0 { // it was begun before
		return
	}
	if is := r.now.Before(r.frozen); is && a.Do == StepBackout && r.m.Mode == ModeBackout {
		r.broken("P7: %s begins its way back while somebody keeps the whole estate as it is", r.name())
	}
	if k == nil {
		return
	}
	is := r.frozenFor(r.now)
	is = is || r.now.Before(r.frozen)
	h := k.hours(r.m.Canary, r.m.Policy.Keep)
	switch {
	case a.Do == StepPatch && is, a.Do == StepBackout && r.m.Mode == ModeBackout && is:
		r.broken("P7: %s begins %s in a freeze", r.name(), a.Do)
	case a.Do == StepPatch && !h.open(r.now) && r.m.Policy.AtCutoff != CutoffFinish:
		r.broken("P7: %s begins its patch after its window", r.name())
	case a.Do == StepPatch && !h.open(r.now):
		r.seen["finished past its window"]++
	case a.Do == StepBackout && r.m.Mode == ModeBackout && !r.cl.person && !h.fits(r.now, k.back):
		r.broken("P7: %s is brought back outside of its window, and no person said so", r.name())
	case a.Do == StepBackout && r.m.Mode == ModeBackout && !h.fits(r.now, k.back):
		r.seen["brought back on a person's word"]++
	}
}

// window asks windows and freezes before a member is started.
func (c *clusterRun) window(a Action) {
	if c.calendar == nil {
		c.broken("%s asks for windows, and there are none", c.name())
	}
	c.launch(c.flights, a.ID, 2*time.Second, func() {
		k := c.calendar
		h, need := k.hours(a.Canary, c.c.Policy.Emergency), k.need(a.Mode)
		r := FitResult{OK: true}
		_, is := k.frozenBut(c.c.Broken, c.now, need)
		switch {
		case c.now.Before(k.dark):
			r = FitResult{Reason: "the calendar cannot be read"}
		case c.now.Before(c.frozen):
			r = FitResult{Closed: "frozen by ann", Frozen: true}
			thaw := c.frozen
			c.after(thaw.Sub(c.now)+time.Second, func() {
				if !c.over && !c.now.Before(c.frozen) {
					c.c = untouched(c.world, c.c, func(st Cluster) Cluster { return st.Thawed(c.now) })
					c.step()
				}
			})
		case is || !h.fits(c.now, need):
			r = FitResult{Closed: "no window is open", Next: k.next(c.now, h, need, c.c.Broken)}
		}
		before := c.c
		c.logf("%s %s: %+v", c.name(), a.ID, r)
		c.c = untouched(c.world, c.c, func(st Cluster) Cluster { return st.Fitted(a.ID, r, c.now) })
		switch {
		case r.OK:
			c.fitAt, c.stuck = c.now, time.Time{}
		case r.Closed != "":
			c.stuck = time.Time{}
			c.seen["waited for a window in "+string(before.Phase)]++
		case c.c.Asked != before.Asked: // else nobody waits for it any more
			c.troubled(before, ClaimResult{Reason: r.Reason})
		}
		c.step()
	})
}

// mayBegin holds that a member is started only on what windows and freezes said a moment ago, each for itself.
func (c *clusterRun) mayBegin(a Action) {
	if c.calendar == nil || a.Mode == ModeBackout && (c.person || c.c.Policy.OnFail != OnFailWait) {
		return
	}
	if c.fitAt.IsZero() || c.now.Sub(c.fitAt) > 5*time.Minute {
		c.broken("P7: %s starts %s, and windows were asked at %s", c.name(), a.Host, c.fitAt)
	}
	c.fitAt = time.Time{}
}

// notNow says that a member ended only because its window closed: it comes again, unless that happens again and again while it waits for
// something else.
func (c *clusterRun) notNow(r *memberRun) bool {
	if !r.end.NotNow {
		return false
	}
	host := r.h.name
	if r.end.Waited {
		c.cut[host]++
	}
	if r.end.Waited && c.cut[host] == 3 {
		c.seen["not now once too often"]++
		c.cut[host] = 0
		c.fails[host]++
		return false
	}
	delete(c.last, host)
	return true
}

// waitsForAWindow says that it goes on by itself, at a time that is set.
func (w *world) waitsForAWindow() bool {
	for _, r := range w.runs {
		for _, c := range r.ordered() {
			if !c.over && c.c.Closed {
				return true
			}
		}
	}
	for _, m := range w.working() {
		if m.m.Closed || m.m.Frozen {
			return true
		}
	}
	return false
}

// desertedFor is how long nobody comes, and everything is through that people need not say a word about: nights, where there are windows.
func (w *world) desertedFor() time.Duration {
	if w.calendar != nil {
		return 20 * 24 * time.Hour
	}
	if !w.backAt.IsZero() { // nothing moved on while no worker was there
		return 6 * 24 * time.Hour
	}
	return 36 * time.Hour
}
