package rollout

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"
)

var epoch = time.Date(2026, 11, 21, 22, 0, 0, 0, time.UTC)

// peersIn and peersOut are what the servers say of a cluster of three: both peers in service, or only one.
var (
	peersIn  = []Redundancy{{Cluster: "web", Size: 3, MaxOut: 1, MinHealthy: 2, PeersIn: 2}}
	peersOut = []Redundancy{{Cluster: "web", Size: 3, MaxOut: 1, MinHealthy: 2, PeersIn: 1, PeersOut: "web-3"}}
)

// memberResults are the words that rows use for what a step came to.
var memberResults = map[string]MemberResult{
	"pass":      {Verdict: Pass, Peers: peersIn},
	"reboot!":   {Verdict: Pass, NeedsReboot: true},
	"fail":      {Verdict: Fail, Reason: "broken"},
	"unknown":   {Verdict: Inconclusive, Reason: "unreachable"},
	"silent":    {},
	"foreign":   {Verdict: Fail, Reason: "jane's maintenance", Foreign: true},
	"nothing":   {Verdict: Pass, Reason: "nothing pending", Nothing: true},
	"untouched": {Verdict: Fail, Reason: "refused", Nothing: true},
	"cut":       {Verdict: Fail, Reason: "power cut", Interrupted: true},
	"leftover":  {Verdict: Fail, Reason: "3 connections left", Leftover: true},
	"fell":      {Verdict: Inconclusive, Reason: "peers fell", AskAgain: true},
	"few":       {Verdict: Pass, Peers: peersOut},
	"undrained": {Verdict: Pass, Peers: peersIn, Undrained: true},
	"frozen":    {Verdict: Pass, Peers: peersIn, Frozen: "frozen by ann"},
	"ours":      {Verdict: Pass, Peers: peersIn, Ours: true},
	"blind":     {Verdict: Pass},
	"late":      {Verdict: Inconclusive, Reason: "it is up and has not rebooted", Late: true},
	"gone":      {Verdict: Inconclusive, Reason: "no answer", Late: true, Begun: true, Power: true},
	"away":      {Verdict: Inconclusive, Reason: "no answer", Late: true, Power: true},
	"key":       {Verdict: Inconclusive, Reason: "another host key", OtherKey: true},
	"left":      {Verdict: Inconclusive, Reason: "frozen by ann", Nothing: true},
	"answers":   {Verdict: Pass, Reason: "it answers again", Nothing: true},
}

// The ways to a step, with everything in order.
const (
	toDrain  = "inspect=pass fetch=pass gate=pass "
	toPatch  = toDrain + "drain=pass gate=pass "
	toReboot = toPatch + "patch=pass gate=pass "
	toCheck  = toReboot + "reboot=pass "
	toServe  = toCheck + "check=pass "
	// toFailing: patched, rebooted, back in service, and failing there.
	toFailing = toServe + "undrain=fail "
	// toGone: not back after 15 minutes, nor after 20.
	toGone = toReboot + "+15m reboot=gone +5m reboot=away "
)

type memberRow struct {
	sentence string
	path     string // step=result …; "step=result*n" n times; "abort" is a person's message; "+d" lets time pass
	want     string // see standing
	told     string // the events people were told of, in order
}

var attended = MemberPolicy{Reboot: RebootAlways, WaitMax: 30 * time.Minute, RetryEvery: time.Minute, Leftover: "hold"}

func with(change func(*MemberPolicy)) MemberPolicy {
	p := attended
	change(&p)
	return p
}

func TestMember(t *testing.T) {
	unattended := with(func(p *MemberPolicy) { p.Unattended = true })
	for _, group := range []struct {
		name   string
		mode   Mode
		policy MemberPolicy
		rows   []memberRow
	}{
		{"good", ModePatch, attended, []memberRow{
			{"a member begins with inspect", "", "next inspect", ""},
			{"a member that goes well is asked for at the gate before drain, before patch and before reboot", toServe + "undrain=pass", "ended patched", ""},
			{"a member with nothing to do is never drained", "inspect=pass fetch=nothing", "ended unchanged: nothing pending", ""},
			{"a host in somebody else's maintenance is not touched", "inspect=foreign", "ended skipped: jane's maintenance", ""},
			{"a host that is broken before the patch is not touched", "inspect=fail", "ended returned: broken", ""},
			{"a member whose packages cannot be had is not drained", "inspect=pass fetch=fail", "ended returned: broken", ""},
			{"a member that somebody undrained by hand is drained again before its patch", toDrain + "drain=pass gate=undrained", "next drain", ""},
			{"and patched once that is proven", toDrain + "drain=pass gate=undrained drain=pass gate=pass", "next patch", ""},
			{"a member that somebody undrained by hand is drained again before its reboot", toPatch + "patch=pass gate=undrained", "next drain", ""},
			{"a member that was undrained by hand and drained by somebody else since is given back", toDrain + "drain=pass gate=undrained drain=foreign", "next undrain", ""},
			{"a result of a step that is not awaited changes nothing", "inspect=pass late:inspect=fail late:drain=pass late:fetch.0=nothing", "next fetch", ""},
			{"a result that comes twice counts once", toPatch + "patch=pass late:patch.5=fail", "next gate", ""},
		}},
		{"found drained by a life that the server forgot", ModePatch, attended, []memberRow{
			{"it is looked at before anything else", "inspect=ours", "next inspect", "hold"},
			{"and goes back into service when its checks pass", "inspect=ours inspect=ours check=pass", "next undrain", "hold"},
			{"and on record, serving: whether it was changed nobody knows", "inspect=ours inspect=ours check=pass undrain=pass", "next quarantine", "hold quarantine"},
			{"at the fetch", "inspect=pass fetch=ours inspect=ours", "next check", "hold"},
			{"at the gate", "inspect=pass fetch=pass gate=ours inspect=ours", "next check", "hold"},
			{"while a run goes on there it waits", "inspect=ours inspect=unknown", "waits before inspect: unreachable", "hold"},
			{"it is put on record when its checks do not pass: whether it was changed nobody knows", "inspect=ours inspect=ours check=fail", "next quarantine", "hold quarantine"},
			{"or when its package database is not clean", "inspect=ours inspect=fail", "next quarantine", "hold quarantine"},
			{"one that we drained ourselves is no find", toDrain + "drain=pass gate=ours", "next patch", ""},
			{"an abort does not put it back unchecked", "inspect=ours abort inspect=ours", "next check", "hold"},
		}},
		{"frozen", ModePatch, attended, []memberRow{
			{"a frozen estate keeps a member in service, however long", "inspect=pass fetch=pass gate=frozen*100", "waits before drain: frozen by ann", ""},
			{"and the drain follows the thaw", "inspect=pass fetch=pass gate=frozen*100 gate=pass", "next drain", ""},
			{"a member that is out and unchanged goes back into service", toDrain + "drain=pass gate=frozen check=pass", "next undrain", ""},
			{"and waits there, and is drained anew after the thaw", toDrain + "drain=pass gate=frozen check=pass undrain=pass gate=frozen*40 gate=pass", "next drain", ""},
			{"a patched one that serves without its reboot waits for it in service", toPatch + "patch=pass gate=frozen check=pass undrain=pass gate=frozen*40", "waits before drain: frozen by ann", ""},
			{"one that cannot serve before its reboot stays out, and says nothing about the patch", toPatch + "patch=pass gate=frozen check=fail gate=frozen", "next check", ""},
			{"what comes after the thaw is a wait of its own", "inspect=pass fetch=pass gate=frozen*100 gate=few*30", "waits before drain: cluster \"web\": 2 of 3 members would be out, at most 1 may (out already: web-3)", ""},
			{"an abort ends it", "inspect=pass fetch=pass gate=frozen*3 abort", "ended returned: aborted", ""},
		}},
		{"frozen on the way back", ModeBackout, attended, []memberRow{
			{"a freeze is asked for before a member that serves is drained to be backed out", "inspect=pass gate=frozen*100", "waits before drain: frozen by ann", "hold"},
			{"and it is drained after the thaw", "inspect=pass gate=frozen*100 gate=pass", "next drain", "hold"},
			{"one that is out by then goes back while it can serve", "inspect=pass gate=pass drain=pass gate=frozen check=pass undrain=pass gate=frozen", "waits before drain: frozen by ann", "hold"},
			{"and stays out if it cannot, which is told", "inspect=pass gate=pass drain=pass (gate=frozen check=fail gate=frozen)*30", "waits before backout: frozen by ann", "hold"},
			{"until the thaw", "inspect=pass gate=pass drain=pass (gate=frozen check=fail gate=frozen)*30 gate=pass", "next backout", "hold"},
		}},
		{"frozen while it fails", ModePatch, attended, []memberRow{
			{"one that is out because its patch failed is backed out at once", toPatch + "patch=fail", "next backout", "fail"},
			{"one that fails in service waits for the thaw before it is drained", toFailing + "gate=frozen*100", "waits before drain: frozen by ann", "fail hold"},
		}},
		{"return from a quarantine", ModeReturn, attended, []memberRow{
			{"a member in quarantine is checked first", "", "next check", ""},
			{"it goes back into service when its checks pass", "check=pass undrain=pass", "ended returned", ""},
			{"it stays in quarantine when they do not", "check=fail", "ended quarantined: broken", ""},
			{"it stays there when they cannot be told", "check=unknown", "ended quarantined: unreachable", ""},
			{"it stays there when it fails in service", "check=pass undrain=fail", "ended quarantined: it is in service again, and fails there: broken", ""},
			{"it stays there when somebody else has it in maintenance", "check=pass undrain=foreign", "ended quarantined: jane's maintenance", ""},
		}},
		{"reboot as needed", ModePatch, with(func(p *MemberPolicy) { p.Reboot = RebootIfNeeded }), []memberRow{
			{"no reboot where none is needed", toPatch + "patch=pass check=pass undrain=pass", "ended patched", ""},
			{"a needed reboot asks the gate first", toPatch + "patch=reboot!", "next gate", ""},
			{"a backout that needs no reboot does without", toPatch + "patch=fail backout=pass check=pass undrain=pass", "ended backed-out: broken", "fail backout"},
			{"a backout that needs one reboots", toPatch + "patch=fail backout=reboot! gate=pass reboot=pass check=pass undrain=pass", "ended backed-out: broken", "fail backout"},
			{"what was rebooted for the patch is rebooted for the backout", toPatch + "patch=reboot! gate=pass reboot=pass check=fail backout=pass gate=pass", "next reboot", "fail backout"},
		}},
		{"reboot never", ModePatch, with(func(p *MemberPolicy) { p.Reboot = RebootNever }), []memberRow{
			{"never means never", toPatch + "patch=reboot! check=pass undrain=pass", "ended patched", ""},
			{"and for a backout too", toPatch + "patch=fail backout=reboot!", "next check", "fail backout"},
		}},
		{"gate", ModePatch, attended, []memberRow{
			{"a gate that refuses before the drain waits", "inspect=pass fetch=pass gate=few", `waits before drain: cluster "web": 2 of 3 members would be out, at most 1 may (out already: web-3)`, ""},
			{"and goes on by itself when the peers are back", "inspect=pass fetch=pass gate=few*5 gate=pass", "next drain", ""},
			{"and gives up after the longest wait, having changed nothing", "inspect=pass fetch=pass gate=few*31", `ended returned: gave up after 30m0s before drain: cluster "web": 2 of 3 members would be out, at most 1 may (out already: web-3)`, ""},
			{"an answer without peers is no yes", "inspect=pass fetch=pass gate=blind", "waits before drain: nothing is known of the peers", ""},
			{"a gate that failed is no yes, whatever the peers", "inspect=pass fetch=pass gate=fail", "waits before drain: broken", ""},
			{"no verdict is no yes", "inspect=pass fetch=pass gate=silent", "waits before drain: no reason was given", ""},
			{"peers that fall before the patch bring the member back at once, after its checks", toDrain + "drain=pass gate=few check=pass undrain=pass", "next gate", ""},
			{"and when they are back it is drained again", toDrain + "drain=pass gate=few check=pass undrain=pass gate=few gate=pass drain=pass gate=pass", "next patch", ""},
			{"an unchanged member goes back even if its checks fail", toDrain + "drain=pass gate=few check=fail undrain=fail", "next gate", ""},
			{"peers that fall before the reboot bring the patched member back", toPatch + "patch=pass gate=few check=pass undrain=pass", "next gate", ""},
			{"and the reboot comes after another drain", toPatch + "patch=pass gate=few check=pass undrain=pass gate=pass drain=pass gate=pass", "next reboot", ""},
			{"unless it cannot serve before its reboot: then it waits for the peers, and that says nothing about the patch", toPatch + "patch=pass gate=few check=fail", "waits before reboot: broken", ""},
			{"and holds when they stay away", toPatch + "patch=pass (gate=few check=fail)*31", "holds before reboot: broken", "hold"},
			{"a patched member that serves and waits for its reboot holds after the longest wait", toPatch + "patch=pass gate=few check=pass undrain=pass gate=few*31", `holds before drain: cluster "web": 2 of 3 members would be out, at most 1 may (out already: web-3)`, "hold"},
			{"and goes on by itself when the peers are back", toPatch + "patch=pass gate=few check=pass undrain=pass gate=few*40 gate=pass", "next drain", "hold"},
			{"a member that failed under traffic is not drained while its peers are down", toFailing + "gate=few", `waits before drain: cluster "web": 2 of 3 members would be out, at most 1 may (out already: web-3)`, "fail"},
			{"peers that fall before its backout bring it back if its checks pass", toFailing + "gate=pass drain=pass gate=few check=pass undrain=pass", "next gate", "fail"},
			{"and if they do not pass it is backed out, which takes nothing from the peers", toFailing + "gate=pass drain=pass gate=few check=fail", "next backout", "fail"},
			{"a backed out member may serve before its reboot", toPatch + "patch=fail backout=reboot! gate=few check=pass undrain=pass gate=pass drain=pass gate=pass reboot=pass check=pass undrain=pass", "ended backed-out: broken", "fail backout"},
		}},
		{"drain", ModePatch, attended, []memberRow{
			{"somebody else's maintenance met by the drain stays, ours is taken back", toDrain + "drain=foreign undrain=foreign", "ended skipped: jane's maintenance", ""},
			{"and if they are gone by then the member is as it was", toDrain + "drain=foreign undrain=pass", "ended returned: jane's maintenance", ""},
			{"a drain that cannot be proven is taken back", toDrain + "drain=fail undrain=pass", "ended returned: broken", ""},
			{"an unknown drain waits, and asks the gate before it is tried again", toDrain + "drain=unknown gate=pass", "next drain", ""},
			{"connections that are left hold the drain", toDrain + "drain=leftover (gate=pass drain=leftover)*31", "holds before drain: 3 connections left", "hold"},
			{"which goes on by itself when they are gone", toDrain + "(drain=leftover gate=pass)*40 drain=pass gate=pass", "next patch", "hold"},
			{"peers that fall while a drain holds bring the unchanged member back", toDrain + "(drain=leftover gate=pass)*40 drain=leftover gate=few check=pass undrain=pass", "next gate", "hold"},
			{"peers that fall while it drains have the gate asked at once", toDrain + "drain=fell", "next gate", ""},
			{"whose own look brings the unchanged member back", toDrain + "drain=fell gate=few check=pass undrain=pass", "next gate", ""},
			{"or lets the drain go on, if they are back by then", toDrain + "drain=fell gate=pass drain=pass gate=pass", "next patch", ""},
			{"or waits, if it learns nothing", toDrain + "drain=fell gate=unknown", "waits before drain: unreachable", ""},
			{"a drain that waits goes on waiting for the same, since the same time", toDrain + "drain=leftover (gate=pass drain=leftover)*20 gate=pass drain=fell (gate=pass drain=leftover)*10", "holds before drain: 3 connections left", "hold"},
			{"peers that fall in the drain before its reboot bring the patched member back", toPatch + "patch=pass gate=few check=pass undrain=pass gate=pass drain=fell gate=few check=pass undrain=pass", "next gate", ""},
			{"and in the drain before its backout a failing one that passes its checks again", toFailing + "gate=pass drain=fell gate=few check=pass undrain=pass", "next gate", "fail"},
			{"also when it waited for them for long meanwhile", toFailing + "gate=pass drain=fell gate=few check=fail +40m gate=pass drain=fell", "next gate", "fail"},
			{"a patch that was not begun while the gate's word was new asks it again", toPatch + "patch=fell", "next gate", ""},
			{"and again, while that is quick", toPatch + "patch=fell gate=pass patch=fell", "next gate", ""},
			{"but workers that are always late are given up on: unchanged it goes back", toPatch + "patch=fell gate=pass +40m patch=fell", "next undrain", ""},
			{"and a reboot that is always late holds", toReboot + "reboot=fell gate=pass +40m reboot=fell", "holds before reboot: peers fell", "hold"},
			{"and is begun on its new word", toPatch + "patch=fell gate=pass", "next patch", ""},
			{"or turned round by it, unchanged", toPatch + "patch=fell gate=few check=fail", "next undrain", ""},
			{"a reboot that was not begun asks it again as well", toReboot + "reboot=fell gate=pass", "next reboot", ""},
			{"a patch that was not begun is given up by an abort", toPatch + "abort patch=fell", "next undrain", ""},
			{"a repair waits for no peers", toPatch + "patch=cut patch=fell", "waits before patch: peers fell", ""},
			{"nobody else can say so", toPatch + "patch=pass gate=pass reboot=pass check=fell", "waits before check: peers fell", ""},
			{"a member that must be drained again for its reboot is not given up", toPatch + "patch=pass gate=few check=pass undrain=pass gate=pass drain=fail", "waits before drain: broken", ""},
			{"nor for somebody else's maintenance, which it waits for", toPatch + "patch=pass gate=few check=pass undrain=pass gate=pass drain=foreign", "waits before drain: jane's maintenance", ""},
			{"one that peers and checks keep out is not touched before its drain is through", toFailing + "gate=pass drain=foreign gate=few check=fail", "waits before drain: broken", "fail"},
			{"a failing member whose drain fails does not end there", toFailing + "gate=pass drain=fail gate=pass drain=foreign gate=pass drain=pass gate=pass", "next backout", "fail"},
		}},
		{"leftover undrain", ModePatch, with(func(p *MemberPolicy) { p.Leftover = LeftoverUndrain }), []memberRow{
			{"connections that are left end it", toDrain + "drain=leftover undrain=pass", "ended returned: 3 connections left", ""},
			{"but not the way back of a failing member", toFailing + "gate=pass drain=leftover gate=pass", "next backout", "fail"},
			{"and a reboot that is owed waits for them", toPatch + "patch=pass gate=few check=pass undrain=pass gate=pass drain=leftover", "waits before drain: 3 connections left", ""},
		}},
		{"leftover proceed", ModePatch, with(func(p *MemberPolicy) { p.Leftover = LeftoverProceed }), []memberRow{
			{"connections that are left are cut", toDrain + "drain=leftover gate=pass", "next patch", ""},
			{"but not for somebody else's maintenance", toDrain + "drain=foreign", "next undrain", ""},
			{"nor for a drain that is not through", toDrain + "drain=fail", "next undrain", ""},
		}},
		{"leftover unheard of", ModePatch, with(func(p *MemberPolicy) { p.Leftover = "" }), []memberRow{
			{"a policy that is not known holds", toDrain + "drain=leftover", "waits before drain: 3 connections left", ""},
		}},
		{"patch", ModePatch, attended, []memberRow{
			{"a patch that left the host as it was needs no backout", toPatch + "patch=untouched undrain=pass", "ended returned: refused", ""},
			{"a patch that failed is backed out without asking the peers: the member is out already", toPatch + "patch=fail", "next backout", "fail"},
			{"an interrupted patch is repaired", toPatch + "patch=cut", "next patch, attempt 2", ""},
			{"and the repaired one counts", toPatch + "patch=cut*2 patch=pass", "next gate", ""},
			{"three interruptions are a fail", toPatch + "patch=cut*3", "next backout", "fail"},
			{"a repair that changed nothing does not undo what was cut short", toPatch + "patch=cut patch=untouched", "next backout", "fail"},
			{"an unknown patch is asked for again, not begun again", toPatch + "patch=unknown*3", "waits before patch: unreachable", ""},
			{"and keeps its attempt", toPatch + "patch=cut patch=unknown*3 +1m", "next patch, attempt 2", ""},
			{"and holds: an unreachable host is never backed out blindly", toPatch + "patch=unknown*31", "holds before patch: unreachable", "hold"},
			{"and goes on by itself when the host is back", toPatch + "patch=unknown*40 patch=pass gate=pass", "next reboot", "hold"},
			{"a person is told of one hold once", toPatch + "patch=unknown*90", "holds before patch: unreachable", "hold"},
			{"a cause without words is waited for all the same", toPatch + "patch=silent*31", "holds before patch: no reason was given", "hold"},
		}},
		{"reboot", ModePatch, attended, []memberRow{
			{"a late reboot is waited for", toReboot + "reboot=unknown*10 reboot=pass", "next check", ""},
			{"and held", toReboot + "reboot=unknown*31", "holds before reboot: unreachable", "hold"},
			{"a person is told at once that it is late, and once", toReboot + "reboot=late*10", "waits before reboot: it is up and has not rebooted", "hold"},
			{"and once more when that becomes a hold", toReboot + "reboot=late*31", "holds before reboot: it is up and has not rebooted", "hold hold"},
			{"another host key holds at once", toReboot + "reboot=key", "holds before reboot: another host key", "hold"},
			{"and is told once", toReboot + "reboot=key*40", "holds before reboot: another host key", "hold"},
			{"also where it held already, for being late", toReboot + "reboot=unknown*31 reboot=key*3", "holds before reboot: another host key", "hold hold"},
			{"it goes on by itself when the host's own key answers", toReboot + "reboot=key*5 reboot=pass", "next check", "hold"},
			{"an abort puts it on record as it is", toReboot + "reboot=key abort quarantine=pass", "ended quarantined: aborted while holding before reboot: another host key", "hold quarantine"},
			{"no power is cycled that the policy says nothing of", toGone + "reboot=away*60", "holds before reboot: no answer", "hold hold"},
			{"a reboot that failed is a fail of the patch", toReboot + "reboot=fail", "next backout", "fail"},
			{"a reboot that failed after the backout is quarantine", toReboot + "reboot=pass check=fail backout=pass gate=pass reboot=fail quarantine=pass", "ended quarantined: backed out, but its reboot failed: broken (after: broken)", "fail backout quarantine"},
		}},
		{"power", ModePatch, with(func(p *MemberPolicy) { p.PowerAfter = 20 * time.Minute }), []memberRow{
			{"of a host that went down and is not back it is cycled when the policy's time is over", toGone, "next power", "hold"},
			{"and not before", toReboot + "+15m reboot=gone +2m reboot=away", "waits before reboot: no answer", "hold"},
			{"the boot id decides whether it helped", toGone + "power=pass reboot=pass", "next check", "hold hold"},
			{"it is cycled once", toGone + "power=pass (+20m reboot=away)*5", "holds before reboot: no answer", "hold hold hold"},
			{"also where nobody knows whether it was", toGone + "power=unknown (+20m reboot=away)*5", "holds before reboot: no answer", "hold hold hold"},
			{"or where the program failed", toGone + "power=fail (+20m reboot=away)*5", "holds before reboot: no answer", "hold hold hold"},
			{"one that never went down is left alone", toReboot + "+15m reboot=away +30m reboot=away*3", "holds before reboot: no answer", "hold hold"},
			{"and one that was heard of since", toReboot + "+15m reboot=gone +1m reboot=late +20m reboot=away", "waits before reboot: no answer", "hold"},
			{"and one that answers with another host key", toReboot + "+15m reboot=gone +5m reboot=key", "holds before reboot: another host key", "hold hold"},
			{"one that answers again in time is asked for its boot id", toGone + "power=answers reboot=pass", "next check", "hold"},
			{"what was left alone may be cycled later", toGone + "power=left +1m reboot=away", "next power", "hold"},
			{"the reboot after the backout is another one", toGone + "power=pass reboot=pass check=fail backout=pass gate=pass +15m reboot=gone +5m reboot=away", "next power", "hold hold fail backout hold"},
		}},
		{"check", ModePatch, attended, []memberRow{
			{"checks that fail mean backout", toCheck + "check=fail backout=pass gate=pass reboot=pass check=pass undrain=pass", "ended backed-out: broken", "fail backout"},
			{"checks that cannot be told mean neither", toCheck + "check=unknown*31", "holds before check: unreachable", "hold"},
			{"failing under traffic means drain and backout", toFailing + "gate=pass drain=pass gate=pass backout=pass gate=pass reboot=pass check=pass undrain=pass", "ended backed-out: broken", "fail backout"},
			{"failing under traffic twice is told once", toFailing + "gate=pass drain=pass gate=few check=pass undrain=fail gate=pass", "next drain", "fail"},
		}},
		{"undrain", ModePatch, attended, []memberRow{
			{"an undrain is asked until it is through", toServe + "undrain=unknown*100 undrain=pass", "ended patched", "hold"},
			{"somebody else's maintenance on a member that we drained is waited for", toServe + "undrain=foreign", "waits before undrain: jane's maintenance", ""},
			{"and held, and never removed", toServe + "undrain=foreign*31", "holds before undrain: jane's maintenance", "hold"},
			{"and when they are done the member is back", toServe + "undrain=foreign*31 undrain=pass", "ended patched", "hold"},
			{"an unchanged member that fails in service is returned with the reason", toPatch + "patch=untouched undrain=fail", "ended returned: refused", ""},
		}},
		{"backout", ModePatch, attended, []memberRow{
			{"a backout that failed is quarantine, and said so with both causes", toPatch + "patch=fail backout=fail quarantine=pass", "ended quarantined: the backout failed: broken (after: broken)", "fail quarantine"},
			{"an interrupted backout is repaired", toPatch + "patch=fail backout=cut", "next backout, attempt 2", "fail"},
			{"three interruptions are quarantine", toPatch + "patch=fail backout=cut*3", "next quarantine", "fail quarantine"},
			{"checks that fail after the backout are quarantine", toPatch + "patch=fail backout=reboot! gate=pass reboot=pass check=fail", "next quarantine", "fail backout quarantine"},
			{"failing in service after the backout is quarantine", toPatch + "patch=fail backout=reboot! gate=pass reboot=pass check=pass undrain=fail", "next quarantine", "fail backout quarantine"},
			{"an unknown backout holds", toPatch + "patch=fail backout=unknown*31", "holds before backout: unreachable", "fail hold"},
			{"a quarantine that is not on record is asked again", toPatch + "patch=fail backout=fail quarantine=fail quarantine=unknown quarantine=pass", "ended quarantined: the backout failed: broken (after: broken)", "fail quarantine"},
			{"for ever, and is told once", toPatch + "patch=fail backout=fail quarantine=unknown*100", "holds before quarantine: unreachable", "fail quarantine hold"},
		}},
		{"unattended", ModePatch, unattended, []memberRow{
			{"nobody can answer a drain that holds: the unchanged member goes back", toDrain + "drain=leftover (gate=pass drain=leftover)*30 undrain=pass", "ended returned: gave up after 30m0s before drain: 3 connections left", ""},
			{"an unknown patch goes to quarantine after the longest wait", toPatch + "patch=unknown*31", "next quarantine", "quarantine"},
			{"so does a reboot that never comes back", toReboot + "reboot=unknown*31 quarantine=pass", "ended quarantined: gave up after 30m0s before reboot: unreachable", "quarantine"},
			{"another host key does at once", toReboot + "reboot=key quarantine=pass", "ended quarantined: another host key", "quarantine"},
			{"and checks that cannot be told", toCheck + "check=unknown*31", "next quarantine", "quarantine"},
			{"and a failing member that serves, while its peers stay down", toFailing + "gate=few*31", "next quarantine", "fail quarantine"},
			{"and a patched one that serves without its reboot", toPatch + "patch=pass gate=few check=pass undrain=pass gate=few*31", "next quarantine", "quarantine"},
			{"a backed out one that serves without its reboot is backed out", toPatch + "patch=fail backout=reboot! gate=few check=pass undrain=pass gate=few*31", `ended backed-out: broken; not rebooted: gave up after 30m0s before drain: cluster "web": 2 of 3 members would be out, at most 1 may (out already: web-3)`, "fail backout"},
			{"an undrain is never given up", toServe + "undrain=unknown*100", "holds before undrain: unreachable", "hold"},
			{"a quarantine is entered once", toPatch + "patch=fail backout=fail quarantine=unknown*100", "holds before quarantine: unreachable", "fail quarantine hold"},
		}},
		{"abort", ModePatch, attended, []memberRow{
			{"before inspect answered", "abort", "ended returned: aborted", ""},
			{"before fetch answered", "inspect=pass abort", "ended returned: aborted", ""},
			{"at the gate", "inspect=pass fetch=pass abort", "ended returned: aborted", ""},
			{"while waiting for peers", "inspect=pass fetch=pass gate=few abort", "ended returned: aborted", ""},
			{"in the drain waits for its answer", toDrain + "abort", "next drain", ""},
			{"and takes it back", toDrain + "abort drain=pass undrain=pass", "ended returned: aborted", ""},
			{"whatever the answer", toDrain + "abort drain=unknown undrain=pass", "ended returned: aborted", ""},
			{"also if peers fell", toDrain + "abort drain=fell undrain=pass", "ended returned: aborted", ""},
			{"while the gate is asked because they did", toDrain + "drain=fell abort undrain=pass", "ended returned: aborted", ""},
			{"or while it is checked because of what the gate said", toDrain + "drain=fell gate=few abort undrain=pass", "ended returned: aborted", ""},
			{"connections that are left do not hold it", toDrain + "abort drain=leftover undrain=pass", "ended returned: 3 connections left", ""},
			{"while the drain holds", toDrain + "drain=leftover (gate=pass drain=leftover)*31 abort undrain=pass", "ended returned: aborted", "hold"},
			{"at the gate before the patch undrains", toDrain + "drain=pass abort undrain=pass", "ended returned: aborted", ""},
			{"twice is once", toDrain + "drain=pass abort abort undrain=pass", "ended returned: aborted", ""},
			{"while it goes back because peers fell", toDrain + "drain=pass gate=few abort undrain=pass", "ended returned: aborted", ""},
			{"in the undrain of an unchanged member", toPatch + "patch=untouched abort undrain=pass", "ended returned: refused", ""},
			{"in the patch never kills the transaction: it is finished, with its reboot", toPatch + "abort patch=pass gate=pass reboot=pass check=pass undrain=pass", "ended patched", ""},
			{"in a patch that then fails backs out", toPatch + "abort patch=fail backout=reboot! gate=pass reboot=pass check=pass undrain=pass", "ended backed-out: broken", "fail backout"},
			{"in a patch that is then cut short repairs it", toPatch + "abort patch=cut", "next patch, attempt 2", ""},
			{"in the reboot", toReboot + "abort reboot=pass check=pass undrain=pass", "ended patched", ""},
			{"in the check", toCheck + "abort check=pass undrain=pass", "ended patched", ""},
			{"in a check that then fails backs out", toCheck + "abort check=fail", "next backout", "fail"},
			{"in the undrain", toServe + "abort undrain=pass", "ended patched", ""},
			{"in an undrain that then fails under traffic backs out", toServe + "abort undrain=fail gate=pass drain=pass gate=pass backout=pass", "next gate", "fail backout"},
			{"when peers fall on its way back it is still backed out later", toFailing + "abort gate=pass drain=pass gate=few check=pass undrain=pass", "next gate", "fail"},
			{"or put on record, serving, if they stay away", toFailing + "abort gate=pass drain=pass gate=few check=pass undrain=pass gate=few*31", "next quarantine", "fail quarantine"},
			{"in the backout", toPatch + "patch=fail abort backout=reboot! gate=pass reboot=pass check=pass undrain=pass", "ended backed-out: broken", "fail backout"},
			{"in the quarantine", toPatch + "patch=fail backout=fail abort quarantine=pass", "ended quarantined: the backout failed: broken (after: broken)", "fail quarantine"},
			{"in a quarantine that cannot be written keeps asking", toPatch + "patch=fail backout=fail quarantine=unknown*40 abort quarantine=unknown", "holds before quarantine: unreachable", "fail quarantine hold"},
			{"calls off a reboot that would need another drain", toPatch + "patch=pass gate=few check=pass undrain=pass abort", "ended patched: aborted before its reboot", ""},
			{"and one whose drain answers later", toPatch + "patch=pass gate=few check=pass undrain=pass gate=pass abort drain=leftover check=pass undrain=pass", "ended patched: aborted before its reboot", ""},
			{"and one whose drain waits", toPatch + "patch=pass gate=few check=pass undrain=pass gate=pass drain=leftover abort check=pass undrain=pass", "ended patched: aborted before its reboot", ""},
			{"and one before whose drain is through peers fall", toPatch + "patch=pass gate=few check=pass undrain=pass gate=pass abort drain=fell check=pass undrain=pass", "ended patched: aborted before its reboot", ""},
			{"but not the way back of a failing one", toFailing + "gate=pass abort drain=fell gate=pass drain=pass gate=pass", "next backout", "fail"},
			{"and is backed out if it does not pass its checks without", toPatch + "patch=pass gate=few check=pass undrain=pass gate=pass drain=foreign abort check=fail gate=pass drain=pass gate=pass", "next backout", "fail"},
			{"and the reboot of a backed out one that serves", toPatch + "patch=fail backout=reboot! gate=few check=pass undrain=pass abort", "ended backed-out: broken", "fail backout"},
			{"while a reboot waits for unknown peers checks and undrains", toPatch + "patch=pass gate=unknown*31 abort check=pass undrain=pass", "ended patched: aborted before its reboot", "hold"},
			{"when peers fall on the way back it does not go out again", toPatch + "patch=pass abort gate=few check=pass undrain=pass", "ended patched", ""},
			{"while an unreachable patch holds puts it on record as it is", toPatch + "patch=unknown*31 abort quarantine=pass", "ended quarantined: aborted while holding before patch: unreachable", "hold quarantine"},
			{"while the patch is asked again waits for the answer", toPatch + "patch=unknown*31 +1m abort", "next patch", "hold"},
			{"and goes on if it is one", toPatch + "patch=unknown*31 +1m abort patch=pass", "next gate", "hold"},
			{"and on record if it is none", toPatch + "patch=unknown*31 +1m abort patch=unknown", "next quarantine", "hold quarantine"},
			{"before a hold ends in quarantine, not in a hold that nobody answers", toPatch + "abort patch=unknown*31", "next quarantine", "quarantine"},
			{"while checks hold asks them once more", toCheck + "check=unknown*31 abort check=pass undrain=pass", "ended patched", "hold"},
			{"while an undrain holds does not forget it", toServe + "undrain=foreign*31 abort undrain=foreign", "holds before undrain: jane's maintenance", "hold"},
			{"after the end changes nothing", "inspect=foreign abort", "ended skipped: jane's maintenance", ""},
		}},
		{"a word while it holds", ModePatch, attended, []memberRow{
			{"none counts while it only waits", toPatch + "patch=unknown*3 retry skip backout", "waits before patch: unreachable", ""},
			{"nor once it goes on", toPatch + "patch=unknown*40 patch=pass skip backout gate=pass", "next reboot", "hold"},
			{"retry asks at once", toPatch + "patch=unknown*31 retry", "next patch", "hold"},
			{"and it goes on holding if that is no use", toPatch + "patch=unknown*31 retry patch=unknown", "holds before patch: unreachable", "hold"},
			{"skip puts an unchanged one back whose drain holds", toDrain + "drain=leftover (gate=pass drain=leftover)*31 skip undrain=pass", "ended returned: skip by jane", "hold"},
			{"and one that is being drained once more, when that answers", toDrain + "drain=leftover (gate=pass drain=leftover)*31 gate=pass skip drain=leftover undrain=pass", "ended returned: 3 connections left", "hold"},
			{"skip puts an unreachable one on record as it is", toPatch + "patch=unknown*31 skip quarantine=pass", "ended quarantined: skip by jane while holding before patch: unreachable", "hold quarantine"},
			{"and one whose reboot is late", toReboot + "reboot=unknown*31 skip quarantine=pass", "ended quarantined: skip by jane while holding before reboot: unreachable", "hold quarantine"},
			{"skip asks checks that cannot be told once more", toCheck + "check=unknown*31 skip check=pass undrain=pass", "ended patched", "hold"},
			{"and puts it on record if that is no use", toCheck + "check=unknown*31 skip check=unknown", "next quarantine", "hold quarantine"},
			{"skip calls off a reboot that waits", toPatch + "patch=pass gate=unknown*31 skip check=pass undrain=pass", "ended patched: not rebooted: skip by jane", "hold"},
			{"also of one that serves", toPatch + "patch=pass gate=few check=pass undrain=pass gate=few*31 skip", "ended patched: not rebooted: skip by jane", "hold"},
			{"skip does not touch an undrain that is owed", toServe + "undrain=foreign*31 skip undrain=foreign", "holds before undrain: jane's maintenance", "hold"},
			{"backout of an unchanged one is its undrain", toDrain + "drain=leftover (gate=pass drain=leftover)*31 backout undrain=pass", "ended returned: backout by jane", "hold"},
			{"backout of one whose checks cannot be told", toCheck + "check=unknown*31 backout backout=pass gate=pass reboot=pass check=pass undrain=pass", "ended backed-out: backout by jane", "hold backout"},
			{"while they are asked, if they still cannot", toCheck + "check=unknown*31 +1m backout check=unknown", "next backout", "hold"},
			{"and not if they pass: its cluster brings it back then", toCheck + "check=unknown*31 +1m backout check=pass", "next undrain", "hold"},
			{"backout of one that waits for its reboot", toPatch + "patch=pass gate=unknown*31 backout", "next backout", "hold"},
			{"of one that serves meanwhile asks the gate first", toPatch + "patch=pass gate=few check=pass undrain=pass gate=few*31 backout gate=few", `waits before drain: cluster "web": 2 of 3 members would be out, at most 1 may (out already: web-3)`, "hold"},
			{"backout is not begun blindly while a patch cannot be told", toPatch + "patch=unknown*31 backout patch=unknown", "holds before patch: unreachable", "hold"},
			{"nor while a reboot is late", toReboot + "reboot=unknown*31 backout reboot=unknown", "holds before reboot: unreachable", "hold"},
			{"but when that is told and its checks are not", toReboot + "reboot=unknown*31 backout reboot=pass check=unknown", "next backout", "hold"},
			{"of one that was found drained there is no way back that is known", "inspect=ours inspect=ours check=unknown*31 backout check=unknown", "holds before check: unreachable", "hold hold"},
			{"after an abort changes nothing", toServe + "undrain=foreign*31 abort skip backout undrain=foreign", "holds before undrain: jane's maintenance", "hold"},
		}},
		{"a hold that lasts too long", ModePatch, with(func(p *MemberPolicy) { p.HoldMax = 4 * time.Hour }), []memberRow{
			{"not yet", toDrain + "drain=leftover (gate=pass drain=leftover)*31 +3h gate=pass drain=leftover", "holds before drain: 3 connections left", "hold"},
			{"nothing is changed: it goes back", toDrain + "drain=leftover (gate=pass drain=leftover)*31 +4h gate=pass drain=leftover undrain=pass", "ended returned: held for 4h0m0s before drain: 3 connections left", "hold"},
			{"a retry gives it its whole time again", toDrain + "drain=leftover (gate=pass drain=leftover)*31 +3h retry +2h gate=pass drain=leftover", "holds before drain: 3 connections left", "hold"},
			{"a patch that cannot be told stays out, on record", toPatch + "patch=unknown*31 +4h patch=unknown quarantine=pass", "ended quarantined: held for 4h0m0s before patch: unreachable", "hold quarantine"},
			{"one that answers by then goes on", toPatch + "patch=unknown*31 +9h patch=pass", "next gate", "hold"},
			{"a late reboot stays out", toReboot + "reboot=unknown*31 +4h reboot=unknown", "next quarantine", "hold quarantine"},
			{"checks that cannot be told are no pass: it stays out", toCheck + "check=unknown*31 +4h check=unknown", "next quarantine", "hold quarantine"},
			{"a patched one that waits for its reboot goes back if its checks pass", toPatch + "patch=pass gate=unknown*31 +4h gate=unknown check=pass undrain=pass", "ended patched: not rebooted: held for 4h0m0s", "hold hold"},
			{"and stays out if they do not: without its reboot that says nothing about the patch", toPatch + "patch=pass gate=unknown*31 +4h gate=unknown check=fail quarantine=pass", "ended quarantined: its checks do not pass without its reboot: broken (after: not rebooted: held for 4h0m0s)", "hold hold quarantine"},
			{"or cannot be told for as long as a wait may take", toPatch + "patch=pass gate=unknown*31 +4h gate=unknown check=unknown*31", "next quarantine", "hold hold quarantine"},
			{"a backout that cannot be told stays out", toPatch + "patch=fail backout=unknown*31 +4h backout=unknown", "next quarantine", "fail hold quarantine"},
			{"one that serves may wait on", toPatch + "patch=pass gate=few check=pass undrain=pass gate=few*31 +9h gate=few", `holds before drain: cluster "web": 2 of 3 members would be out, at most 1 may (out already: web-3)`, "hold"},
			{"an undrain is owed, whatever the hour", toServe + "undrain=unknown*31 +9h undrain=unknown", "holds before undrain: unreachable", "hold"},
			{"and it is no end for one that waits for its peers", toDrain + "drain=pass gate=few check=pass undrain=unknown*31 +9h undrain=unknown undrain=pass", "next gate", "hold"},
			{"so is a record", toPatch + "patch=fail backout=fail quarantine=unknown*31 +9h quarantine=unknown", "holds before quarantine: unreachable", "fail quarantine hold"},
			{"what holds anew has its whole time", toPatch + "patch=unknown*31 +3h patch=pass gate=pass reboot=unknown*31 +2h reboot=unknown", "holds before reboot: unreachable", "hold hold"},
		}},
		{"a hold without a time-out", ModePatch, attended, []memberRow{
			{"waits for a person, however long", toPatch + "patch=unknown*31 +999h patch=unknown", "holds before patch: unreachable", "hold"},
		}},
		{"backout of a member that serves", ModeBackout, attended, []memberRow{
			{"the host is looked at, then the gate is asked", "inspect=pass", "next gate", ""},
			{"it is drained, asked again, backed out and rebooted", "inspect=pass gate=pass drain=pass gate=pass backout=pass gate=pass reboot=pass check=pass undrain=pass", "ended backed-out", "backout"},
			{"a dirty host is no reason to leave it so", "inspect=fail", "next gate", ""},
			{"somebody else's maintenance is waited for", "inspect=foreign*31", "holds before inspect: jane's maintenance", "hold"},
			{"peers come first", "inspect=pass gate=few*31", `holds before drain: cluster "web": 2 of 3 members would be out, at most 1 may (out already: web-3)`, "hold"},
			{"peers that fall bring it back while its checks pass", "inspect=pass gate=pass drain=pass gate=few check=pass undrain=pass", "next gate", ""},
			{"a backout that failed is quarantine", "inspect=pass gate=pass drain=pass gate=pass backout=fail quarantine=pass", "ended quarantined: the backout failed: broken", "quarantine"},
			{"checks that fail after it are quarantine", "inspect=pass gate=pass drain=pass gate=pass backout=pass gate=pass reboot=pass check=fail", "next quarantine", "backout quarantine"},
			{"an abort does not stop the way back", "inspect=pass gate=pass abort drain=pass gate=pass", "next backout", ""},
			{"but a person may give up on one that holds", "inspect=pass gate=few*31 abort", "next quarantine", "hold quarantine"},
		}},
		{"unattended backout", ModeBackout, unattended, []memberRow{
			{"a backout that cannot begin puts the serving member on record", "inspect=pass gate=few*31", "next quarantine", "quarantine"},
		}},
	} {
		for _, row := range group.rows {
			t.Run(group.name+"/"+row.sentence, func(t *testing.T) {
				t.Parallel()
				m, now := NewMember("monthly", "web", "web-1", group.mode, true, group.policy), epoch
				for _, word := range strings.Fields(unroll(row.path)) {
					m, now = playMember(t, m, word, now)
				}
				if got := standing(m, now); got != row.want {
					t.Errorf("after %q\n got %s\nwant %s\nstate %+v", row.path, got, row.want, m)
				}
				if got := events(m.Outbox); got != row.told {
					t.Errorf("after %q people were told %q, want %q", row.path, got, row.told)
				}
			})
		}
	}
}

// unroll writes "(a b)*n" and "a*n" out.
func unroll(path string) string {
	var out []string
	for path = strings.TrimSpace(path); path != ""; path = strings.TrimSpace(path) {
		var what, rest string
		if path[0] == '(' {
			what, rest, _ = strings.Cut(path[1:], ")")
		} else {
			n := strings.IndexAny(path, " *")
			if n < 0 {
				n = len(path)
			}
			what, rest = path[:n], path[n:]
		}
		times := 1
		if strings.HasPrefix(rest, "*") {
			number, after, _ := strings.Cut(rest[1:], " ")
			times, _ = strconv.Atoi(number)
			rest = after
		}
		for range times {
			out = append(out, what)
		}
		path = rest
	}
	return strings.Join(out, " ")
}

// playMember applies one word of a row. A step's result counts only if that step is what the member wants now.
func playMember(t *testing.T, m Member, word string, now time.Time) (Member, time.Time) {
	t.Helper()
	if word == "abort" {
		return m.ApplyAbort(now), now
	}
	if word == "retry" || word == "skip" || word == "backout" {
		return m.Hear(word, word+" by jane", now), now
	}
	if d, ok := strings.CutPrefix(word, "+"); ok {
		return m, now.Add(duration(t, d))
	}
	if late, ok := strings.CutPrefix(word, "late:"); ok {
		id, result, _ := strings.Cut(late, "=")
		if !strings.Contains(id, ".") {
			id += ".0"
		}
		before := fmt.Sprintf("%+v", m)
		if after := m.Apply(id, memberResults[result], now); fmt.Sprintf("%+v", after) != before {
			t.Errorf("Apply(%s) = %+v, want no change of %s", id, after, before)
		}
		return m, now
	}
	step, result, _ := strings.Cut(word, "=")
	r, ok := memberResults[result]
	if !ok {
		t.Fatalf("row says %q: no such result", word)
	}
	d := m.Next(now)
	if !d.WakeAt.IsZero() {
		now = d.WakeAt
		d = m.Next(now)
	}
	for _, a := range d.Start {
		if a.Do != DoNotify && a.Do == Step(step) {
			return m.Apply(a.ID, r, now), now
		}
	}
	t.Fatalf("row says %q, but the member is at %q and wants %+v", word, standing(m, now), d)
	return m, now
}

func duration(t *testing.T, s string) time.Duration {
	t.Helper()
	d, err := time.ParseDuration(s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// standing says where a member is, in words.
func standing(m Member, now time.Time) string {
	d := m.Next(now)
	switch {
	case m.Outcome != "":
		return "ended " + d.Reason
	case !d.WakeAt.IsZero() && m.Held:
		return "holds before " + string(m.at()) + ": " + m.WaitFor
	case !d.WakeAt.IsZero():
		return "waits before " + string(m.at()) + ": " + m.WaitFor
	}
	a := d.Start[len(d.Start)-1]
	s := "next " + string(a.Do)
	if a.Attempt > 1 {
		s += ", attempt " + strconv.Itoa(a.Attempt)
	}
	return s
}

func events(o Outbox) string {
	var out []string
	for _, n := range o.Pending {
		out = append(out, n.Event)
	}
	return strings.Join(out, " ")
}

func TestMemberTellsHowLongItWasOut(t *testing.T) {
	t.Parallel()
	m, now := NewMember("monthly", "web", "web-1", ModePatch, true, attended), epoch
	for _, word := range strings.Fields(toDrain + "+10s drain=pass +10s gate=few +10s check=pass +10s undrain=pass +1h gate=pass +10s drain=pass gate=pass patch=pass gate=pass reboot=pass check=pass +10s undrain=pass") {
		m, now = playMember(t, m, word, now)
	}
	if want := (60 * time.Second).Milliseconds(); m.OutMilli != want {
		t.Errorf("OutMilli = %d, want %d: two times out, the hour between them in service", m.OutMilli, want)
	}
}

func TestMemberEndsOnceItsNoticesAreSent(t *testing.T) {
	t.Parallel()
	m, now := NewMember("monthly", "web", "web-1", ModePatch, true, attended), epoch
	for _, word := range strings.Fields(toPatch + "patch=fail backout=fail quarantine=pass") {
		m, now = playMember(t, m, word, now)
	}
	d := m.Next(now)
	if d.End || len(d.Start) != 2 || d.Start[0].Notice.Event != TellFail || d.Start[1].Notice.Event != TellQuarantine {
		t.Fatalf("Next = %+v, want the two notices first", d)
	}
	if text := d.Start[1].Notice.Text; !strings.Contains(text, "the backout failed: broken") {
		t.Errorf("the notice says %q, want why", text)
	}
	for _, a := range d.Start {
		m.Outbox.Sent(a.Notice.N)
	}
	if d := m.Next(now); !d.End {
		t.Errorf("Next = %+v, want the end", d)
	}
}
