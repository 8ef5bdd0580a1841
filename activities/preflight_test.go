package activities

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollpatch/rollpatch/inventory"
	"github.com/rollpatch/rollpatch/workflows/plan"
	"github.com/rollpatch/rollpatch/workflows/preflight"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

// healthyHost says that nothing stands against patching it; its clock is that of these tests.
const healthyHost = "disk\t/\t9000000\t500000\t650000\trw\nkernel\t6.1\t-\t-\nclock\t946684800\tyes\n"

const fullHost = "disk\t/\t100\t500000\t650000\trw\nkernel\t6.1\t-\t-\nclock\t946684800\tyes\n"

// The file that names what may be accepted knows every check, and no other.
func TestChecksThatCanBeAcceptedAreThoseThatThereAre(t *testing.T) {
	if got, want := inventory.Preflight("").Values(), preflight.Checks(); !slices.Equal(got, want) {
		t.Errorf("the inventory knows the checks %q, and there are %q", got, want)
	}
}

// accepting is a part whose inventory accepts findings of web-1 until a day.
func accepting(p *plan.Part, check inventory.Preflight, until string) {
	p.Accept = append(p.Accept, inventory.Accept{Check: check, Host: "web-1", Reason: "known since May", Until: until})
}

func TestInspectLooksBeforeItsDrain(t *testing.T) {
	given := func(says string, also func(w *world, p *plan.Part, in *StepInput)) func(w *world, p *plan.Part, in *StepInput) {
		return func(w *world, p *plan.Part, in *StepInput) {
			w.says["facts"], w.says["preflight"], in.Mode = debian, says, rollout.ModePatch
			if also != nil {
				also(w, p, in)
			}
		}
	}
	backup := &inventory.Backup{File: "/srv/backup/*.gz", MaxAge: inventory.Duration(26 * time.Hour)}
	tell(t, "inspect", (*Activities).Inspect, []stepRow{
		{"a healthy host goes on", given(healthyHost, nil), rollout.Pass, "2 packages", nil},
		{"a severe finding refuses it, and says what to do", given(fullHost, nil), rollout.Fail, "preflight: / has 1 MiB free, and 16 MiB is needed: no transaction can do with less: make room there", nil},
		{"what only check counts does not", given("failed\tbackup.service\n"+healthyHost, nil), rollout.Pass, "2 packages", nil},
		{"nor does what somebody accepts", given(fullHost, func(_ *world, p *plan.Part, _ *StepInput) { accepting(p, "space", "2000-01-01") }), rollout.Pass, "2 packages",
			func(t *testing.T, _ *world, r StepResult) {
				if want := []rollout.Accepted{{Check: "space", Reason: "known since May", Until: "2000-01-01"}}; !slices.Equal(r.Accepted, want) {
					t.Errorf("it was accepted as %+v, want %+v", r.Accepted, want)
				}
			}},
		{"what was accepted until yesterday does", given(fullHost, func(_ *world, p *plan.Part, _ *StepInput) { accepting(p, "space", "1999-12-31") }), rollout.Fail, "preflight: / has", nil},
		{"so does what is accepted of another host", given(fullHost, func(_ *world, p *plan.Part, _ *StepInput) {
			p.Accept = []inventory.Accept{{Check: "space", Host: "web-2", Reason: "known", Until: "2001-01-01"}}
		}), rollout.Fail, "preflight: / has", nil},
		{"one that is ours to bring back", given(fullHost, func(w *world, _ *plan.Part, _ *StepInput) {
			w.instances[0].Maintenance = []string{Reason(instance, "web-1")}
		}), rollout.Pass, "2 packages", nil},
		{"and one that is backed out", given(fullHost, func(_ *world, _ *plan.Part, in *StepInput) { in.Mode = rollout.ModeBackout }), rollout.Pass, "2 packages", nil},
		{"a host that says nothing of itself is inconclusive", given(healthyHost, func(w *world, _ *plan.Part, _ *StepInput) { w.cannot["preflight"] = errAway }), rollout.Inconclusive, "away", nil},
		{"so is one that is cut off", given("disk\t/\t100\t500000\t650000\trw\n", nil), rollout.Inconclusive, "the last row is missing", nil},
		{"an old backup refuses it", given("backup\t946500000\n"+healthyHost, func(_ *world, p *plan.Part, _ *StepInput) { p.Cluster.Backup = backup }), rollout.Fail,
			"preflight: its last backup is of 1999-12-29 20:40, 2d ago, and max_age is 26h0m: make one", func(t *testing.T, w *world, _ StepResult) {
				if got := w.given["preflight"]; got["ROLLPATCH_BACKUP_FILE"] != "/srv/backup/*.gz" {
					t.Errorf("the script is given %q", got)
				}
			}},
		{"a fresh one does not", given("backup\t946680000\n"+healthyHost, func(_ *world, p *plan.Part, _ *StepInput) { p.Cluster.Backup = backup }), rollout.Pass, "2 packages", nil},
		{"its other cluster's counts as well, the stricter one", given("backup\t946680000\n"+healthyHost, func(w *world, p *plan.Part, _ *StepInput) {
			sharedHost(w, p)
			p.Cluster.Backup = backup
			p.Others[0].Cluster.Backup = &inventory.Backup{Command: []string{"/usr/bin/last", "a b"}, MaxAge: inventory.Duration(time.Hour)}
		}), rollout.Fail, "max_age is 1h0m", func(t *testing.T, w *world, _ StepResult) {
			if got := w.given["preflight"]; got["ROLLPATCH_BACKUP_COMMAND"] != "/usr/bin/last\na b" {
				t.Errorf("the script is given %q", got)
			}
		}},
	})
}

// looking asks web-1 as rollpatch check does, and names what was found: its check, with an x where it is accepted.
func looking(t *testing.T, given func(h *asked, p *plan.Part)) (plan.Answer, string) {
	t.Helper()
	h, p := newAsked(), webPart()
	h.says["pending"], h.says["facts"] = "", debian
	given(h, &p)
	part, _ := h.Put(t.Context(), plan.Body(p))
	digest, _ := h.Put(t.Context(), plan.Body(plan.Question{Hosts: []plan.Asking{{Host: "web-1", Part: part}}, Check: true}))
	a := h.activities()
	a.Runner = h
	r, err := do(t, nil, a.AskHosts, AskHostsInput{Question: digest})
	if err != nil {
		t.Fatal(err)
	}
	if len(h.runs) > 0 || len(h.entries) > 0 || slices.ContainsFunc(h.log, func(l string) bool { return strings.HasPrefix(l, "take") || strings.HasPrefix(l, "enter") }) {
		t.Errorf("it acts: runs %v, entries %v, %v", h.runs, h.entries, h.log)
	}
	h.proveNoSecret(t, r)
	var answers []plan.Answer
	if err := a.load(t.Context(), r.Answers, &answers); err != nil || len(answers) != 1 {
		t.Fatalf("%+v, %v", answers, err)
	}
	var found []string
	for _, f := range answers[0].Findings {
		if f.Accepted != "" {
			f.Check += " x"
		}
		found = append(found, f.Check)
	}
	return answers[0], strings.Join(found, ", ")
}

func TestLooksAtHosts(t *testing.T) {
	for _, row := range []struct {
		says   string
		given  func(h *asked, p *plan.Part)
		found  string
		what   string // of the first finding
		stands preflight.State
	}{
		{"a healthy host has nothing", func(*asked, *plan.Part) {}, "", "", preflight.Ready},
		{"one that cannot be reached", func(h *asked, _ *plan.Part) { h.errs["facts web-1"] = errAway }, "access", "away", preflight.Blocked},
		{"one that does not answer in time", func(h *asked, _ *plan.Part) { h.takes = time.Hour }, "access", "no answer within 3m0s", preflight.Blocked},
		{"one whose package database is not clean is asked no apt", func(h *asked, _ *plan.Part) {
			h.says["facts"] = strings.Replace(debian, "clean", "dirty", 1)
			h.errs["pending web-1"] = statusError(exitSource)
		}, "packages", "not clean", preflight.Blocked},
		{"one whose package lock is taken", func(h *asked, _ *plan.Part) { h.errs["pending web-1"] = statusError(exitLock) }, "packages", "its package lock is taken: ended with status 11", preflight.Blocked},
		{"one whose repository is away, or not signed", func(h *asked, _ *plan.Part) { h.errs["pending web-1"] = statusError(exitSource) }, "repository", "ended with status 14", preflight.Blocked},
		{"one whose package manager fails", func(h *asked, _ *plan.Part) { h.errs["pending web-1"] = statusError(exitManager) }, "packages", "cannot be told: ended with status 20", preflight.Blocked},
		{"one in quarantine", func(h *asked, _ *plan.Part) {
			h.records["quarantine/web-1"] = Claim{Key: "quarantine/web-1", Owner: "weekly-1", Reason: "the backout failed"}
		}, "quarantine", "by weekly-1: the backout failed", preflight.Blocked},
		{"a Consul that cannot be asked is said once", func(h *asked, _ *plan.Part) {
			h.claims, h.catalog = errAway, func(int) error { return errAway }
		}, "consul", "away", preflight.Blocked},
		{"a catalog that cannot be read", func(h *asked, _ *plan.Part) { h.catalog = func(int) error { return errAway } }, "consul", "away", preflight.Blocked},
		{"a member that nobody is sent to", func(h *asked, _ *plan.Part) { h.instances[0].Status = "critical" }, "in-service", "not in service in web", preflight.Blocked},
		{"one in somebody's maintenance", func(h *asked, _ *plan.Part) { h.instances[0].Maintenance = []string{"ticket 7"} }, "in-service", "ticket 7", preflight.Blocked},
		{"what comes decides how much room is needed", func(h *asked, _ *plan.Part) {
			h.says["preflight"] = "disk\t/var\t20000\t9000\t9000\trw\ninitrd\t90000\ndisk\t/boot\t80000\t9000\t9000\trw\n" + healthyHost
			h.says["pending"] = "new\tlinux-image-6\t-\t2\tDebian:12\tno\t90000000\nreboot\tyes\tlinux-image-6\ta new kernel\n"
		}, "space, space", "for the download", preflight.Blocked},
		{"what somebody accepts is on another list, whoever found it", func(h *asked, p *plan.Part) {
			h.instances[0].Status = "critical"
			h.says["preflight"] = "failed\tbackup.service\nheld\tnginx\t1\n" + healthyHost
			accepting(p, "in-service", "2000-06-30")
			accepting(p, "units", "2000-06-30")
		}, "units x, in-service x, holds", "failed: backup.service", preflight.Accepted},
		{"a script that fails is no host that is fine", func(h *asked, _ *plan.Part) { h.errs["preflight web-1"] = statusError(20) }, "access", "status 20", preflight.Blocked},
	} {
		t.Run(row.says, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, found := looking(t, row.given)
				what := ""
				if len(a.Findings) > 0 {
					what = a.Findings[0].What
				}
				if found != row.found || !strings.Contains(what, row.what) || preflight.Stands(a.Findings) != row.stands || a.Unknown != "" {
					t.Errorf("%s: found %s: %s\n%+v", fmt.Sprint(preflight.Stands(a.Findings)), found, what, a)
				}
			})
		})
	}
}
