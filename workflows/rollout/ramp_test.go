package rollout

import (
	"fmt"
	"strings"
	"testing"
)

func TestSteps(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		sentence string
		ramp     []int
		clusters int
		want     string
	}{
		{"one cluster is one step", []int{1, 5, 25}, 1, "[1]"},
		{"two are two", []int{1, 5, 25}, 2, "[1 1]"},
		{"a step takes what there is", []int{1, 5, 25}, 6, "[1 5]"},
		{"and leaves the rest to the next", []int{1, 5, 25}, 7, "[1 5 1]"},
		{"all that is left makes the last one", []int{1, 5, 25}, 2500, "[1 5 25 2469]"},
		{"without a ramp there is one", nil, 40, "[40]"},
		{"and of nothing none", []int{1}, 0, "[]"},
	} {
		if got := fmt.Sprint(Steps(row.ramp, row.clusters)); got != row.want {
			t.Errorf("%s: Steps(%v, %d) = %s, want %s", row.sentence, row.ramp, row.clusters, got, row.want)
		}
	}
}

func TestRamp(t *testing.T) {
	t.Parallel()
	// Two in staging, then six in production; web and db share a host.
	start := Campaign{
		Instance: "monthly-1", Parallel: 3, Ramp: []int{1, 2}, Stages: []string{"staging", "production"},
		Clusters: []Ref{
			{Name: "lab"}, {Name: "test"}, {Name: "web", Stage: 1, Shares: []string{"db"}}, {Name: "db", Stage: 1, Shares: []string{"web"}}, {Name: "cache", Stage: 1},
			{Name: "mail", Stage: 1}, {Name: "ldap", Stage: 1}, {Name: "mq", Stage: 1},
		},
	}
	const staged = "lab lab=done test test=done "
	for _, row := range []struct {
		sentence string
		path     string // as of TestCampaign; lab+: its canary is back, lab-: it is not any more
		want     string
	}{
		{"the first one goes alone", "", "starts lab"},
		{"and the others wait for its canary", "lab", "waits"},
		{"which is told", "lab lab~roll", "waits"},
		{"and go when it is back", "lab lab+", "starts test"},
		{"or when there was nothing to patch", "lab lab=done", "starts test"},
		{"one that holds with its canary back keeps nobody", "lab lab+ lab+hold", "starts test"},
		{"one whose canary was taken back does", "lab lab+ lab-", "waits"},
		{"what has begun goes on then", "lab lab+ test lab- test=done", "waits"},
		{"a halted one whose canary never came back ends it with the others not begun", "lab lab=halted", "ended halted: not done: lab (halted: because); not begun, because the canary of lab is not back: test"},
		{"a halted one whose canary serves lets the others go", "lab lab+halted", "starts test"},
		{"and the stage is not done", "lab lab+halted test test=done", "ended halted: not done: lab (halted: because)"},
		{"each stage begins anew", staged, "starts web"},
		{"those of a step go together, as far as they may", staged + "web web+", "starts cache"},
		{"and the one that shares a host follows", staged + "web web+ cache web=done", "starts db"},
		{"the rest waits for all of them", staged + "web web+ cache cache+ web=done db", "waits"},
		{"and goes as far as may go at the same time", staged + "web web+ cache cache+ web=done db db+", "starts mail"},
		{"others of its step go on beside one that halted", staged + "web web+ cache cache=halted web=done", "starts db"},
		{"but nothing after them", staged + "web web+ cache cache=halted web=done db db=done", "ended halted: not done: cache (halted: because); not begun, because the canary of cache is not back: mail, ldap, mq"},
		{"one that an emergency took over before its canary was back is left out, and the next takes its place", "lab lab=superseded", "starts test"},
		{"which is awaited as it would have been", staged + "web=superseded db", "waits"},
		{"and when it is back the next step is as long as ever", staged + "web=superseded db db=done cache cache+ mail", "waits"},
		{"the step after it, too", staged + "web=superseded db db=done cache cache=done mail mail+ ldap", "starts mq"},
		{"the stage is not done for all that", "lab lab=superseded test test=done", "ended halted: not done: lab (superseded: because)"},
		{"one that failed before it was taken over counts as failed", "lab lab-superseded", "ended halted: not done: lab (superseded: because); not begun, because the canary of lab is not back: test"},
		{"one whose canary was back has done its part", staged + "web web+superseded", "starts db cache"},
		{"and keeps its place", staged + "web web+superseded db cache", "waits"},
		{"a hold keeps the step that is open", "lab lab+ hold", "waits, held: because (jane)"},
	} {
		t.Run(row.sentence, func(t *testing.T) {
			t.Parallel()
			c := start
			for _, word := range strings.Fields(row.path) {
				name, how, back := strings.Cut(word, "+")
				gone := strings.TrimSuffix(word, "-")
				of, failed := strings.CutSuffix(word, "-superseded")
				switch {
				case failed:
					c = c.Reported(Report{Name: of, Phase: PhaseEnded, Outcome: ClusterSuperseded, Reason: "because", Failed: 1}, epoch)
				case back && how == "superseded":
					c = c.Reported(Report{Name: name, Phase: PhaseEnded, Outcome: ClusterSuperseded, Reason: "because", Back: true}, epoch)
				case back && how == "halted":
					c = c.Reported(Report{Name: name, Phase: PhaseEnded, Outcome: ClusterHalted, Reason: "because", Back: true}, epoch)
				case back && how == "hold":
					c = c.Reported(Report{Name: name, Phase: PhaseHold, Back: true}, epoch)
				case back:
					c = c.Reported(Report{Name: name, Phase: PhaseSoak, Back: true}, epoch)
				case gone != word:
					c = c.Reported(Report{Name: gone, Phase: PhaseBackout}, epoch)
				default:
					c = playCampaign(t, c, word)
				}
			}
			if got := standingCampaign(c); got != row.want {
				t.Errorf("after %q\n got %s\nwant %s\nstate %+v", row.path, got, row.want, c)
			}
		})
	}
}

func TestRampIsTold(t *testing.T) {
	t.Parallel()
	c := Campaign{Parallel: 5, Ramp: []int{2}, Stages: []string{"production"}}
	for i := range 12 {
		c.Clusters = append(c.Clusters, Ref{Name: fmt.Sprintf("c%d", i)})
	}
	c = c.Started("c0").Started("c1")
	if got, want := c.Next(epoch).Reason, "stage production: 0 of 12 clusters ended, 2 on their way, 10 not begun until the canaries of c0, c1 are back"; got != want {
		t.Errorf("Reason = %q, want %q", got, want)
	}
	if got, want := c.WaitsFor("c5"), "it begins when the canaries of c0, c1 are back"; got != want {
		t.Errorf("WaitsFor = %q, want %q", got, want)
	}
	c = c.Reported(Report{Name: "c0", Phase: PhaseSoak, Back: true}, epoch)
	if got, want := c.WaitsFor("c5"), "it begins when the canary of c1 is back"; got != want {
		t.Errorf("WaitsFor = %q, want %q", got, want)
	}
	c = c.Reported(Report{Name: "c1", Phase: PhaseSoak, Back: true}, epoch)
	if got := c.WaitsFor("c5") + c.WaitsFor("c0"); got != "" {
		t.Errorf("WaitsFor = %q of clusters that nothing keeps", got)
	}
}

func TestReportTellsThatTheCanaryIsBack(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]bool{
		toWave1: false, toWave1 + "web-1": false, toSoak: true, toSoak + "hold": true, toSoak + "watch=fail": false, toSoak + "watch=fail may": false,
		toSoak + "watch=fail maynot": false, toSoak + "watch=fail maynot resume": true, toSoak + "reject": false, toWave2 + "web-2=backed-out": true,
		toWave1 + "web-1=backed-out": false, toWave1 + "web-1=manifestless": false, toWave1 + "web-1=unchanged": false, toSoak + "abort release=ok": true,
		toWave1 + "web-1=unchanged web-2=unchanged web-3=unchanged": true, toWave1 + "abort release=ok": false,
	} {
		c, now := newCluster(3, 2, patient), epoch
		for _, word := range strings.Fields(unroll(path)) {
			c, now = playCluster(t, c, word, now)
		}
		if got := c.Report().Back; got != want {
			t.Errorf("after %q Back = %t, want %t: %+v", path, got, want, c)
		}
	}
}
