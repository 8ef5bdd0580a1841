package property_test

import (
	"math/rand/v2"
	"time"

	"github.com/rollpatch/rollpatch/activities"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

// hours are a window that comes again and again.
type hours struct {
	every, opens, lasts time.Duration
}

// calendar is what a seed's windows are, and the world's own reckoning of them.
type calendar struct {
	canary, peers hours
	work, back    time.Duration // what a host needs
	dark          time.Time     // until then nobody can read them
}

// fitCounts is how long a cluster may begin on what windows said.
const fitCounts = 5 * time.Minute

// windowed gives an instance windows. They are those of the world: calendars are read anew by whoever asks.
func (c *campaign) windowed(rng *rand.Rand) {
	if c.calendar == nil {
		some := func() hours {
			h := hours{every: []time.Duration{12 * time.Hour, 24 * time.Hour}[rng.IntN(2)], opens: time.Duration(rng.IntN(24)) * time.Hour}
			h.lasts = c.grid(rng, 45*time.Minute, 6*time.Hour)
			return h
		}
		k := &calendar{canary: some(), work: 25 * time.Minute, back: 15 * time.Minute}
		if k.peers = k.canary; rng.IntN(2) == 0 {
			k.peers = some()
		}
		c.calendar = k
	}
	c.cluster.Windows, c.member.Windows = true, true
	c.member.AtCutoff = []string{"", rollout.CutoffFinish}[rng.IntN(2)]
	c.cluster.OnFail = []string{"", rollout.OnFailWait}[rng.IntN(2)]
	c.member.OnFail = c.cluster.OnFail
	c.cluster.MaxMixed = []time.Duration{0, 2 * time.Hour, 20 * time.Hour}[rng.IntN(3)]
}

func (k *calendar) hours(canary bool) hours {
	if canary {
		return k.canary
	}
	return k.peers
}

// need is what a member of that mode needs.
func (k *calendar) need(mode rollout.Mode) time.Duration {
	if mode == rollout.ModeBackout {
		return k.back
	}
	return k.work + k.back
}

// fits says whether so much time is left at t, but for a moment: to ask takes time too.
func (h hours) fits(t time.Time, need time.Duration) bool {
	since := t.Sub(epoch.Add(h.opens-2*24*time.Hour)) % h.every
	return since < h.lasts && since+max(need-time.Minute, 0) <= h.lasts
}

// next is when so much time is left.
func (h hours) next(t time.Time, need time.Duration) time.Time {
	if h.fits(t, need) {
		return t
	}
	return t.Add(h.every - t.Sub(epoch.Add(h.opens-2*24*time.Hour))%h.every)
}

// fit is what windows and freezes say to a cluster.
func (a *act) fit(in activities.WindowInput, part string) (time.Duration, func() any) {
	return a.soon(), func() any {
		c, k := a.cluster(in.Instance, part), a.calendar
		h, need := k.hours(in.Canary), k.need(in.Mode)
		switch {
		case a.now().Before(k.dark), a.trouble(a.rng, 0.03):
			a.seen["calendar cannot be read"]++
			return rollout.FitResult{Reason: "the calendar cannot be read"}
		case a.now().Before(a.frozen):
			return rollout.FitResult{Closed: "frozen by ann", Frozen: true}
		case !h.fits(a.now(), need):
			a.seen["waited for a window in "+string(in.Mode)]++
			return rollout.FitResult{Closed: "no window is open", Next: h.next(a.now(), need)}
		}
		c.fitAt = a.now()
		return rollout.FitResult{OK: true}
	}
}

// timed adds to the gate's answer what windows say. It is false when they cannot be read.
func (b *memberBook) timed(a *act, in activities.StepInput, r *rollout.MemberResult) bool {
	k := a.calendar
	switch {
	case k == nil || in.Ask == "":
		return true
	case a.now().Before(k.dark):
		a.seen["calendar cannot be read"]++
		return false
	}
	h, need := k.hours(in.Canary), k.need(in.Mode)-min(in.Spent, k.work/2)
	if in.Ask == rollout.AskFit && !h.fits(a.now(), need) || in.Ask == rollout.AskOpen && !h.fits(a.now(), 0) {
		r.Closed, r.Next = "no window is open", h.next(a.now(), need)
		a.seen["closed for "+string(in.Mode)+" asked "+string(in.Ask)]++
	}
	return true
}

// mayBegin is P7 as a member goes out of service, and as a patch or a way back begins. What was begun is finished.
func (b *memberBook) mayBegin(step string) {
	k := b.calendar
	if k == nil {
		return
	}
	h, at := k.hours(b.canary), b.gateAt
	unasked := b.mode == rollout.ModeBackout && (b.cl.person || step == "Drain" && b.cl.camp.member.OnFail != rollout.OnFailWait)
	switch {
	case b.mode == rollout.ModeReturn, unasked, b.blamed && b.mode == rollout.ModePatch:
	case step == "Drain" && b.mode == rollout.ModePatch && !b.begunAny() && !h.fits(at, k.need(b.mode)-k.work/2):
		b.broken("P7: %s drains outside of its window", b.name)
	case step == "Drain" && b.mode == rollout.ModeBackout && !h.fits(at, k.back):
		b.broken("P7: %s drains for its way back outside of its window", b.name)
	case step == "Patch" && !h.fits(at, 0) && b.cl.camp.member.AtCutoff != rollout.CutoffFinish:
		b.broken("P7: %s begins its patch after its window", b.name)
	case step == "Backout" && b.mode == rollout.ModeBackout && !h.fits(at, k.back):
		b.broken("P7: %s is brought back outside of its window, and no person said so", b.name)
	case step == "Patch" && !h.fits(at, 0):
		b.seen["finished past its window"]++
	}
}

// mayStart holds that a member is started only on what windows said a moment ago.
func (c *clusterBook) mayStart(mode rollout.Mode) {
	if c.calendar == nil || mode == rollout.ModeBackout && (c.person || c.camp.cluster.OnFail != rollout.OnFailWait) {
		return
	}
	if c.fitAt.IsZero() || c.now().Sub(c.fitAt) > fitCounts+time.Minute {
		c.broken("P7: %s starts a member, and windows were asked at %s", c.name(), c.fitAt)
	}
}

// maxCut is how often a member's window may close while it waits for something else.
const maxCut = 3

// notNow says that a member ended only because its window closed: it comes again, unless that happens again and again.
func (c *clusterBook) notNow(r rollout.MemberEnd) bool {
	if !r.NotNow {
		return false
	}
	if r.Waited {
		if c.cut[r.Host]++; c.cut[r.Host] == maxCut {
			c.seen["not now once too often"]++
			c.cut[r.Host] = 0
			return false
		}
	}
	c.seen["not now"]++
	delete(c.last, r.Host)
	return true
}
