package rollout

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"
)

// newCampaign has three clusters in staging and two in production; cache and queue share a host.
func newCampaign() Campaign {
	return Campaign{
		Instance: "monthly-1", Name: "monthly", Parallel: 2, Stages: []string{"staging", "production"},
		Clusters: []Ref{
			{Name: "web"}, {Name: "cache", Shares: []string{"queue"}}, {Name: "queue", Shares: []string{"cache"}},
			{Name: "db", Stage: 1}, {Name: "mail", Stage: 1},
		},
	}
}

func TestCampaign(t *testing.T) {
	t.Parallel()
	const staged = "web cache web=done cache=done queue queue=done "
	for _, row := range []struct {
		sentence string
		path     string // cluster: its workflow starts; cluster=done: it ends so; cluster~hold: it tells its phase; else a message
		want     string // see standingCampaign
		told     string
	}{
		{"as many clusters as may go at the same time", "", "starts web cache", ""},
		{"and no more", "web cache", "waits", ""},
		{"clusters that share a host go one after the other", "web cache web=done", "waits", ""},
		{"and then the other goes", "web cache cache=done", "starts queue", ""},
		{"a shared host is free when its cluster ended, however", "web cache cache=halted", "starts queue", ""},
		{"a stage begins when the one before is done", staged, "starts db mail", ""},
		{"and not before", "web cache web=done cache=done queue", "waits", ""},
		{"all done is done", staged + "db mail db=done mail=done", "ended done", "done"},
		{"a cluster that halted lets those of its stage go on", "web cache web=halted cache=done", "starts queue", ""},
		{"and stops the next stage", "web cache web=halted cache=done queue queue=done", "ended halted: not done: web (halted: because)", "halted"},
		{"so does one that was aborted", "web cache web=aborted cache=done queue queue=done", "ended halted: not done: web (aborted: because)", "halted"},
		{"a report that comes twice changes nothing", "web cache web=done web=done", "waits", ""},
		{"a late one after the end changes nothing", "web cache web=done web~soak web=halted cache=done queue queue=done", "starts db mail", ""},
		{"a report of a cluster that is not ours changes nothing", "web cache other=halted", "waits", ""},
		{"a hold starts no other cluster", "web hold", "waits, held: because (jane)", ""},
		{"and those on their way may end", "web hold web=done", "waits, held: because (jane), nothing moves without a person", ""},
		{"a resume goes on", "web hold resume", "starts cache", ""},
		{"a hold of every cluster needs a person", "web cache web~hold cache~hold", "waits, nothing moves without a person", ""},
		{"a hold of one does not stop another", "web cache web~hold", "waits", ""},
		{"nor the start of another", "web web~hold", "starts cache", ""},
		{"a resumed one is held no more", "web cache web~hold cache~hold web~roll", "waits", ""},
		{"an abort before anything began ends it", "abort", "ended aborted: aborted by jane (claimed): because", "halted"},
		{"an abort starts nothing new, and waits for what is on its way", "web cache abort web=aborted", "waits, aborted by jane (claimed): because", ""},
		{"and then it is over", "web cache abort web=aborted cache=done", "ended aborted: aborted by jane (claimed): because", "halted"},
		{"an abort ends a hold", "web hold web=done abort", "ended aborted: aborted by jane (claimed): because", "halted"},
		{"an abort twice is once", "web abort abort web=aborted", "ended aborted: aborted by jane (claimed): because", "halted"},
		{"a backout starts nothing new, and waits for what is on its way", "web cache backout web=halted", "waits, backed out by jane (claimed): because", ""},
		{"and then it is halted, whatever the clusters came to", "web cache backout web=halted cache=aborted", "ended halted: backed out by jane (claimed): because", "halted"},
		{"a hold does not hold it", "web hold backout web=halted", "ended halted: backed out by jane (claimed): because", "halted"},
		{"what was done before stays done", "web cache web=done backout cache=halted", "ended halted: backed out by jane (claimed): because", "halted"},
		{"an abort later gives up on what it can", "web backout abort web=aborted", "ended halted: backed out by jane (claimed): because", "halted"},
		{"one before anything began is refused", "refused:backout", "starts web cache", ""},
		{"and a second one", "web cache backout refused:backout", "waits, backed out by jane (claimed): because", ""},
		{"and one after the end", staged + "db mail db=done mail=done refused:backout", "ended done", "done"},
		{"an abort after the end changes nothing", staged + "db mail db=done mail=done abort", "ended done", "done"},
	} {
		t.Run(row.sentence, func(t *testing.T) {
			t.Parallel()
			c := newCampaign()
			for _, word := range strings.Fields(row.path) {
				c = playCampaign(t, c, word)
			}
			if got := standingCampaign(c); got != row.want {
				t.Errorf("after %q\n got %s\nwant %s\nstate %+v", row.path, got, row.want, c)
			}
			if got := events(c.Outbox); got != row.told {
				t.Errorf("after %q people were told %q, want %q", row.path, got, row.told)
			}
		})
	}
}

func playCampaign(t *testing.T, c Campaign, word string) Campaign {
	t.Helper()
	if name, outcome, ok := strings.Cut(word, "="); ok {
		return c.Reported(Report{Name: name, Phase: PhaseEnded, Outcome: ClusterOutcome(outcome), Reason: "because", Done: 3, Total: 3}, epoch)
	}
	if name, phase, ok := strings.Cut(word, "~"); ok {
		return c.Reported(Report{Name: name, Phase: Phase(phase), Total: 3}, epoch)
	}
	switch word {
	case "hold":
		return c.Hold(jane)
	case "resume":
		return c.Resume()
	case "abort":
		return c.Abort(jane, epoch)
	case "backout":
		if err := c.MayBackout(jane); err != nil {
			t.Fatal(err)
		}
		return c.Backout(jane)
	case "refused:backout":
		if c.MayBackout(jane) == nil || fmt.Sprint(c.Backout(jane)) != fmt.Sprint(c) {
			t.Fatalf("a backout was taken by %+v", c)
		}
		return c
	}
	for _, a := range c.Next(epoch).Start {
		if a.Do == DoCluster && a.Name == word {
			return c.Started(word)
		}
	}
	t.Fatalf("the row starts %s, but the campaign %s", word, standingCampaign(c))
	return c
}

// standingCampaign says where a campaign is, in words.
func standingCampaign(c Campaign) string {
	d := c.Next(epoch)
	if c.Outcome != "" {
		return "ended " + d.Reason
	}
	var starts []string
	for _, a := range d.Start {
		starts = append(starts, a.Name)
	}
	if len(starts) > 0 {
		return "starts " + strings.Join(starts, " ")
	}
	s := "waits"
	if _, why, ok := strings.Cut(d.Reason, "; "); ok {
		s += ", " + why
	}
	if c.Held() {
		s += ", nothing moves without a person"
	}
	return s
}

func TestCampaignSaysHowFarItIs(t *testing.T) {
	t.Parallel()
	c := newCampaign()
	for _, word := range strings.Fields("web cache web=done cache~hold") {
		c = playCampaign(t, c, word)
	}
	if got, want := c.Next(epoch).Reason, "stage staging: 1 of 5 clusters ended, 1 on its way, 1 held"; got != want {
		t.Errorf("Reason = %q, want %q", got, want)
	}
	one := Campaign{Stages: []string{"production"}, Clusters: []Ref{{Name: "web"}}}
	if got, want := one.Next(epoch).Reason, "stage production: 0 of 1 cluster ended, 0 on their way"; got != want {
		t.Errorf("Reason = %q, want %q", got, want)
	}
	c = c.Confirmed("cache", "run-7")
	if got := c.Clusters[1]; got.RunID != "run-7" || got.Phase != PhaseHold || got.Total != 3 {
		t.Errorf("cluster = %+v", got)
	}
}

func TestReportTellsWhatAClusterWaitsFor(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		sentence string
		path     string
		want     string
	}{
		{"a claim that another has", "claim=held", "claim: monthly-0 has it, 0 of 3"},
		{"a member on its way", "claim=ok web-1", "roll: , 0 of 3"},
		{"a soak", toSoak, "soak: , 1 of 3"},
		{"an operator's hold", toWave1 + "hold", "hold: because (jane), 0 of 3"},
		{"an operator's hold that is not in effect yet", toWave1 + "web-1 hold", "roll: , 0 of 3"},
		{"a hold after a failure", toWave1 + "web-1=backed-out", "hold: web-1 is backed-out: broken, 1 of 3"},
		{"an end", toSoak + "abort release=ok", "ended: aborted by jane: because; members that stay patched: 1, 1 of 3"},
	} {
		c, now := newCluster(3, 2, patient), epoch
		for _, word := range strings.Fields(row.path) {
			c, now = playCluster(t, c, word, now)
		}
		r := c.Report()
		if got := fmt.Sprintf("%s: %s, %d of %d", r.Phase, r.Reason, r.Done, r.Total); got != row.want {
			t.Errorf("%s: Report = %s, want %s", row.sentence, got, row.want)
		}
	}
}

func TestReportIsShortAndWhole(t *testing.T) {
	t.Parallel()
	c := newCluster(3, 2, patient)
	c.Phase, c.HoldFor = PhaseHold, "x"+strings.Repeat("é", 400)
	r := c.Report()
	if len(r.Reason) > 300 || !utf8.ValidString(r.Reason) || !strings.HasPrefix(c.HoldFor, strings.TrimSuffix(r.Reason, " ...")) || !strings.HasSuffix(r.Reason, " ...") {
		t.Errorf("Reason has %d bytes, valid %t", len(r.Reason), utf8.ValidString(r.Reason))
	}
}

func TestBriefEndsWhereAClauseDoes(t *testing.T) {
	long := strings.Repeat("x", 180)
	for _, row := range []struct{ reason, want string }{
		{"short: rollpatch status monthly", "short: rollpatch status monthly"},
		{"/ is full: make room (journalctl --vacuum-size=100M); " + long + "; " + long, "/ is full: make room (journalctl --vacuum-size=100M); " + long + " ..."},
		{"web-1: " + long + ": make room there with journalctl --vacuum-size=100M or something else of that kind, which is long enough to be cut, see?", "web-1: " + long + " ..."},
		{strings.Repeat("word ", 80), strings.TrimSuffix(strings.Repeat("word ", 59), " ") + " ..."},
		{strings.Repeat("ä", 200), strings.Repeat("ä", 148) + " ..."},
	} {
		if got := brief(row.reason); got != row.want || len(got) > 300 {
			t.Errorf("%.20q...: %q (%d), want %q", row.reason, got, len(got), row.want)
		}
	}
}
