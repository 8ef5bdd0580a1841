package rollout

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"
)

const (
	toWave1 = "claim=ok "
	toSoak  = toWave1 + "web-1=patched "
	toGate  = toSoak + "watch=pass*3 +24h "
	toWave2 = toGate + "approve "
)

type clusterRow struct {
	sentence string
	path     string // see playCluster
	want     string // see standingCluster
	told     string
}

func newCluster(size, minHealthy int, p ClusterPolicy) Cluster {
	c := Cluster{Instance: "monthly-1", Name: "web", Stage: "production", MinHealthy: minHealthy, Policy: p, Phase: PhaseClaim, Since: epoch}
	for i := range size {
		c.Members = append(c.Members, Slot{Host: "web-" + strconv.Itoa(i+1)})
	}
	return c
}

var patient = ClusterPolicy{Soak: 24 * time.Hour, SoakPasses: 3, SoakApproval: true, Settle: 10 * time.Minute, RetryEvery: time.Minute, WaitMax: 30 * time.Minute}

func TestCluster(t *testing.T) {
	alone := patient
	alone.Unattended, alone.SoakApproval = true, false
	endless := patient
	endless.WaitMax = 0
	trying, skipping, stopping, undoing := patient, patient, patient, patient
	trying.Retries, skipping.OnFailure, stopping.OnFailure, undoing.OnFailure = 2, FailSkipMember, FailStopCampaign, FailBackoutCluster
	skipping.Failures = 1
	quick := patient
	quick.Settle = 0
	three := func(p ClusterPolicy) func() Cluster { return func() Cluster { return newCluster(3, 2, p) } }
	for _, group := range []struct {
		name string
		of   func() Cluster
		rows []clusterRow
	}{
		{"claim", three(patient), []clusterRow{
			{"a cluster begins with its claim", "", "next claim", ""},
			{"a claim held by another is waited for", "claim=held", "waits for the claim: monthly-0 has it", ""},
			{"and asked for again, without end", "claim=held*500", "waits for the claim: monthly-0 has it", ""},
			{"and goes on by itself", "claim=held*3 claim=ok", "next patch web-1 as canary", ""},
			{"an answer that comes twice counts once", "claim=ok late:claim.0", "next patch web-1 as canary", ""},
		}},
		{"claim in trouble", three(patient), []clusterRow{
			{"one that cannot be asked for is asked for again", "claim=lost*30", "waits for the claim: no way to Consul", ""},
			{"and a person is told when that takes too long", "claim=lost*31", "holds before claim: no way to Consul", "hold"},
			{"once", "claim=lost*500", "holds before claim: no way to Consul", "hold"},
			{"and it goes on by itself", "claim=lost*500 claim=ok", "next patch web-1 as canary", "hold"},
			{"to hear who has it is no trouble", "claim=lost*40 claim=held*100", "waits for the claim: monthly-0 has it", "hold"},
			{"and what comes after it is trouble anew", "claim=lost*20 claim=held claim=lost*30", "waits for the claim: no way to Consul", ""},
			{"which is told again", "claim=lost*31 claim=held claim=lost*31", "holds before claim: no way to Consul", "hold hold"},
			{"an operator who holds it is told too", "hold claim=lost*31", "holds before claim: no way to Consul", "hold"},
			{"an abort ends it, and owes the release of what a lost answer may have claimed", "claim=lost*31 abort", "next release: aborted: aborted by jane: because", "hold"},
			{"which is told when it takes too long", "claim=lost*31 abort release=lost*31", "holds before release (aborted): no way to Consul", "hold hold"},
			{"and owed until it is through", "claim=lost*31 abort release=lost*500 release=ok", "ended aborted: aborted by jane: because", "hold hold"},
		}},
		{"claim in trouble for ever", three(endless), []clusterRow{
			{"without a limit nobody is told", "claim=lost*500", "waits for the claim: no way to Consul", ""},
		}},
		{"claim in trouble unattended", three(alone), []clusterRow{
			{"nothing is changed yet, and nobody is there to be told: it halts", "claim=lost*31", "next release: halted: gave up after 30m0s before claim: no way to Consul", "halted"},
			{"another's claim is waited for without end", "claim=held*500", "waits for the claim: monthly-0 has it", ""},
			{"the release is owed", "claim=lost*31 release=lost*31", "holds before release (halted): no way to Consul", "halted hold"},
			{"until it is through", "claim=lost*31 release=lost*500 release=ok", "ended halted: gave up after 30m0s before claim: no way to Consul", "halted hold"},
		}},
		{"redundancy", func() Cluster { return newCluster(1, 1, patient) }, []clusterRow{
			{"a cluster that cannot lose a member is refused, and says how it is accepted", "claim=ok", "next release: halted: losing one of 1 members breaks min_healthy 1: add a member, or accept it by name in the campaign file with accept_impact: {web: {reason: <reason>, until: <day>}}", "halted"},
			{"and gives its claim back", "claim=ok release=ok", "ended halted: losing one of 1 members breaks min_healthy 1: add a member, or accept it by name in the campaign file with accept_impact: {web: {reason: <reason>, until: <day>}}", "halted"},
		}},
		{"accepted", func() Cluster {
			c := newCluster(1, 1, patient)
			c.Accepted, c.AcceptedUntil = "no second one yet", end
			return c
		}, []clusterRow{
			{"accepted by name it is patched", "claim=ok web-1=patched release=ok", "ended done", ""},
		}},
		{"accepted until yesterday", func() Cluster {
			c := newCluster(1, 1, patient)
			c.Accepted, c.AcceptedUntil = "no second one yet", time.Date(2026, 10, 31, 0, 0, 0, 0, time.UTC)
			return c
		}, []clusterRow{
			{"what was accepted until a day that is over is refused", "claim=ok", `next release: halted: cluster "web": that a member is out was accepted until 2026-10-30, which is over: agree on another day, and start a new instance with accept_impact: {web: {reason: <reason>, until: <day>}}`, "halted"},
		}},
		{"not drained", func() Cluster {
			c := newCluster(3, 2, patient)
			c.Undrained = []string{"batch"}
			return c
		}, []clusterRow{
			{"members that would be patched while they serve are refused, until somebody accepts that by name", "claim=ok",
				"next release: halted: members of batch would be patched while they serve (drain: none): give them another drain, or accept it by name in the campaign file with accept_impact: {batch: {reason: <reason>, until: <day>}}", "halted"},
			{"and nobody was touched", "claim=ok release=ok", "ended halted: members of batch would be patched while they serve (drain: none): give them another drain, or accept it by name in the campaign file with accept_impact: {batch: {reason: <reason>, until: <day>}}", "halted"},
		}},
		{"waves", three(patient), []clusterRow{
			{"the first member is the canary", toWave1, "next patch web-1 as canary", ""},
			{"one at a time", toWave1 + "web-1", "patch of web-1 is on its way", ""},
			{"the canary soaks before anybody else is touched", toSoak, "soak 1", ""},
			{"after soak and approval its peers follow", toWave2, "next patch web-2", "gate"},
			{"and settle one by one", toWave2 + "web-2=patched", "settles", "gate"},
			{"settling is a time of passing checks, not of waiting", toWave2 + "web-2=patched +10m", "settles, and is late", "gate"},
			{"with them the next one follows", toWave2 + "web-2=patched watch=pass +10m", "next patch web-3", "gate"},
			{"not with those of before a time without a worker", toWave2 + "web-2=patched watch=pass +20m", "settles, and is late", "gate"},
			{"but with those after it", toWave2 + "web-2=patched watch=pass +20m watch=pass", "next patch web-3", "gate"},
			{"unknown checks begin the settling anew", toWave2 + "web-2=patched watch=pass +9m watch=unknown watch=pass +9m", "settles", "gate"},
			{"a fail while the only unpatched peer is on its way waits for that one", toWave2 + "web-2=patched watch=pass +10m web-3 watch=fail web-3=patched", "settles", "gate"},
			{"and is forgotten when all pass", toWave2 + "web-2=patched watch=pass +10m web-3 watch=fail web-3=patched watch=pass +10m release=ok", "ended done", "gate"},
			{"but is the patch's when that one was not patched, and serves", toWave2 + "web-2=patched watch=pass +10m web-3 watch=fail web-3=returned may", "next backout web-2", "gate fail"},
			{"a fail that another unpatched peer was compared with is told at once", toWave2 + "web-2 watch=fail", "patch of web-2 is on its way", "gate fail"},
			{"a watch of the members before it does not count", toWave2 + "web-2=patched stale:watch=pass +10m", "settles, and is late", "gate"},
			{"the last wave needs no soak", toWave2 + "web-2=patched watch=pass +10m web-3=patched release=ok", "ended done", "gate"},
			{"a member with nothing to do is no canary", toWave1 + "web-1=unchanged", "next patch web-2 as canary", ""},
			{"and the one after it soaks", toWave1 + "web-1=unchanged web-2=patched", "soak 1", ""},
			{"a cluster with nothing to do is done", toWave1 + "web-1=unchanged web-2=unchanged web-3=unchanged release=ok", "ended done", ""},
			{"the last member alone needs no soak", toWave1 + "web-1=unchanged web-2=unchanged web-3=patched release=ok", "ended done", ""},
			{"an unchanged peer needs no settling", toWave2 + "web-2=unchanged", "next patch web-3", "gate"},
			{"a canary without a manifest is brought back: its peers could get anything", toWave1 + "web-1=manifestless may", "next backout web-1", ""},
			{"which its campaign is asked for, as for every backout that no person said", toWave1 + "web-1=manifestless", "web-1 told no manifest: no peer could get what it got; waits for its campaign's word that it may back out", ""},
			{"and where that says no, nobody goes on from there", toWave1 + "web-1=manifestless maynot refused:resume refused:retry refused:skip", "held: web-1 told no manifest: no peer could get what it got; it is not backed out by itself: others fail too; members that stay patched: 1", "hold"},
			{"it is brought back", toWave1 + "web-1=manifestless maynot backout", "next backout web-1", "hold backout"},
			{"or stays as it is, and the cluster ends", toWave1 + "web-1=manifestless maynot abort release=ok", "ended aborted: aborted by jane: because; members that stay patched: 1", "hold"},
		}},
		{"waves of ten", func() Cluster { return newCluster(10, 9, quick) }, []clusterRow{
			{"a quarter follows the canary", toWave2 + "web-2=patched web-3=patched", "next patch web-4", "gate"},
			{"and soaks again", toWave2 + "web-2=patched web-3=patched web-4=patched", "soak 2", "gate"},
			{"from no verdict", toWave2 + "web-2=patched web-3=patched web-4=patched +24h", "soak 2, and is late", "gate"},
			{"a watch of the first soak does not count for the second", toWave2 + "web-2=patched web-3=patched web-4=patched stale:watch=pass*3 +24h", "soak 2, and is late", "gate"},
			{"an approval of the first soak does not count for the second", toWave2 + "web-2=patched web-3=patched web-4=patched watch=pass*3 +24h refused:approve1", "gate 2", "gate gate"},
			{"and then comes the rest", toWave2 + "web-2=patched web-3=patched web-4=patched watch=pass*3 +24h approve web-5=patched", "next patch web-6", "gate gate"},
		}},
		{"taken", three(patient), []clusterRow{
			{"a member whose host is taken is waited for", toWave1 + "web-1=taken", "waits: another works on web-1", ""},
			{"and tried again as the first try, still the canary", toWave1 + "web-1=taken*5 web-1", "patch of web-1 is on its way", ""},
			{"and its end counts", toWave1 + "web-1=taken*5 web-1=patched", "soak 1", ""},
			{"an abort does not wait for it", toWave1 + "web-1=taken abort", "next release: aborted: aborted by jane: because", ""},
			{"an abort while its start is asked for is heard when it is refused", toWave1 + "web-1 abort web-1=taken", "next release: aborted: aborted by jane: because", ""},
			{"a backout that cannot start is tried again", toSoak + "reject web-1=taken", "waits: another works on web-1", "backout"},
			{"until a person gives up on it", toSoak + "reject web-1=taken abort", "next release: aborted: aborted by jane: because; members that stay patched: 1; reject by jane (claimed): because", "backout"},
			{"without end, and nobody is told: its owner is named", toWave1 + "web-1=taken*500", "waits: another works on web-1", ""},
		}},
		{"start in trouble", three(patient), []clusterRow{
			{"a member that cannot be started is tried again", toWave1 + "web-1=unstarted*30", "waits: no way to start web-1", ""},
			{"and a person is told when that takes too long", toWave1 + "web-1=unstarted*31", "holds before patch: no way to start web-1", "hold"},
			{"once", toWave1 + "web-1=unstarted*500", "holds before patch: no way to start web-1", "hold"},
			{"and it goes on by itself", toWave1 + "web-1=unstarted*31 web-1=patched", "soak 1", "hold"},
			{"an abort does not wait for it", toWave1 + "web-1=unstarted*31 abort", "next release: aborted: aborted by jane: because", "hold"},
			{"while it is tried again too", toWave1 + "web-1=unstarted*31 web-1 abort web-1=unstarted", "next release: aborted: aborted by jane: because", "hold"},
			{"the way back is told of too", toSoak + "reject web-1=unstarted*31", "holds before backout: no way to start web-1", "backout hold"},
			{"and goes on", toSoak + "reject web-1=unstarted*31 web-1=backed-out", "next release: halted: reject by jane (claimed): because", "backout hold halted"},
		}},
		{"start in trouble unattended", three(alone), []clusterRow{
			{"it halts before it is changed", toWave1 + "web-1=unstarted*31", "next release: halted: gave up after 30m0s before patch: no way to start web-1", "halted"},
			{"but not before a fail is compared with the one that was not started", toSoak + "watch=pass*3 +24h web-2=patched watch=pass +10m web-3=unstarted*30 web-3 watch=fail web-3=unstarted watch=fail may", "next backout web-2", "fail"},
			{"but the way back is owed", toSoak + "watch=fail may web-1=unstarted*500", "holds before backout: no way to start web-1", "fail hold"},
			{"until it is through", toSoak + "watch=fail may web-1=unstarted*500 web-1=backed-out", "next release: halted: soak failed: page broken", "fail hold halted"},
		}},
		{"soak", three(patient), []clusterRow{
			{"the timer's end is no pass", toSoak + "+24h", "soak 1, and is late", ""},
			{"nor are fewer passes than asked for", toSoak + "watch=pass*2 +24h", "soak 1, and is late", ""},
			{"nor passes before an unknown one", toSoak + "watch=pass*3 watch=unknown +24h", "soak 1, and is late", ""},
			{"nor a verdict that is none", toSoak + "watch=pass*3 watch=silent +24h", "soak 1, and is late", ""},
			{"passes are no end before the time is over", toSoak + "watch=pass*30 +23h", "soak 1", ""},
			{"late passes end it", toSoak + "+24h watch=pass*3", "gate 1", "gate"},
			{"a person is told of the gate", toGate, "gate 1", "gate"},
			{"passes of before a time without a worker do not end it", toSoak + "watch=pass*3 +25h", "soak 1, and is late", ""},
			{"nor do fewer than asked for after it", toSoak + "watch=pass*3 +25h watch=pass*2", "soak 1, and is late", ""},
			{"nor what a watch of before it still says", toSoak + "watch=pass*3 +25h stale:watch=pass*3", "soak 1, and is late", ""},
			{"passes after it do", toSoak + "watch=pass*3 +25h watch=pass*3", "gate 1", "gate"},
			{"a fail after it brings the canary back", toSoak + "watch=pass*3 +25h watch=fail may", "next backout web-1", "fail"},
			{"a worker that is a moment late is none that was away", toSoak + "watch=pass*3 +24h5s", "gate 1", "gate"},
			{"checks go on in the gate", toGate + "watch=unknown", "gate 1", "gate"},
			{"a failed soak brings the canary back, then halts", toSoak + "watch=fail may web-1=backed-out release=ok", "ended halted: soak failed: page broken", "fail halted"},
			{"a soak that fails in its gate too", toGate + "watch=fail may", "next backout web-1", "gate fail"},
			{"what the watch says on the way back changes nothing", toSoak + "watch=fail may web-1 unwatched", "backout of web-1 is on its way", "fail"},
		}},
		{"doubt", three(patient), []clusterRow{
			{"checks that can be told neither way are waited for", toSoak + "watch=unknown +24h", "soak 1, and is late", ""},
			{"for so long", toSoak + "watch=unknown +24h +29m", "soak 1, and is late", ""},
			{"and then a person is told", toSoak + "watch=unknown +24h +30m", "soak 1, and is late", "hold"},
			{"once", toSoak + "watch=unknown +24h +30m watch=unknown +30m", "soak 1, and is late", "hold"},
			{"the wait begins where the doubt does", toSoak + "watch=pass*2 +24h30m watch=unknown +29m", "soak 1, and is late", ""},
			{"no verdict at all is doubt too", toSoak + "+24h30m", "soak 1, and is late", "hold"},
			{"when nobody was there to look, the checks were not asked either", toSoak + "watch=unknown +24h31m", "soak 1, and is late", ""},
			{"they are given their time then", toSoak + "watch=unknown +27h +29m", "soak 1, and is late", ""},
			{"and no more than that", toSoak + "watch=unknown +27h +30m", "soak 1, and is late", "hold"},
			{"and it goes on by itself when they pass", toSoak + "watch=unknown +24h30m watch=pass*3", "gate 1", "hold gate"},
			{"and is told again when they do not", toSoak + "watch=unknown +24h30m watch=pass*2 watch=unknown +30m", "soak 1, and is late", "hold hold"},
			{"it can be rejected", toSoak + "watch=unknown +24h30m reject", "next backout web-1", "hold backout"},
			{"while settling too", toWave2 + "web-2=patched watch=unknown +10m +30m", "settles, and is late", "gate hold"},
			{"nor was anybody there while settling", toWave2 + "web-2=patched +50m", "settles, and is late", "gate"},
			{"an operator who holds it knows", toWave2 + "hold watch=unknown +24h", "held: because (jane)", "gate"},
		}},
		{"doubt unattended", three(alone), []clusterRow{
			{"it does not halt for a time in which no worker was there", toSoak + "+26h watch=pass*3", "next patch web-2", ""},
			{"nobody is there to be told: it halts", toSoak + "watch=unknown +24h +30m release=ok", "ended halted: its checks can be told neither way: a peer fails it too", "halted"},
		}},
		{"approve", three(patient), []clusterRow{
			{"needs an open gate", toSoak + "watch=pass*3 refused:approve", "soak 1", ""},
			{"needs a name", toGate + "refused:approve!actor", "gate 1", "gate"},
			{"needs a reason", toGate + "refused:approve!reason", "gate 1", "gate"},
			{"needs a verdict that still passes", toGate + "watch=unknown refused:approve", "gate 1", "gate"},
			{"is good again when it passes again", toGate + "watch=unknown watch=pass approve", "next patch web-2", "gate"},
			{"for another soak is refused", toGate + "refused:approve2", "gate 1", "gate"},
			{"for this soak by number is good", toGate + "approve1", "next patch web-2", "gate"},
			{"before the claim is refused", "refused:approve", "next claim", ""},
		}},
		{"reject", three(patient), []clusterRow{
			{"in the soak brings the canary back, then halts", toSoak + "reject web-1=backed-out release=ok", "ended halted: reject by jane (claimed): because", "backout halted"},
			{"in the gate too", toGate + "reject web-1=backed-out", "next release: halted: reject by jane (claimed): because", "gate backout halted"},
			{"needs a soak", toWave1 + "web-1 refused:reject", "patch of web-1 is on its way", ""},
			{"for another soak is refused", toSoak + "refused:reject2", "soak 1", ""},
			{"a canary that cannot be brought back is quarantine, and halts", toSoak + "reject web-1=quarantined release=ok", "ended halted: reject by jane (claimed): because", "backout halted"},
		}},
		{"backout", three(patient), []clusterRow{
			{"needs a patched member", toWave1 + "refused:backout", "next patch web-1 as canary", ""},
			{"brings back all patched members, the last one first", toWave2 + "web-2=patched backout", "next backout web-2", "gate backout"},
			{"and then the one before it", toWave2 + "web-2=patched backout web-2=backed-out", "next backout web-1", "gate backout"},
			{"and then halts", toWave2 + "web-2=patched backout web-2=backed-out web-1=backed-out release=ok", "ended halted: backout by jane (claimed): because", "gate backout halted"},
			{"lets a member on its way finish first", toWave2 + "web-2 backout", "patch of web-2 is on its way", "gate backout"},
			{"and brings it back too", toWave2 + "web-2 backout web-2=patched", "next backout web-2", "gate backout"},
			{"and needs no answer to what became of it", toWave2 + "web-2 backout web-2=backed-out", "next backout web-1", "gate backout"},
			{"of a canary on its way that brings itself back has nothing left to do", toWave1 + "web-1 backout web-1=backed-out release=ok", "ended halted: backout by jane (claimed): because", "backout halted"},
			{"one that could not begin leaves the member patched, and holds", toSoak + "reject web-1=returned", "held: the backout of web-1 could not begin: broken", "backout hold"},
			{"and is tried again at a retry", toSoak + "reject web-1=skipped retry", "next backout web-1", "backout hold"},
			{"which is its word, not another backout", toSoak + "reject web-1=skipped refused:backout refused:resume", "held: the backout of web-1 could not begin: broken", "backout hold"},
			{"or given up by an abort", toSoak + "reject web-1=returned abort", "next release: aborted: aborted by jane: because; members that stay patched: 1; reject by jane (claimed): because", "backout hold"},
			{"a member of which nobody knows holds it", toWave2 + "web-2=patched backout web-2=lost", "held: the backout of web-2 could not begin: broken", "gate backout hold"},
			{"quarantine of one does not stop the others", toWave2 + "web-2=patched backout web-2=quarantined", "next backout web-1", "gate backout"},
			{"an abort does not stop it", toWave2 + "web-2=patched backout web-2 abort web-2=backed-out", "next backout web-1", "gate backout"},
			{"in a hold goes", toWave2 + "web-2=backed-out backout", "next backout web-1", "gate hold backout"},
			{"after the end is refused", toWave1 + "web-1=unchanged web-2=unchanged web-3=patched refused:backout", "next release: done", ""},
		}},
		{"failure", three(patient), []clusterRow{
			{"a canary that was backed out holds: no other becomes one", toWave1 + "web-1=backed-out", "held: web-1 is backed-out: broken", "hold"},
			{"so does one that was skipped", toWave1 + "web-1=skipped", "held: web-1 is skipped: broken", "hold"},
			{"and one that was returned", toWave1 + "web-1=returned", "held: web-1 is returned: broken", "hold"},
			{"and a quarantined peer", toWave2 + "web-2=quarantined", "held: web-2 is quarantined: broken", "gate hold"},
			{"and one of which nobody knows", toWave2 + "web-2=lost", "held: web-2 is lost: broken", "gate hold"},
			{"retry means: try it again", toWave1 + "web-1=backed-out retry", "next patch web-1 as canary", "hold"},
			{"by its name too", toWave1 + "web-1=backed-out retry@web-1", "next patch web-1 as canary", "hold"},
			{"but not by another's", toWave1 + "web-1=backed-out refused:retry@web-2", "held: web-1 is backed-out: broken", "hold"},
			{"resume is no word for it", toWave1 + "web-1=backed-out refused:resume", "held: web-1 is backed-out: broken", "hold"},
			{"but ends an operator's hold beside it, and nothing else", toWave1 + "web-1 hold web-1=backed-out resume refused:resume", "held: web-1 is backed-out: broken", "hold"},
			{"and a late report of the first try does not end the second", toWave1 + "web-1=backed-out retry web-1 late:web-1=backed-out", "patch of web-1 is on its way", "hold"},
			{"and the second may go well", toWave1 + "web-1=backed-out retry web-1=patched", "soak 1", "hold"},
			{"a peer that is tried again gets the manifest that soaked", toWave2 + "web-2=returned retry", "next patch web-2", "gate hold"},
			{"a quarantined member is never tried again", toWave2 + "web-2=quarantined refused:retry", "held: web-2 is quarantined: broken", "gate hold"},
			{"nor one of which nobody knows", toWave2 + "web-2=lost refused:retry", "held: web-2 is lost: broken", "gate hold"},
			{"nothing is tried again where nothing failed", toSoak + "refused:retry", "soak 1", ""},
			{"a report that comes twice counts once", toSoak + "late:web-1=backed-out", "soak 1", ""},
			{"a soak's watch stops in a hold", toWave2 + "web-2=backed-out unwatched", "held: web-2 is backed-out: broken", "gate hold"},
		}},
		{"unattended", three(alone), []clusterRow{
			{"a soak that passed needs nobody", toSoak + "watch=pass*3 +24h", "next patch web-2", ""},
			{"a soak that did not pass is no pass", toSoak + "watch=pass*2 +24h", "soak 1, and is late", ""},
			{"a failure halts", toWave1 + "web-1=backed-out release=ok", "ended halted: web-1 is backed-out: broken", "halted"},
			{"a failed soak is backed out, and halts", toSoak + "watch=fail may web-1=backed-out release=ok", "ended halted: soak failed: page broken", "fail halted"},
			{"a backout that could not begin halts", toSoak + "watch=fail may web-1=returned release=ok", "ended halted: the backout of web-1 could not begin: broken", "fail halted"},
			{"checks go on in later waves, and a fail there brings all back", toSoak + "watch=pass*3 +24h web-2 watch=fail may web-2=patched", "next backout web-2", "fail"},
		}},
		{"later waves", three(patient), []clusterRow{
			{"a fail while a peer is on its way lets it finish, then brings all back", toWave2 + "web-2 watch=fail may web-2=patched web-2=backed-out web-1=backed-out release=ok", "ended halted: soak failed: page broken", "gate fail halted"},
			{"and is told once", toWave2 + "web-2 watch=fail unwatched", "patch of web-2 is on its way", "gate fail"},
			{"unknown there stops nobody on its way", toWave2 + "web-2 watch=unknown web-2=patched", "settles", "gate"},
			{"but nobody new begins", toWave2 + "web-2 watch=unknown web-2=unchanged", "waits for the checks of every patched member, verdict inconclusive (0 in a row): a peer fails it too", "gate"},
			{"until they pass again", toWave2 + "web-2 watch=unknown web-2=unchanged watch=pass", "next patch web-3", "gate"},
			{"and a person is told when that takes too long", toWave2 + "web-2 watch=unknown web-2=unchanged +30m", "waits for the checks of every patched member, verdict inconclusive (0 in a row): a peer fails it too", "gate hold"},
			{"a fail while it settles brings both back", toWave2 + "web-2=patched watch=fail may", "next backout web-2", "gate fail"},
			{"a fail while an operator holds it brings all back", toWave2 + "hold watch=fail may", "next backout web-1", "gate fail"},
			{"a fail while the next host is taken too", toWave2 + "web-2=taken watch=fail may", "next backout web-1", "gate fail"},
		}},
		{"skip", three(patient), []clusterRow{
			{"leaves a peer that failed as it is and goes on", toWave2 + "web-2=backed-out skip", "next patch web-3", "gate hold"},
			{"and the cluster is done, and says who was left", toWave2 + "web-2=backed-out skip web-3=patched release=ok", "ended done: left as they are: web-2 is backed-out", "gate hold"},
			{"and who was left is not tried again", toWave2 + "web-2=backed-out skip web-3=returned retry", "next patch web-3", "gate hold hold"},
			{"by its name", toWave2 + "web-2=backed-out skip@web-2", "next patch web-3", "gate hold"},
			{"but not by another's", toWave2 + "web-2=backed-out refused:skip@web-3", "held: web-2 is backed-out: broken", "gate hold"},
			{"after a canary makes the next one the canary, on a person's word", toWave1 + "web-1=backed-out skip", "next patch web-2 as canary", "hold"},
			{"of a member in quarantine goes on, and the cluster is not done", toWave2 + "web-2=quarantined skip web-3=patched release=ok", "ended halted: web-2 is quarantined", "gate hold halted"},
			{"is refused where nothing failed", toSoak + "refused:skip", "soak 1", ""},
			{"is refused on the way back", toSoak + "reject web-1=skipped refused:skip", "held: the backout of web-1 could not begin: broken", "backout hold"},
		}},
		{"a member that holds", three(patient), []clusterRow{
			{"takes words, once its cluster knows", toWave1 + "web-1 refused:retry refused:skip web-1~patch retry", "patch of web-1 is on its way", ""},
			{"and no more once it goes on", toWave1 + "web-1 web-1~patch web-1~ refused:retry refused:skip", "patch of web-1 is on its way", ""},
			{"for which no other name does", toWave1 + "web-1 web-1~patch refused:retry@web-2 refused:skip@web-2", "patch of web-1 is on its way", ""},
			{"is given up at a skip, and what becomes of it holds nobody", toWave2 + "web-2 web-2~patch skip web-2=!quarantined", "next patch web-3", "gate"},
			{"unless it had gone on by itself before it heard of it", toWave2 + "web-2 web-2~patch skip web-2=backed-out", "held: web-2 is backed-out: broken", "gate hold"},
			{"and halts its cluster at the end if it is not safe", toWave2 + "web-2 web-2~patch skip web-2=!quarantined web-3=patched release=ok", "ended halted: web-2 is quarantined", "gate halted"},
			{"of a canary makes the next one the canary, on a person's word", toWave1 + "web-1 web-1~drain skip@web-1 web-1=!returned", "next patch web-2 as canary", ""},
			{"is patched all the same if it comes to that", toWave1 + "web-1 web-1~reboot skip web-1=!patched", "soak 1", ""},
			{"and a later try of it is a try like any other", toWave1 + "web-1=returned retry web-1 web-1~drain skip web-1=!returned web-2=patched", "soak 1", "hold"},
			{"is not skipped in its undrain, which is owed", toWave1 + "web-1 web-1~undrain refused:skip retry", "patch of web-1 is on its way", ""},
			{"nor on its way back", toSoak + "reject web-1 web-1~backout refused:skip retry", "backout of web-1 is on its way", "backout"},
			{"a hold of an older try says nothing", toWave1 + "web-1=returned retry web-1 old:web-1~drain refused:skip", "patch of web-1 is on its way", "hold"},
		}},
		{"backout of the campaign", three(patient), []clusterRow{
			{"brings all patched members back", toWave2 + "web-2=patched undo-all", "next backout web-2", "gate backout"},
			{"and halts", toSoak + "undo-all web-1=backed-out release=ok", "ended halted: backout of the campaign by jane (claimed): because", "backout halted"},
			{"waits for a member on its way", toWave1 + "web-1 undo-all", "patch of web-1 is on its way", "backout"},
			{"which need not be patched any more", toWave1 + "web-1 undo-all web-1=returned release=ok", "ended halted: backout of the campaign by jane (claimed): because", "backout halted"},
			{"where nothing is patched nothing begins", toWave1 + "undo-all release=ok", "ended aborted: aborted by jane: because", ""},
			{"before the claim neither", "claim=held undo-all release=ok", "ended aborted: aborted by jane: because", ""},
			{"does not call off a way back", toSoak + "reject undo-all", "next backout web-1", "backout"},
			{"and tries one that could not begin again", toSoak + "reject web-1=returned undo-all", "next backout web-1", "backout hold"},
			{"goes past what its campaign said before", toSoak + "watch=fail maynot undo-all", "next backout web-1", "fail hold backout"},
			{"and past the breaker", toSoak + "watch=fail may undo-all trip", "next backout web-1", "fail"},
			{"also where that has just stopped a way back", toWave2 + "web-2=patched watch=fail may web-2 trip undo-all web-2=backed-out", "next backout web-1", "gate fail"},
			{"or long ago", toSoak + "watch=fail may trip undo-all trip", "next backout web-1", "fail hold"},
			{"changes nothing at the end", toWave1 + "web-1=unchanged web-2=unchanged web-3=unchanged undo-all", "next release: done", ""},
		}},
		{"extend", three(patient), []clusterRow{
			{"makes a soak last longer", toSoak + "extend watch=pass*3 +24h", "soak 1", ""},
			{"and it ends then", toSoak + "extend watch=pass*3 +24h +12h", "gate 1", "gate"},
			{"takes a soak back that waits for approval", toGate + "extend", "soak 1", "gate"},
			{"which is asked for anew", toGate + "extend +12h", "gate 1", "gate gate"},
			{"is refused where nothing soaks", toWave1 + "refused:extend", "next patch web-1 as canary", ""},
		}},
		{"retries", three(trying), []clusterRow{
			{"a member that failed and is safe is tried again", toWave1 + "web-1=backed-out", "waits: trying web-1 again, 1 of 2 times: web-1 is backed-out: broken", ""},
			{"by itself", toWave1 + "web-1=backed-out web-1", "patch of web-1 is on its way", ""},
			{"and may go well", toWave1 + "web-1=backed-out web-1=patched", "soak 1", ""},
			{"and stops its cluster when that is no use", toWave1 + "web-1=backed-out web-1=returned web-1=backed-out", "held: web-1 is backed-out: broken", "hold"},
			{"but a member in quarantine is not", toWave1 + "web-1=quarantined", "held: web-1 is quarantined: broken", "hold"},
			{"and an abort ends the wait", toWave1 + "web-1=backed-out abort", "next release: aborted: aborted by jane: because", ""},
		}},
		{"skip-member", three(skipping), []clusterRow{
			{"a peer that failed is left, and the next one follows", toWave2 + "web-2=backed-out", "next patch web-3", "gate"},
			{"but not in place of a canary that failed", toWave1 + "web-1=backed-out", "held: web-1 is backed-out: broken", "hold"},
			{"nor over a member that is not safe", toWave2 + "web-2=quarantined", "held: web-2 is quarantined: broken", "gate hold"},
			{"nor over one more than may fail", toWave2 + "web-2=backed-out web-3=returned", "held: web-3 is returned: broken; that is number 2, and at most 1 may fail", "gate hold"},
		}},
		{"stop-campaign", three(stopping), []clusterRow{
			{"holds its cluster", toWave1 + "web-1=backed-out", "held: web-1 is backed-out: broken", "hold"},
		}},
		{"backout-cluster", three(undoing), []clusterRow{
			{"a peer that failed brings the others back", toWave2 + "web-2=backed-out may", "next backout web-1", "gate"},
			{"a canary has none", toWave1 + "web-1=backed-out", "held: web-1 is backed-out: broken", "hold"},
		}},
		{"hold and resume", three(patient), []clusterRow{
			{"a hold before the claim takes effect after it", "hold claim=ok", "held: because (jane)", ""},
			{"a hold while a member is on its way takes effect after it", toWave1 + "web-1 hold", "patch of web-1 is on its way", ""},
			{"a soak goes on in a hold", toSoak + "hold watch=pass*3 +24h", "gate 1", "gate"},
			{"and can be approved, and nobody starts", toGate + "hold approve", "held: because (jane)", "gate"},
			{"until it is resumed", toGate + "hold approve resume", "next patch web-2", "gate"},
			{"settling goes on in a hold", toWave2 + "web-2=patched hold watch=pass +10m", "held: because (jane)", "gate"},
			{"a resume with nothing held is refused", toSoak + "refused:resume", "soak 1", ""},
		}},
		{"abort", three(patient), []clusterRow{
			{"waits for the claim that is in flight, or it would outlive its release", "abort", "next claim", ""},
			{"and gives it back then", "abort claim=ok", "next release: aborted: aborted by jane: because", ""},
			{"even if it was refused: a lost answer may have taken it", "abort claim=held release=ok", "ended aborted: aborted by jane: because", ""},
			{"while waiting for a claim needs no answer", "claim=held abort", "next release: aborted: aborted by jane: because", ""},
			{"while the claim is asked for again waits for it", "claim=held +1m abort", "next claim", ""},
			{"before the first member", toWave1 + "abort release=ok", "ended aborted: aborted by jane: because", ""},
			{"while a member is on its way waits for it", toWave1 + "web-1 abort", "patch of web-1 is on its way", ""},
			{"and ends with it", toWave1 + "web-1 abort web-1=returned release=ok", "ended aborted: aborted by jane: because", ""},
			{"which it counts if it was patched", toWave1 + "web-1 abort web-1=patched release=ok", "ended aborted: aborted by jane: because; members that stay patched: 1", ""},
			{"whatever became of it", toWave1 + "web-1 abort web-1=quarantined release=ok", "ended aborted: aborted by jane: because", ""},
			{"in a soak leaves the canary patched, and says so", toSoak + "abort release=ok", "ended aborted: aborted by jane: because; members that stay patched: 1", ""},
			{"in a gate too", toGate + "abort", "next release: aborted: aborted by jane: because; members that stay patched: 1", "gate"},
			{"while settling", toWave2 + "web-2=patched abort", "next release: aborted: aborted by jane: because; members that stay patched: 2", "gate"},
			{"in a hold", toWave1 + "web-1=backed-out abort", "next release: aborted: aborted by jane: because", "hold"},
			{"in an operator's hold", toWave1 + "hold abort", "next release: aborted: aborted by jane: because", ""},
			{"on the way back lets it finish", toSoak + "reject web-1 abort web-1=backed-out release=ok", "ended halted: reject by jane (claimed): because", "backout halted"},
			{"before a backout that a person sends later", toWave2 + "web-2 abort backout web-2=patched", "next backout web-2", "gate backout"},
			{"in the release changes nothing", toWave1 + "web-1=unchanged web-2=unchanged web-3=unchanged abort", "next release: done", ""},
			{"twice is once", toSoak + "abort abort", "next release: aborted: aborted by jane: because; members that stay patched: 1", ""},
		}},
		{"release", three(patient), []clusterRow{
			{"is asked for again", toSoak + "abort release=lost*30", "waits for the release: no way to Consul", ""},
			{"and a person is told when that takes too long", toSoak + "abort release=lost*31", "holds before release (aborted): no way to Consul", "hold"},
			{"once, and it is never given up", toSoak + "abort release=lost*500", "holds before release (aborted): no way to Consul", "hold"},
			{"and then it is over", toSoak + "abort release=lost*500 release=ok abort refused:resume hold", "ended aborted: aborted by jane: because; members that stay patched: 1", "hold"},
		}},
	} {
		for _, row := range group.rows {
			t.Run(group.name+"/"+row.sentence, func(t *testing.T) {
				t.Parallel()
				c, now := group.of(), epoch
				for _, word := range strings.Fields(unroll(row.path)) {
					c, now = playCluster(t, c, word, now)
				}
				if got := standingCluster(c, now); got != row.want {
					t.Errorf("after %q\n got %s\nwant %s\nstate %+v", row.path, got, row.want, c)
				}
				if got := events(c.Outbox); got != row.told {
					t.Errorf("after %q people were told %q, want %q", row.path, got, row.told)
				}
			})
		}
	}
}

var jane = Message{Actor: "jane", Reason: "because"}

// playCluster applies one word of a row:
//
//	claim=ok web-1 web-1=patched watch=pass   what is awaited came to that; web-1 alone: its workflow started
//	late:web-1=…, stale:watch=…               a report that is not awaited any more: it must change nothing
//	web-1~drain, web-1~                       its workflow holds before its drain, and goes on; old:web-1~drain that of an older try
//	approve reject backout hold resume abort  a person's message, skip@web-1 with a host; refused:… one that must be refused
//	may maynot trip gone                      its campaign's answer; that the breaker tripped; that the campaign is gone
//	unwatched                                 no watch may be wanted now
//	+24h                                      time passes
func playCluster(t *testing.T, c Cluster, word string, now time.Time) (Cluster, time.Time) {
	t.Helper()
	what, result, told := strings.Cut(word, "=")
	kind, rest, prefixed := strings.Cut(what, ":")
	d := c.Next(now)
	switch {
	case word[0] == '+':
		now = now.Add(duration(t, word[1:]))
	case what == "claim" || what == "release":
		if d.WakeAt.After(now) {
			now = d.WakeAt
		}
		id, apply := wanted(t, c, now, Step(what)).ID, Cluster.Claim
		if what == "release" {
			apply = Cluster.Released
		}
		c = apply(c, id, map[string]ClaimResult{"ok": {OK: true}, "held": {Held: true, Reason: "monthly-0 has it"}, "lost": {Reason: "no way to Consul"}}[result], now)
	case what == "window":
		if d.WakeAt.After(now) {
			now = d.WakeAt
		}
		c = c.Fitted(wanted(t, c, now, DoWindow).ID, map[string]FitResult{
			"ok": {OK: true}, "closed": {Closed: "no window is open", Next: now.Add(2 * time.Hour)}, "frozen": {Closed: "frozen by ann", Frozen: true}, "unknown": {Reason: "no calendar"},
		}[result], now)
	case what == "staged":
		if d.WakeAt.After(now) {
			now = d.WakeAt
		}
		c = c.Staged(wanted(t, c, now, DoStaged).ID, map[string]StagedResult{
			"ok": {OK: true}, "young": {Young: "web 1.1 is too young", Until: now.Add(72 * time.Hour)}, "missing": {Missing: "web 1.2 has not finished there"}, "unknown": {Reason: "no way to Consul"},
		}[result], now)
	case what == "watch":
		r := watchResult(c, result)
		r.ID = wanted(t, c, now, DoWatch).ID
		c = c.Sampled(r, now)
	case what == "unwatched":
		for _, a := range d.Start {
			if a.Do == DoWatch {
				t.Fatalf("Next = %+v, want no watch", d)
			}
		}
		if after := c.Sampled(WatchResult{Verdict: Fail, Reason: "page broken"}, now); fmt.Sprint(after) != fmt.Sprint(c) {
			t.Fatalf("a watch that is not wanted changed %+v to %+v", c, after)
		}
	case prefixed && kind == "stale":
		r := watchResult(c, result)
		r.ID = "watch." + strconv.Itoa(c.SoakNo) + ".1"
		if c.SoakNo > 1 {
			r.ID = "watch.1." + strconv.Itoa(c.patchedCount())
		}
		if after := c.Sampled(r, now); fmt.Sprint(after) != fmt.Sprint(c) {
			t.Fatalf("the stale %s changed %+v to %+v", r.ID, c, after)
		}
	case prefixed && kind == "late":
		before := fmt.Sprint(c)
		after := c.Claim(rest, ClaimResult{OK: true}, now)
		if told {
			after = c.Ended(MemberEnd{Host: rest, Mode: ModePatch, Try: 1, Outcome: Outcome(result)}, now)
		}
		if fmt.Sprint(after) != before {
			t.Fatalf("%s changed %s to %+v", word, before, after)
		}
	case word == "may" || word == "maynot":
		c = c.Heed(Word{Ask: c.asking(), May: word == "may", Why: "others fail too"}, now)
	case word == "trip":
		c = c.Heed(Word{Trip: 1, Why: "others fail too"}, now)
	case word == "gone":
		c = c.Orphaned("campaign/monthly-1", now)
	case prefixed && kind == "refused":
		refuse(t, c, rest, now)
	case strings.HasPrefix(what, "web-") && strings.Contains(what, "~"):
		c = c.Holding(holds(c, what, 0))
	case prefixed && kind == "old":
		c = c.Holding(holds(c, rest, 1))
	case strings.HasPrefix(what, "web-"):
		c, now = playSlot(t, c, what, result, now)
	default:
		c = say(t, c, word, now)
	}
	c = c.Tick(now)
	return c.Judged(Judgment{Gate: SoakGate(c.Name, c.SoakNo), Why: "waits for 1 person"}, now), now
}

// playSlot starts a member if its workflow does not run, and ends it unless the row only starts it: web-1=!returned after it was skipped.
func playSlot(t *testing.T, c Cluster, host, result string, now time.Time) (Cluster, time.Time) {
	t.Helper()
	run, running := c.running()
	if !running {
		if d := c.Next(now); d.WakeAt.After(now) {
			now = d.WakeAt
		}
		a := wanted(t, c, now, DoMember)
		if a.Host != host {
			t.Fatalf("Next = %+v, the row says %s", a, host)
		}
		c = c.Started(a.Host, a.Mode, now)
		run, _ = c.running()
		if run.Canary != a.Canary && a.Mode == ModePatch {
			t.Fatalf("the slot says canary %t, the action %t", run.Canary, a.Canary)
		}
	}
	result, givenUp := strings.CutPrefix(result, "!")
	e := MemberEnd{GivenUp: givenUp, Host: host, Mode: run.Mode, Try: run.Tries, Outcome: Outcome(result), Manifest: "sha256:m"}
	switch e.Outcome {
	case "":
		return c, now
	case "taken":
		return c.NotStarted(host, ClaimResult{Held: true, Reason: "another works on " + host}, now), now
	case "unstarted":
		return c.NotStarted(host, ClaimResult{Reason: "no way to start " + host}, now), now
	case "notnow", "vain":
		e.Outcome, e.NotNow, e.Waited, e.Reason, e.Next = Returned, true, result == "vain", "no window is open", now.Add(2*time.Hour)
	case "manifestless":
		e.Outcome, e.Manifest = Patched, ""
	case BackedOut, Returned, Skipped, Quarantined, Lost:
		e.Reason, e.Blame = "broken", "broken"
	}
	return c.Ended(e, now), now
}

func watchResult(c Cluster, word string) WatchResult {
	switch word {
	case "pass":
		return WatchResult{Verdict: Pass, Passes: c.Passes + 1, Samples: 1}
	case "fail":
		return WatchResult{Verdict: Fail, Reason: "page broken", Blame: "check page", Samples: 1}
	case "unknown":
		return WatchResult{Verdict: Inconclusive, Reason: "a peer fails it too", Samples: 1}
	}
	return WatchResult{}
}

// wanted is the action of that kind which the cluster wants now.
func wanted(t *testing.T, c Cluster, now time.Time, do Step) Action {
	t.Helper()
	for _, a := range c.Next(now).Start {
		if a.Do == do {
			return a
		}
	}
	t.Fatalf("the row says %s, but the cluster is at %q and wants %+v", do, standingCluster(c, now), c.Next(now))
	return Action{}
}

// say applies a message; a digit at its end is the number of the soak that is meant.
func say(t *testing.T, c Cluster, word string, now time.Time) Cluster {
	t.Helper()
	word, m := message(word)
	if err := may(c, word, m); err != nil {
		t.Fatalf("%s was refused: %v", word, err)
	}
	switch word {
	case "approve":
		return agree(c, m.Soak, now)
	case "reject", "backout":
		return c.Backout(m, word, now)
	case "hold":
		return c.Hold(m)
	case "undo-all":
		return c.BackoutAll(m, now)
	case "retry":
		return c.Retry(m, now)
	case "resume":
		return c.Resume(m, now)
	case "skip":
		return c.Skip(m, now)
	case "extend":
		return c.Extend(forHalfADay(m), now)
	case "abort":
		return c.Abort(m, now)
	}
	t.Fatalf("the row says %q, which is nothing", word)
	return c
}

func message(word string) (string, Message) {
	m := jane
	if name, host, ok := strings.Cut(word, "@"); ok {
		m.Host = host
		return name, m
	}
	if n, err := strconv.Atoi(word[len(word)-1:]); err == nil {
		m.Soak, word = n, word[:len(word)-1]
	}
	switch name, missing, _ := strings.Cut(word, "!"); missing {
	case "actor":
		m.Actor, word = "", name
	case "reason":
		m.Reason, word = "", name
	}
	return word, m
}

// holds is what web-1~drain says: its member holds before its drain; web-1~ that it goes on. It may be of an older try.
func holds(c Cluster, what string, older int) Holding {
	host, step, _ := strings.Cut(what, "~")
	h := Holding{Host: host, Step: Step(step)}
	if step != "" {
		h.Why = "unreachable"
	}
	for _, s := range c.Members {
		if s.Host == host {
			h.Try = s.Tries - older
		}
	}
	return h
}

func forHalfADay(m Message) Message {
	m.For = "12h"
	return m
}

func may(c Cluster, word string, m Message) error {
	switch word {
	case "approve":
		return c.MayApprove(m)
	case "reject":
		return c.MayReject(m)
	case "backout":
		return c.MayBackout(m)
	case "retry":
		return c.MayRetry(m)
	case "resume":
		return c.MayResume(m)
	case "skip":
		return c.MaySkip(m)
	case "extend":
		return c.MayExtend(forHalfADay(m))
	}
	return m.Check()
}

func refuse(t *testing.T, c Cluster, word string, now time.Time) {
	t.Helper()
	word, m := message(word)
	if err := may(c, word, m); err == nil {
		t.Fatalf("%s was allowed in %+v", word, c)
	}
	after := c
	switch word {
	case "approve":
		if m.Check() == nil { // a word without a name or a reason is no word, and never judged
			after = agree(c, m.Soak, now)
			after.Gate = c.Gate // what people read of it
		}
	case "backout":
		after = c.Backout(m, word, now)
	case "resume":
		after = c.Resume(m, now)
	case "retry":
		after = c.Retry(m, now)
	case "skip":
		after = c.Skip(m, now)
	}
	if fmt.Sprint(after) != fmt.Sprint(c) {
		t.Fatalf("the refused %s changed %+v to %+v", word, c, after)
	}
}

// standingCluster says where a cluster is, in words.
func standingCluster(c Cluster, now time.Time) string {
	d := c.Next(now)
	late := ""
	if strings.Contains(d.Reason, ", waiting for") {
		late = ", and is late"
	}
	if _, running := c.running(); running {
		return d.Reason
	}
	switch {
	case c.Held:
		return "holds " + c.StuckFor()
	case c.Outcome != "":
		return "ended " + d.Reason
	case c.Phase == PhaseSettle:
		return "settles" + late
	case c.Phase == PhaseSoak:
		return "soak " + strconv.Itoa(c.SoakNo) + late
	case c.Phase == PhaseGate:
		return "gate " + strconv.Itoa(c.SoakNo)
	case c.Phase == PhaseHold:
		return "held: " + c.HoldFor
	}
	for _, a := range d.Start {
		switch a.Do {
		case DoMember:
			s := "next " + string(a.Mode) + " " + a.Host
			if a.Canary {
				s += " as canary"
			}
			return s
		case DoRelease:
			return "next release: " + string(c.Ending) + because(c.Reason)
		case DoClaim:
			return "next claim"
		}
	}
	return strings.Replace(d.Reason, "waiting", "waits", 1)
}

// What is asked for again and again must not look like news each time it is: people watch the reason, and each report is a signal.
func TestTroubleReadsTheSameWhileItLasts(t *testing.T) {
	t.Parallel()
	c, now := newCluster(3, 2, patient), epoch
	for _, word := range strings.Fields(unroll("claim=lost*31")) {
		c, now = playCluster(t, c, word, now)
	}
	want := "holding before claim: no way to Consul (since " + stamp(epoch) + ")"
	report := Report{Name: "web", Phase: PhaseHold, Reason: "before claim: no way to Consul", Total: 3}
	for range 3 {
		for _, at := range []time.Time{now, c.NextAsk} { // waiting, and asked for again
			if got := c.Next(at).Reason; got != want || c.Report() != report {
				t.Errorf("Next says %q and Report %+v, want %q and %+v", got, c.Report(), want, report)
			}
		}
		c, now = playCluster(t, c, "claim=lost", now)
	}
	campaign := Campaign{Instance: "monthly-1", Parallel: 1, Stages: []string{"production"}, Clusters: []Ref{{Name: "web"}}}.Started("web")
	if campaign = campaign.Reported(c.Report(), now); !campaign.Held() {
		t.Errorf("the campaign is not held: %+v", campaign)
	}
	c, now = playCluster(t, c, "claim=ok", now)
	if campaign = campaign.Reported(c.Report(), now); campaign.Held() {
		t.Errorf("the campaign is still held: %+v", campaign)
	}
	for _, word := range strings.Fields(unroll("web-1=unstarted*31 web-1")) {
		c, now = playCluster(t, c, word, now)
	}
	if r := c.Report(); r.Phase != PhaseHold || r.Reason != "before patch: no way to start web-1" {
		t.Errorf("while web-1 is tried again, Report = %+v", r)
	}
	if r := c.Confirmed("web-1", "run-1").Report(); r.Phase != PhaseRoll {
		t.Errorf("once web-1 has started, Report = %+v", r)
	}
}

// A person who holds the cluster is asked to resume it, not to look for trouble that may be over.
func TestTroubleBehindAnOperatorsHold(t *testing.T) {
	t.Parallel()
	c, now := newCluster(3, 2, patient), epoch
	for _, word := range strings.Fields(unroll("claim=ok web-1=unstarted*31 hold")) {
		c, now = playCluster(t, c, word, now)
	}
	if r := c.Report(); r.Phase != PhaseHold || r.Reason != "because (jane)" || c.Next(now).Reason != "held: because (jane)" {
		t.Errorf("Report = %+v, Next = %+v", r, c.Next(now))
	}
}

func TestClusterKeepsWhatItsMembersTold(t *testing.T) {
	t.Parallel()
	c, now := newCluster(2, 1, patient), epoch
	for _, word := range strings.Fields("claim=ok web-1=unchanged web-2") {
		c, now = playCluster(t, c, word, now)
	}
	c = c.Confirmed("web-2", "run-7")
	if d := c.Next(now); d.Reason != "patch of web-2 is on its way" || c.Members[1].RunID != "run-7" {
		t.Errorf("Next says %q of run %q", d.Reason, c.Members[1].RunID)
	}
	c = c.Ended(MemberEnd{Host: "web-2", Mode: ModePatch, Try: 1, Outcome: Patched, Manifest: "sha256:m", Changes: "sha256:c", Count: 3, BootOld: "a", BootNew: "b", OutMilli: 400}, now)
	want := Slot{Host: "web-2", Mode: ModePatch, Tries: 1, Outcome: Patched, Canary: true, Changes: "sha256:c", Count: 3, BootOld: "a", BootNew: "b", OutMilli: 400, RunID: "run-7", Pulse: &Pulse{Boot: "b", Killed: -1}}
	if !reflect.DeepEqual(c.Members[1], want) {
		t.Errorf("slot = %+v, want %+v", c.Members[1], want)
	}
	if c.Members[0].Canary {
		t.Errorf("the unchanged %+v still counts as the canary", c.Members[0])
	}
	if c.Manifest != "sha256:m" {
		t.Errorf("Manifest = %q", c.Manifest)
	}
}

func TestWatchComparesWithPeersThatWereNotTouched(t *testing.T) {
	t.Parallel()
	c, now := newCluster(4, 3, patient), epoch
	for _, word := range strings.Fields(unroll(toWave2 + "web-2")) {
		c, now = playCluster(t, c, word, now)
	}
	patched, peers := c.Watch()
	if fmt.Sprint(patched, peers) != "[web-1] [web-3 web-4]" {
		t.Errorf("Watch = %v beside %v, want web-1 beside web-3 and web-4: web-2 is on its way", patched, peers)
	}
}

func TestWaves(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		sentence string
		size     int
		want     string
	}{
		{"of nobody there is none", 0, "[]"},
		{"one alone is a wave", 1, "[1]"},
		{"two are canary and rest", 2, "[1 1]"},
		{"up to nine too", 9, "[1 8]"},
		{"from ten on a quarter comes in between", 10, "[1 3 6]"},
		{"of a hundred", 100, "[1 25 74]"},
	} {
		if got := fmt.Sprint(Waves(row.size)); got != row.want {
			t.Errorf("%s: Waves(%d) = %s, want %s", row.sentence, row.size, got, row.want)
		}
	}
	for size := range 300 {
		sum := 0
		for _, n := range Waves(size) {
			sum += n
			if n < 1 {
				t.Errorf("Waves(%d) = %v has an empty wave", size, Waves(size))
			}
		}
		if sum != size {
			t.Errorf("Waves(%d) = %v holds %d members", size, Waves(size), sum)
		}
	}
}

func TestMayBeOut(t *testing.T) {
	t.Parallel()
	percent := func(of, percent int) int { return max(1, of*percent/100) } // as an inventory resolves it
	for _, row := range []struct {
		sentence string
		clusters []Redundancy
		want     string // "" is yes
	}{
		{"one of three may", peersIn, ""},
		{"not while another is out, for whatever reason", peersOut, `cluster "web": 2 of 3 members would be out, at most 1 may (out already: web-3)`},
		{"one of two may", []Redundancy{{Cluster: "cache", Size: 2, MaxOut: 1, MinHealthy: 1, PeersIn: 1}}, ""},
		{"the only one may not", []Redundancy{{Cluster: "solo", Size: 1, MaxOut: 1, MinHealthy: 1}}, `cluster "solo": 0 peers would be left in service, at least 1 must`},
		{"unless that is accepted by name", []Redundancy{{Cluster: "solo", Size: 1, MaxOut: 1, MinHealthy: 1, Accepted: true}}, ""},
		{"what is accepted is one member, not two", []Redundancy{{Cluster: "pair", Size: 2, MaxOut: 1, MinHealthy: 2, PeersIn: 0, PeersOut: "pair-2", Accepted: true}}, `cluster "pair": 2 of 2 members would be out, at most 1 may (out already: pair-2)`},
		{"accepted lets one be out where none may", []Redundancy{{Cluster: "solo", Size: 1, MaxOut: 0, MinHealthy: 1, Accepted: true}}, ""},
		{"of a budget of two the second may", []Redundancy{{Cluster: "web", Size: 5, MaxOut: 2, MinHealthy: 3, PeersIn: 3}}, ""},
		{"and the third may not", []Redundancy{{Cluster: "web", Size: 5, MaxOut: 2, MinHealthy: 3, PeersIn: 2}}, `cluster "web": 3 of 5 members would be out, at most 2 may`},
		{"25 % of ten are two", []Redundancy{{Cluster: "web", Size: 10, MaxOut: percent(10, 25), MinHealthy: 8, PeersIn: 8}}, ""},
		{"and not three", []Redundancy{{Cluster: "web", Size: 10, MaxOut: percent(10, 25), MinHealthy: 1, PeersIn: 7}}, `cluster "web": 3 of 10 members would be out, at most 2 may`},
		{"one peer is one peer", []Redundancy{{Cluster: "web", Size: 3, MaxOut: 2, MinHealthy: 2, PeersIn: 1}}, `cluster "web": 1 peer would be left in service, at least 2 must`},
		{"min_healthy may ask for more than the budget", []Redundancy{{Cluster: "web", Size: 5, MaxOut: 2, MinHealthy: 4, PeersIn: 3}}, `cluster "web": 3 peers would be left in service, at least 4 must`},
		{"a member that is not registered is out", []Redundancy{{Cluster: "web", Size: 4, MaxOut: 1, MinHealthy: 2, PeersIn: 2, PeersOut: "web-4"}}, `cluster "web": 2 of 4 members would be out, at most 1 may (out already: web-4)`},
		{"every cluster of the host must agree", append(append([]Redundancy{}, peersIn...), Redundancy{Cluster: "cache", Size: 2, MaxOut: 1, MinHealthy: 1}), `cluster "cache": 2 of 2 members would be out, at most 1 may`},
		{"of no cluster nothing is known", nil, "nothing is known of the peers"},
	} {
		may, why := MayBeOut(row.clusters)
		if why != row.want || may != (row.want == "") {
			t.Errorf("%s: MayBeOut(%+v) = %t %q, want %q", row.sentence, row.clusters, may, why, row.want)
		}
	}
	for _, row := range []struct {
		size, minHealthy int
		want             bool
	}{{1, 1, true}, {2, 1, false}, {2, 2, true}, {3, 2, false}} {
		if got := LosingOneBreaks(row.size, row.minHealthy); got != row.want {
			t.Errorf("LosingOneBreaks(%d, %d) = %t", row.size, row.minHealthy, got)
		}
	}
}
