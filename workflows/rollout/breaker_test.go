package rollout

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"
)

// five are on their way in one stage; two may back out by themselves.
func five() Campaign {
	c := Campaign{Instance: "monthly-1", Name: "monthly", Parallel: 5, Breaker: 2, Stages: []string{"production"}}
	for _, name := range strings.Fields("web db cache mail ldap") {
		c.Clusters = append(c.Clusters, Ref{Name: name})
	}
	for _, r := range c.Clusters {
		c = c.Started(r.Name)
	}
	return c
}

func TestBreaker(t *testing.T) {
	t.Parallel()
	const shared = "a shared fault: 3 clusters failed within 15 minutes: web (check page), db (check page), cache (check page)"
	for _, row := range []struct {
		sentence string
		path     string // web?1: it asks its first question; +14m: time passes; else a message, or =: an end
		answers  string
		stands   string // see below
		told     string
	}{
		{"a few may back out by themselves", "web?1 db?1", "yes yes", "goes on", ""},
		{"one more within 15 minutes trips it", "web?1 db?1 cache?1", "yes yes no", "held: stopped: " + shared, "hold"},
		{"and 15 minutes later it does not", "web?1 db?1 +15m cache?1", "yes yes yes", "goes on", ""},
		{"they are counted from each one's own time", "web?1 +14m db?1 +1m cache?1", "yes yes yes", "goes on", ""},
		{"and a fourth can be one too many", "web?1 +14m db?1 +1m cache?1 mail?1", "yes yes yes no", "held: stopped: a shared fault: 3 clusters failed within 15 minutes: db (check page), cache (check page), mail (check page)", "hold"},
		{"a question that comes twice counts once, and is answered twice", "web?1 web?1 web?1 db?1", "yes yes yes yes", "goes on", ""},
		{"an older question is not answered", "web?2 web?1", "yes -", "goes on", ""},
		{"a report that asks nothing is not answered", "web?0", "-", "goes on", ""},
		{"nor one of a cluster that is not ours", "other?1", "-", "goes on", ""},
		{"nor one that comes after its end", "web?1 web=halted web?1", "yes -", "goes on", ""},
		{"everybody after that is refused, and people are told once", "web?1 db?1 cache?1 +1h mail?1", "yes yes no no", "held: stopped: " + shared, "hold"},
		{"what was granted is not granted any more", "web?1 db?1 cache?1 web?1", "yes yes no no", "held: stopped: " + shared, "hold"},
		{"a person's resume counts anew", "web?1 db?1 cache?1 resume mail?1 ldap?1", "yes yes no yes yes", "goes on", "hold"},
		{"and it can trip again", "web?1 db?1 cache?1 resume mail?1 ldap?1 cache?2", "yes yes no yes yes no", "held: stopped: a shared fault: 3 clusters failed within 15 minutes: mail (check page), ldap (check page), cache (check page)", "hold hold"},
		{"what was refused stays refused: it holds for a person by then", "web?1 db?1 cache?1 resume cache?1", "yes yes no no", "goes on", "hold"},
		{"a person's backout of the campaign goes past it", "web?1 db?1 backout cache?1 mail?1", "yes yes yes yes", "backed out by jane (claimed): because", ""},
		{"also when it has tripped", "web?1 db?1 cache?1 backout cache?1 mail?1", "yes yes no yes yes", "backed out by jane (claimed): because", "hold"},
		{"a hold does not keep a cluster from its way back", "hold web?1", "yes", "held: because (jane)", ""},
		{"nor does an abort", "abort web?1", "yes", "aborted by jane (claimed): because", ""},
		{"and it is a breaker all the same", "abort web?1 db?1 cache?1", "yes yes no", "aborted by jane (claimed): because", "hold"},
	} {
		t.Run(row.sentence, func(t *testing.T) {
			t.Parallel()
			c, now := five(), epoch
			var answers []string
			for _, word := range strings.Fields(row.path) {
				name, ask, asks := strings.Cut(word, "?")
				switch {
				case word[0] == '+':
					now = now.Add(duration(t, word[1:]))
				case asks:
					r := Report{Name: name, Phase: PhaseAsk, Failed: 1, Blames: [blamedKept]Blamed{{"check page", 1}}}
					r.Ask, _ = strconv.Atoi(ask)
					c = c.Reported(r, now)
					w, answered := c.Answer(r)
					answers = append(answers, map[bool]string{true: map[bool]string{true: "yes", false: "no"}[w.May], false: "-"}[answered])
					if answered && (w.Ask != r.Ask || w.Trip != c.Trips || w.May == (w.Why != "")) {
						t.Errorf("the answer to %+v is %+v", r, w)
					}
				default:
					c = playCampaign(t, c, word)
				}
			}
			if got := strings.Join(answers, " "); got != row.answers {
				t.Errorf("after %q the answers are %q, want %q", row.path, got, row.answers)
			}
			_, stands, _ := strings.Cut(c.Next(now).Reason, "; ")
			if stands == "" {
				stands = "goes on"
			}
			if stands != row.stands {
				t.Errorf("after %q\n got %s\nwant %s", row.path, stands, row.stands)
			}
			if got := events(c.Outbox); got != row.told {
				t.Errorf("after %q people were told %q, want %q", row.path, got, row.told)
			}
		})
	}
}

func TestBreakerUnattendedEndsTheCampaign(t *testing.T) {
	t.Parallel()
	c := five()
	c.Unattended = true
	for _, name := range strings.Fields("web db cache") {
		c = c.Reported(Report{Name: name, Phase: PhaseAsk, Ask: 1}, epoch)
	}
	if want := "stopped: a shared fault: 3 clusters failed within 15 minutes: web, db, cache"; c.AbortFor != want || events(c.Outbox) != "hold" {
		t.Errorf("AbortFor = %q, told %q; want %q and a hold", c.AbortFor, events(c.Outbox), want)
	}
	if got, want := c.Warning(), (Word{Trip: 1, Why: c.Tripped}); got != want {
		t.Errorf("Warning = %+v, want %+v", got, want)
	}
}

func TestClusterAsksBeforeItBacksOut(t *testing.T) {
	alone := patient
	alone.Unattended, alone.SoakApproval = true, false
	undoing := patient
	undoing.OnFailure = FailBackoutCluster
	const (
		asks    = "soak failed: page broken; waits for its campaign's word that it may back out"
		refused = "soak failed: page broken; it is not backed out by itself: others fail too; members that stay patched: "
		stopped = "soak failed: page broken; its backout was stopped on its way: others fail too; members that stay patched: "
		gone    = "next release: halted: soak failed: page broken; it is not backed out by itself: its campaign is gone, and nobody else knows whether others fail too; members that stay patched: 1"
	)
	for _, group := range []struct {
		name   string
		policy ClusterPolicy
		rows   []clusterRow
	}{
		{"answers", patient, []clusterRow{
			{"a failed soak asks first", toSoak + "watch=fail", asks, "fail"},
			{"and nothing is watched meanwhile", toSoak + "watch=fail unwatched", asks, "fail"},
			{"it backs out when it may", toSoak + "watch=fail may", "next backout web-1", "fail"},
			{"a yes that comes twice counts once", toSoak + "watch=fail may web-1 may", "backout of web-1 is on its way", "fail"},
			{"it holds when it may not", toSoak + "watch=fail maynot", "held: " + refused + "1", "fail hold"},
			{"and a yes after that comes too late", toSoak + "watch=fail maynot may", "held: " + refused + "1", "fail hold"},
			{"a member on its way is finished first", toWave2 + "web-2 watch=fail may", "patch of web-2 is on its way", "gate fail"},
			{"and brought back too", toWave2 + "web-2 watch=fail may web-2=patched", "next backout web-2", "gate fail"},
			{"or held too", toWave2 + "web-2 watch=fail maynot web-2=patched", "held: " + refused + "2", "gate fail hold"},
			{"and asks no more", toWave2 + "web-2 watch=fail web-2=backed-out maynot", "held: " + refused + "1", "gate fail hold"},
			{"a hold does not stop the way back", toSoak + "watch=fail hold may", "next backout web-1", "fail"},
		}},
		{"the breaker trips", patient, []clusterRow{
			{"who does not ask does not care", toSoak + "trip", "soak 1", ""},
			{"who asks, holds", toSoak + "watch=fail trip", "held: " + refused + "1", "fail hold"},
			{"who may and has not begun, holds", toSoak + "watch=fail may trip", "held: " + stopped + "1", "fail hold"},
			{"whoever is on its way back goes on to the next border", toWave2 + "web-2=patched watch=fail may web-2 trip", "backout of web-2 is on its way", "gate fail"},
			{"and holds there", toWave2 + "web-2=patched watch=fail may web-2 trip web-2=backed-out", "held: " + stopped + "1", "gate fail hold"},
			{"who waits for the host of the next one, holds", toSoak + "watch=fail may web-1=taken trip", "held: " + stopped + "1", "fail hold"},
			{"where nothing is left to stop it ends", toSoak + "watch=fail may web-1 trip web-1=backed-out", "next release: halted: soak failed: page broken", "fail halted"},
			{"what a person said is not stopped", toSoak + "reject trip", "next backout web-1", "backout"},
			{"nor what a person said while it asked", toSoak + "watch=fail backout trip", "next backout web-1", "fail backout"},
			{"nor what a person took over", toSoak + "watch=fail may backout trip", "next backout web-1", "fail backout"},
		}},
		{"a person", patient, []clusterRow{
			{"has it brought back", toSoak + "watch=fail maynot backout", "next backout web-1", "fail hold backout"},
			{"or lets it soak anew", toSoak + "watch=fail maynot resume", "soak 2", "fail hold"},
			{"where it may fail again", toSoak + "watch=fail maynot resume watch=fail may", "next backout web-1", "fail hold fail"},
			{"or pass", toSoak + "watch=fail maynot resume watch=pass*3 +24h", "gate 2", "fail hold gate"},
			{"in a later wave it settles anew", toWave2 + "web-2=patched watch=fail maynot resume +10m", "settles, and is late", "gate fail hold"},
			{"and goes on when the checks pass", toWave2 + "web-2=patched watch=fail maynot resume watch=pass +10m", "next patch web-3", "gate fail hold"},
			{"a resume goes on with a way back that was stopped", toSoak + "watch=fail may trip resume", "next backout web-1", "fail hold"},
			{"and that is a person's word", toWave2 + "web-2=patched watch=fail may trip resume web-2=backed-out trip", "next backout web-1", "gate fail hold"},
			{"of a peer that is in quarantine meanwhile a person says what becomes of it first", toWave2 + "web-2 watch=fail web-2=quarantined maynot resume", "held: web-2 is quarantined: broken", "gate fail hold hold"},
			{"retry has nobody to try again", toSoak + "watch=fail maynot refused:retry", "held: " + refused + "1", "fail hold"},
			{"and is no second word for a way back that was stopped", toSoak + "watch=fail may trip refused:retry refused:backout refused:skip", "held: " + stopped + "1", "fail hold"},
			{"but is the word for one that could not begin", toSoak + "watch=fail may web-1=returned refused:resume retry trip", "next backout web-1", "fail hold"},
			{"a member that was skipped while it asked stays so", toWave2 + "web-2 web-2~drain watch=fail skip web-2=!returned maynot resume watch=pass +10m", "next patch web-3", "gate fail hold"},
			{"skip has nobody to skip", toSoak + "watch=fail maynot refused:skip", "held: " + refused + "1", "fail hold"},
			{"reject has no soak to reject", toSoak + "watch=fail refused:reject", asks, "fail"},
		}},
		{"abort", patient, []clusterRow{
			{"waits for the answer", toSoak + "watch=fail abort", asks, "fail"},
			{"and the way back is finished first", toSoak + "watch=fail abort may web-1=backed-out", "next release: halted: soak failed: page broken", "fail halted"},
			{"refused it ends, and says what stays", toSoak + "watch=fail abort maynot", "next release: halted: " + refused + "1", "fail halted"},
			{"ends the hold", toSoak + "watch=fail maynot abort", "next release: aborted: aborted by jane: because; members that stay patched: 1", "fail hold"},
		}},
		{"its campaign is gone", patient, []clusterRow{
			{"nobody can say that it may", toSoak + "watch=fail gone", gone, "fail halted"},
			{"also of one that was aborted", toSoak + "watch=fail abort gone", gone, "fail halted"},
			{"what was granted goes on", toSoak + "watch=fail may gone", "next backout web-1", "fail"},
			{"what soaks ends", toSoak + "gone", "next release: aborted: aborted by rollpatch: its campaign campaign/monthly-1 is gone; members that stay patched: 1", ""},
		}},
		{"unattended", alone, []clusterRow{
			{"refused it halts, and its members stay in service", toSoak + "watch=fail maynot release=ok", "ended halted: " + refused + "1", "fail halted"},
			{"so does one that is stopped", toSoak + "watch=fail may trip release=ok", "ended halted: " + stopped + "1", "fail halted"},
		}},
		{"backout-cluster", undoing, []clusterRow{
			{"asks too", toWave2 + "web-2=backed-out", "web-2 is backed-out: broken; waits for its campaign's word that it may back out", "gate"},
			{"and brings the others back", toWave2 + "web-2=backed-out may", "next backout web-1", "gate"},
			{"or holds", toWave2 + "web-2=backed-out maynot", "held: web-2 is backed-out: broken; it is not backed out by itself: others fail too; members that stay patched: 1", "gate hold"},
			{"and a resume tries the member again once the others have settled", toWave2 + "web-2=backed-out maynot resume watch=pass +10m", "next patch web-2", "gate hold"},
		}},
	} {
		t.Run(group.name, func(t *testing.T) {
			for _, row := range group.rows {
				t.Run(row.sentence, func(t *testing.T) {
					c, now := newCluster(3, 2, group.policy), epoch
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
		})
	}
}

// Words may come in any order: what trips after a yes stops it, and what tripped before it does not.
func TestWordsInAnyOrder(t *testing.T) {
	t.Parallel()
	asking := newCluster(3, 2, patient)
	now := epoch
	for _, word := range strings.Fields(toSoak + "watch=fail") {
		asking, now = playCluster(t, asking, word, now)
	}
	for _, row := range []struct {
		sentence string
		words    []Word
		want     Phase
	}{
		{"an answer to another question is none", []Word{{Ask: 2, May: true}}, PhaseAsk},
		{"nor is a yes to no question", []Word{{May: true}}, PhaseAsk},
		{"an older trip does not stop what was granted after it", []Word{{Ask: 1, May: true, Trip: 1}, {Trip: 1, Why: "old"}}, PhaseBackout},
		{"a newer one does", []Word{{Ask: 1, May: true, Trip: 1}, {Trip: 2, Why: "new"}}, PhaseHold},
		{"also when it comes first", []Word{{Trip: 2, Why: "new"}, {Ask: 1, May: true, Trip: 1}}, PhaseHold},
		{"a trip that comes twice stops it once", []Word{{Ask: 1, May: true}, {Trip: 1, Why: "new"}, {Trip: 1, Why: "new"}}, PhaseHold},
	} {
		c := asking
		for _, w := range row.words {
			c = c.Heed(w, now)
		}
		if c.Phase != row.want {
			t.Errorf("%s: in %s, want %s: %+v", row.sentence, c.Phase, row.want, c)
		}
	}
	ended := asking.Heed(Word{Ask: 1, May: true}, now)
	for _, word := range strings.Fields("web-1=backed-out release=ok") {
		ended, now = playCluster(t, ended, word, now)
	}
	if after := ended.Heed(Word{Trip: 1, Why: "new"}, now); fmt.Sprint(after) != fmt.Sprint(ended) {
		t.Errorf("a trip after the end changed %+v to %+v", ended, after)
	}
}

// A question is in each report until it is answered, and a cluster that was refused does not ask again by itself.
func TestReportAsks(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]int{
		toSoak: 0, toSoak + "watch=fail": 1, toSoak + "watch=fail may": 0, toSoak + "watch=fail maynot": 0, toSoak + "watch=fail abort": 1,
		toWave2 + "web-2 watch=fail": 1, toWave2 + "web-2 watch=fail maynot": 0, toSoak + "watch=fail maynot resume watch=fail": 2,
	} {
		c, now := newCluster(3, 2, patient), epoch
		for _, word := range strings.Fields(unroll(path)) {
			c, now = playCluster(t, c, word, now)
		}
		if got := c.Report(); got.Ask != want {
			t.Errorf("after %q it asks %d, want %d", path, got.Ask, want)
		}
		if now.Sub(epoch) > 90*24*time.Hour {
			t.Errorf("%q takes too long", path)
		}
	}
}

// What is offered to a person is what is taken: in each hold of the breaker one word goes on, and none of them is a second one for it.
func TestWordsThatAHoldOfTheBreakerTakes(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{
		toSoak + "watch=fail":                            "backout",
		toSoak + "watch=fail maynot":                     "resume backout",
		toWave2 + "web-2 watch=fail web-2=returned trip": "resume backout",
		toSoak + "watch=fail may trip":                   "resume",
		toSoak + "watch=fail may web-1=returned":         "retry",
	} {
		c, now := newCluster(3, 2, patient), epoch
		for _, word := range strings.Fields(unroll(path)) {
			c, now = playCluster(t, c, word, now)
		}
		if got := strings.Join(c.Open(), " "); got != want {
			t.Errorf("after %q it takes %q, want %q", path, got, want)
		}
	}
}
