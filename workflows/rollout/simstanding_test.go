package rollout

import (
	"fmt"
	"time"

	"github.com/rollpatch/rollpatch/workflows/approval"
)

// stood is a standing approval in the simulator, as it was meant when it was made up.
type stood struct {
	who       string
	gate      string // that it is for
	nonce     string
	alien     bool // for other packages, or another schedule
	withdrawn bool
	expires   time.Time
}

// stand gives some of the instances that a schedule made standing approvals. They are chance of the turn's own.
func (r *campaignRun) stand() {
	t := r.turning
	r.c.Standing = "monthly"
	for range t.rng.IntN(7) {
		s := &stood{who: electors[t.rng.IntN(len(electors))], alien: t.rng.IntN(2) == 0, expires: r.now.Add(t.between(time.Hour, 60*24*time.Hour))}
		if len(r.c.Gates) > 0 {
			s.gate = r.c.Gates[t.rng.IntN(len(r.c.Gates))].ID
		}
		s.nonce = fmt.Sprintf("standing-%s-%d", r.c.Instance, len(r.people.stands))
		r.people.stands = append(r.people.stands, s)
		if t.rng.IntN(3) == 0 {
			r.after(t.between(0, 72*time.Hour), func() { s.withdrawn = true })
		}
	}
}

// look is what the workflow does: whatever stands is looked at, and kept if it counts.
func (r *campaignRun) look(a Action) {
	t := r.turning
	if t == nil || r.c.Standing == "" {
		r.broken("%s looks for standing approvals, and no schedule made it by itself", r.c.Instance)
	}
	if g, waits := r.c.Awaits(); !waits || g.ID != a.Name {
		r.broken("%s looks for standing approvals at gate %s, at which it does not wait", r.c.Instance, a.Name)
	}
	r.launch(r.flights, a.ID, t.between(time.Second, time.Minute), func() {
		g, ok := r.gateOf()
		trouble := ""
		switch {
		case !ok || g.ID != a.Name || !r.c.Looks(a.Name, a.ID):
		case t.rng.IntN(4) == 0:
			trouble = "permission denied"
			r.seen["standing approvals not known"]++
		default:
			for _, s := range r.people.stands {
				r.people.handStanding(g, *s)
			}
		}
		r.c = untouched(r.world, r.c, func(c Campaign) Campaign { return c.Looked(a.Name, a.ID, trouble, r.now) })
		r.step()
	})
}

func (a *assembly) handStanding(g approval.Gate, s stood) {
	by := a.signer(s.who)
	if s.withdrawn || s.gate == "" || len(by.Names) == 0 || a.revoked[by.Key] {
		return
	}
	st := approval.Standing{
		Schedule: "monthly", Gates: []string{s.gate}, Clusters: []string{"*"}, Packages: []string{"lab-*"}, Reason: "because", At: s.expires.Add(-61 * 24 * time.Hour), Expires: s.expires, Nonce: s.nonce,
	}
	if s.alien {
		st.Packages = []string{"openssl"}
	}
	var here []approval.Vote
	for _, v := range a.votes {
		if v.Gate == g.ID {
			here = append(here, v)
		}
	}
	v, err := g.AdmitStanding(approval.Behind{Clusters: []approval.BehindCluster{{Name: "web", Packages: []string{"lab-web"}}}}, here, st, by, a.now)
	if err != nil {
		a.seen["standing approval refused"]++
		return
	}
	a.seen["standing approval counts"]++
	a.votes = append(a.votes, v)
}

// proveStanding drops what was withdrawn since.
func (a *assembly) proveStanding() {
	for _, s := range a.stands {
		if s.withdrawn {
			a.void[s.nonce] = true
		}
	}
}

// standing is P7: who agreed to exactly such a plan ahead, and has said nothing of it himself.
func (a *assembly) standing(g approval.Gate, words map[string]spoken, found bool) (agreed []string) {
	for _, s := range a.stands {
		_, said := words[s.who]
		if said || found || s.gate != g.ID || s.alien || s.withdrawn || !s.expires.After(a.now) || s.who == "mallory" || s.who == "requester" || a.revoked["k-"+s.who] {
			continue
		}
		agreed = append(agreed, s.who)
		words[s.who] = spoken{} // he counts once
		a.seen["gate opened by a standing approval"]++
	}
	return agreed
}
