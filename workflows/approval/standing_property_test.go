package approval_test

import (
	"fmt"
	"time"

	"github.com/rollpatch/rollpatch/workflows/approval"
)

// stood is a standing approval that counts by the books.
type stood struct {
	human   int
	nonce   string
	expires time.Time
}

// made makes the story one at a gate before a stage of what a schedule made by itself.
func (w *story) made() {
	g := &w.gate
	g.ID, g.Ripe, w.stage = approval.GateStage("production"), true, true
	g.Schedule, g.Files = "monthly", "sha256:files"
	w.behind = approval.Behind{Clusters: []approval.BehindCluster{
		{Name: "web", Packages: []string{"openssl", "libssl3"}}, {Name: "web-dev", Packages: []string{"nginx"}, Unasked: w.rnd.IntN(12) == 0},
	}}
	if w.rnd.IntN(12) == 0 {
		w.behind.Emergency = true
	}
}

// stand has somebody's standing approval looked at, most of the time one that is as it should be; or one is withdrawn.
func (w *story) stand() {
	if len(w.stands) > 0 && w.rnd.IntN(4) == 0 {
		gone := w.stands[w.rnd.IntN(len(w.stands))]
		w.stands = filter(w.stands, func(s stood) bool { return s.nonce != gone.nonce })
		w.votes = filter(w.votes, func(v approval.Vote) bool { return v.Nonce != gone.nonce })
		w.note("%s is withdrawn", gone.nonce)
		return
	}
	w.n++
	i := w.rnd.IntN(len(w.people))
	h := w.people[i]
	by := approval.Signer{Names: h.names, Key: h.keys[w.rnd.IntN(len(h.keys))]}
	s := approval.Standing{
		Schedule: "monthly", Files: "sha256:files", Gates: []string{"start", approval.GateStage("production")}, Clusters: []string{"web*"}, Packages: []string{"*ssl*", "nginx"}, Reason: "because",
		At: w.now.Add(-time.Duration(w.rnd.IntN(80*24)) * time.Hour), Nonce: fmt.Sprintf("nonce-number-%08d", w.n),
	}
	if w.rnd.IntN(3) == 0 { // after whatever he has said of this plan himself
		s.At = w.now
	}
	s.Expires = s.At.Add(time.Duration(1+w.rnd.IntN(89)) * 24 * time.Hour)
	good := true
	limits := []func(){
		func() { s.Clusters = []string{"web"} },
		func() { s.Clusters = []string{"db", "webx*"} },
		func() { s.Packages = []string{"openssl", "libssl3"} },
		func() { s.Packages = []string{"ssl", "nginx*"} },
	}
	bad := []func(){
		func() { s.Schedule = "weekly" },
		func() { s.Files = "sha256:before" },
		func() { s.Gates = []string{"start"} },
		func() { s.Gates = []string{w.gate.ID, "soak/web/2"} },
		func() { s.Packages = nil },
		func() { s.Expires = time.Time{} },
		func() { s.Expires = s.At.Add(90*24*time.Hour + time.Second) },
		func() { s.At = w.now.Add(time.Hour); s.Expires = s.At.Add(time.Hour) },
		func() { by.Key = "" },
		func() { by.Names = nil },
	}
	if w.rnd.IntN(4) == 0 {
		limits[w.rnd.IntN(len(limits))]()
		good = false
	} else if w.rnd.IntN(4) == 0 {
		bad[w.rnd.IntN(len(bad))]()
		good = false
	} else if w.rnd.IntN(3) == 0 {
		s.Files = ""
	}
	if len(w.stands) > 0 && w.rnd.IntN(8) == 0 { // another one under a nonce that was used
		s.Nonce, good = w.stands[0].nonce, false
	}
	good = good && w.stage && !w.behind.Emergency && !w.behind.Clusters[1].Unasked && i != 4 && w.asked(i) && s.Expires.After(w.now)
	v, err := approval.Vote{}, error(nil)
	if w.revoked[by.Key] {
		good, err = false, &approval.Refusal{Cause: approval.CauseRevokedKey}
	} else {
		v, err = w.gate.AdmitStanding(w.behind, w.votes, s, by, w.now)
	}
	if cause := causeOf(err); cause != "" {
		w.refusals[cause]++
	} else {
		w.votes = append(w.votes, v)
	}
	if good {
		w.stands = append(w.stands, stood{i, s.Nonce, s.Expires})
	}
	if !w.stage { // a vote of one at a gate that none opens does not count, however it got there
		w.refusedVotes = append(w.refusedVotes, approval.Vote{
			Gate: w.gate.ID, Decision: approval.Approve, By: by, Campaign: "monthly", Instance: "monthly-1", Plan: "sha256:1", WhenPass: true, At: s.At, Expires: s.Expires, Nonce: s.Nonce + "x", Standing: "monthly/" + s.Nonce,
		})
	}
	w.note("%s stands with %s: %+v, good %t: %v", h.name, by.Key, s, good, err)
}

// standsFor says that somebody has a standing approval by the books.
func (w *story) standsFor(i int) bool {
	for _, s := range w.stands {
		if s.human == i && s.expires.After(w.now) {
			return true
		}
	}
	return false
}

// rests says that the gate would not be open but for standing approvals.
func (w *story) rests() bool {
	without := *w
	without.stands = nil
	open, _ := without.count()
	return !open
}

func filter[T any](all []T, keep func(T) bool) []T {
	var out []T
	for _, v := range all {
		if keep(v) {
			out = append(out, v)
		}
	}
	return out
}
