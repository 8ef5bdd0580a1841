package rollout

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

func TestStaged(t *testing.T) {
	staged := patient
	staged.Staged = true
	alone, timed := staged, staged
	alone.Unattended, alone.SoakApproval, timed.Windows = true, false, true
	three := func(p ClusterPolicy) func() Cluster { return func() Cluster { return newCluster(3, 2, p) } }
	for _, group := range []struct {
		name string
		of   func() Cluster
		rows []clusterRow
	}{
		{"staging first", three(staged), []clusterRow{
			{"records are asked for before anything is claimed", "", "asking whether what web-1 would get has finished in another stage", ""},
			{"and where they are old enough it begins", "staged=ok claim=ok", "next patch web-1 as canary", ""},
			{"what is too young is waited for with no claim", "staged=young", "waits until a host may begin: web 1.1 is too young", "wait"},
			{"until it is old enough, told once", "staged=young*3 staged=ok claim=ok", "next patch web-1 as canary", "wait"},
			{"without end", "staged=young*200", "waits until a host may begin: web 1.1 is too young", "wait"},
			{"where there are none a person is told at once", "staged=missing", "holds before claim: web 1.2 has not finished there", "hold"},
			{"once, and it is looked at again", "staged=missing*50", "holds before claim: web 1.2 has not finished there", "hold"},
			{"and goes on by itself", "staged=missing*3 staged=young staged=ok claim=ok", "next patch web-1 as canary", "hold wait"},
			{"an abort ends it", "staged=missing abort", "next release: aborted: aborted by jane: because", "hold"},
			{"also of one that waits", "staged=young abort", "next release: aborted: aborted by jane: because", "wait"},
			{"what cannot be told is trouble like any other", "staged=unknown*30", "waits for the claim: no way to Consul", ""},
			{"which a person is told of when it lasts", "staged=unknown*31", "holds before claim: no way to Consul", "hold"},
			{"each member is asked for", "staged=ok " + toGate + "approve", "asking whether what web-2 would get has finished in another stage", "gate"},
			{"a record that counts no more holds the peers", "staged=ok " + toGate + "approve staged=missing", "holds before patch: web 1.2 has not finished there", "gate hold"},
			{"and they go on when it does again", "staged=ok " + toGate + "approve staged=missing staged=ok", "next patch web-2", "gate hold"},
			{"what was said before a claim was waited for is asked again", "staged=ok claim=held +1h staged=ok", "next claim", ""},
			{"but not as often as the claim", "staged=ok claim=held +59m", "next claim", ""},
			{"what was said before the claim counts for minutes", "staged=ok +4m claim=ok", "next patch web-1 as canary", ""},
			{"and not for longer", "staged=ok +5m claim=ok", "asking whether what web-1 would get has finished in another stage", ""},
			{"a hold makes it old", "staged=ok " + toGate + "approve staged=ok hold +5m resume", "asking whether what web-2 would get has finished in another stage", "gate"},
			{"and it is held then", "staged=ok " + toGate + "approve staged=ok hold +168h resume staged=missing", "holds before patch: web 1.2 has not finished there", "gate hold"},
			{"no way back is asked for", "staged=ok " + toGate + "approve staged=missing backout", "next backout web-1", "gate hold backout"},
		}},
		{"staging first, unattended", three(alone), []clusterRow{
			{"where there are none it halts with nothing claimed", "staged=missing", "next release: halted: before claim: web 1.2 has not finished there", "halted"},
			{"what is too young is waited for", "staged=young*200", "waits until a host may begin: web 1.1 is too young", "wait"},
		}},
		{"staging first, in windows", three(timed), []clusterRow{
			{"windows first", "", "asking whether web-1 may begin now", ""},
			{"then records", "window=ok", "asking whether what web-1 would get has finished in another stage", ""},
			{"and windows anew when they are old enough", "window=ok staged=young window=ok staged=ok claim=ok", "next patch web-1 as canary", "wait"},
		}},
	} {
		for _, r := range group.rows {
			t.Run(group.name+"/"+r.sentence, func(t *testing.T) {
				c, now := group.of(), epoch
				for _, word := range strings.Fields(unroll(r.path)) {
					c, now = playCluster(t, c, word, now)
				}
				if got := standingCluster(c, now); got != r.want {
					t.Errorf("after %q\n got %s\nwant %s", r.path, got, r.want)
				}
				if got := events(c.Outbox); got != r.told {
					t.Errorf("after %q people were told %q, want %q", r.path, got, r.told)
				}
			})
		}
	}
}

// Only what soaked, passed and is done goes on record, and while the claim is held.
func TestFinished(t *testing.T) {
	for _, row := range []struct {
		sentence, path string
		size           int
		want           bool
	}{
		{"a cluster that is done", toWave2 + "web-2=patched watch=pass*3 +10m web-3=patched", 3, true},
		{"one that still soaks", toSoak, 3, false},
		{"one that was brought back", toGate + "backout web-1=backed-out", 3, false},
		{"one that was aborted", toGate + "abort", 3, false},
		{"one that never soaked", toWave1 + "web-1=unchanged web-2=patched", 2, false},
	} {
		c, now := newCluster(row.size, row.size-1, patient), epoch
		for _, word := range strings.Fields(unroll(row.path)) {
			c, now = playCluster(t, c, word, now)
		}
		f := c.Finished()
		if (f != nil) != row.want || f != nil && (f.Manifest != c.Manifest || f.At.IsZero() || f.At.After(now)) {
			t.Errorf("%s: finished %+v in %s (%s), want %t", row.sentence, f, c.Phase, c.Ending, row.want)
		}
	}
}

// records are what a seed's other stage has on record. They throw dice of their own, as windows do.
type records struct {
	dice  *rand.Rand
	lacks map[string]time.Time // until then a cluster's versions have not finished there
	ripe  map[string]time.Time // and until then not long enough ago
}

// stageFirst has a seventh of the seeds require another stage. Where people help nothing is missing: somebody has seen to that.
func (w *world) stageFirst(seed int) {
	if seed%7 != 3 {
		return
	}
	r := &records{dice: rand.New(rand.NewPCG(uint64(seed), 13)), lacks: map[string]time.Time{}, ripe: map[string]time.Time{}}
	w.records = r
	for _, c := range w.clusters {
		if w.kind != cooperative && r.dice.IntN(3) == 0 {
			r.lacks[c.name] = w.now.Add(time.Duration(r.dice.IntN(200)) * time.Minute)
		}
		r.ripe[c.name] = w.now.Add(time.Duration(r.dice.IntN(400)-100) * time.Minute)
	}
}

// recordsHappen is that a version comes into quarantine in the other stage, or that nobody has asked for that yet.
func (w *world) recordsHappen() {
	if r := w.records; r != nil && !w.calm {
		c := w.clusters[r.dice.IntN(len(w.clusters))]
		r.lacks[c.name] = w.now.Add(time.Duration(r.dice.IntN(120)) * time.Minute)
		w.logf("what %s would get has not finished until %s", c.name, r.lacks[c.name])
		w.after(time.Duration(1+r.dice.IntN(12))*time.Hour, w.recordsHappen)
	}
}

// staged is the activity.
func (c *clusterRun) staged(a Action) {
	if c.records == nil {
		c.broken("%s asks for records, and nothing is required", c.name())
	}
	c.interrupt()
	c.launch(c.flights, a.ID, c.between(time.Second, time.Minute), func() {
		r := StagedResult{OK: true}
		switch ripe := c.records.ripe[c.spec.name]; {
		case c.now.Before(c.mute):
			r = StagedResult{Reason: "unreachable"}
		case c.now.Before(c.records.lacks[c.spec.name]) && !c.calm:
			r = StagedResult{Missing: "it has not finished there"}
		case c.now.Before(ripe):
			r = StagedResult{Young: "it is too young", Until: ripe}
		}
		c.logf("%s %s: %+v", c.name(), a.ID, r)
		before := c.c
		c.c = untouched(c.world, c.c, func(st Cluster) Cluster { return st.Staged(a.ID, r, c.now) })
		switch {
		case c.c.Asked == before.Asked: // nobody waits for it any more
		case r.OK:
			c.proven, c.provenAt, c.stuck = true, c.now, time.Time{}
		case r.Young != "":
			c.seen["waited for another stage"]++
			c.stuck = time.Time{}
		case r.Missing != "":
			c.lacking(before)
		default:
			c.troubled(before, ClaimResult{Reason: r.Reason})
		}
		c.step()
	})
}

// lacking holds that a person hears at once of what has not finished there, and once; where nobody is there to hear, nothing else begins.
func (c *clusterRun) lacking(before Cluster) {
	c.seen["lacks another stage in "+string(before.Phase)]++
	if c.c.Phase != before.Phase {
		return
	}
	if c.stuck, c.stuckIn = c.now.Add(-c.c.Policy.WaitMax), before.Phase; before.Suspect != "" {
		c.stuck = c.now
		return
	}
	if c.c.Policy.Unattended {
		c.broken("%s lacks another stage, and nobody is there to hear of it", c.name())
	}
	if told := c.c.Outbox.Last > before.Outbox.Last; !c.c.Held || told == before.Held {
		c.broken("%s lacks another stage: held %t, told %t, and before that %t", c.name(), c.c.Held, told, before.Held)
	}
}

// mayShip is P4: a member is started only on what the records said of it.
func (c *clusterRun) mayShip(a Action) {
	if c.records == nil || c.c.Policy.Emergency || a.Mode != ModePatch {
		return
	}
	if !c.proven {
		c.broken("P4: %s starts %s, and the records did not say that it may", c.name(), a.Host)
	}
	if old := c.now.Sub(c.provenAt); old > stagedCounts {
		c.broken("P4: %s starts %s, and what the records said is %s old", c.name(), a.Host, old)
	}
	c.proven = false
	if c.now.Before(c.records.ripe[c.spec.name]) {
		c.broken("P4: %s starts %s before its versions are old enough", c.name(), a.Host)
	}
}
