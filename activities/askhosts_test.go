package activities

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollpatch/rollpatch/inventory"
	"github.com/rollpatch/rollpatch/inventory/campaign"
	"github.com/rollpatch/rollpatch/workflows/advisory"
	"github.com/rollpatch/rollpatch/workflows/calendar"
	"github.com/rollpatch/rollpatch/workflows/plan"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

// asked are hosts that answer each for itself.
type asked struct {
	*world
	mu     sync.Mutex
	takes  time.Duration
	errs   map[string]error // "script host"
	envs   map[string]map[string]string
	at     int
	most   int
	starts int
}

func (h *asked) Query(ctx context.Context, t Target, script []byte, env map[string]string) ([]byte, error) {
	key := string(script) + " " + t.Host
	h.mu.Lock()
	h.envs[key] = env
	h.starts++
	h.at++
	h.most = max(h.most, h.at)
	h.mu.Unlock()
	defer func() { h.mu.Lock(); h.at--; h.mu.Unlock() }()
	if err := wait(ctx, h.takes); err != nil {
		return nil, err
	}
	if err := h.errs[key]; err != nil {
		return nil, err
	}
	return []byte(h.says[string(script)]), nil
}

// pendingTable is what the script says: of everything something.
const pendingTable = "upgrade\topenssl\t1.0\t1.1\tDebian-Security:12/stable-security\tyes\t2000\n" +
	"upgrade\tnginx\t1\t2\tDebian:12/stable\tno\t100\n" +
	"new\tlibnew\t-\t2.0\tDebian:12/stable\tno\t50\n" +
	"remove\tlibold\t1.0\t-\n" +
	"phased\tnginx\t2\t20\nphased\topenssl\t1.1\t30\n" +
	"reboot\tlikely\topenssl\tif a process has it open\nreboot\tyes\tlinux-image-6\ta new kernel\n" +
	"left\tbad\t1\t2\nheld\ttzdata\t2025\n"

func askBatch(t *testing.T, h *asked, p plan.Part, hosts ...string) (AskHostsResult, []plan.Answer, error) {
	t.Helper()
	return askOf(t, h, p, plan.Question{}, hosts...)
}

func askOf(t *testing.T, h *asked, p plan.Part, q plan.Question, hosts ...string) (AskHostsResult, []plan.Answer, error) {
	t.Helper()
	part, _ := h.Put(t.Context(), plan.Body(p))
	for _, name := range hosts {
		q.Hosts = append(q.Hosts, plan.Asking{Host: name, Part: part})
	}
	digest, _ := h.Put(t.Context(), plan.Body(q))
	a := h.activities()
	a.Runner = h
	r, err := do(t, h.stop, a.AskHosts, AskHostsInput{Question: digest})
	var answers []plan.Answer
	if err == nil {
		if err := json.Unmarshal(h.bodies[r.Answers], &answers); err != nil {
			t.Fatal(err)
		}
	}
	return r, answers, err
}

func newAsked() *asked {
	h := &asked{world: newWorld(), errs: map[string]error{}, envs: map[string]map[string]string{}}
	h.says["facts"] = debian + "reboot_pending\t1\n"
	h.says["pending"] = pendingTable
	h.says["fetch"] = "change\topenssl\t1.0\t1.1\nchange\tlibnew\t-\t2.0\n"
	return h
}

func TestAskHosts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, p := newAsked(), webPart()
		p.Packages = campaign.Packages{Include: []string{"open*", "bad"}}
		r, answers, err := askBatch(t, h, p, "web-1", "web-2")
		if err != nil || r.Asked != 2 || r.Unknown != 0 || len(answers) != 2 {
			t.Fatalf("%+v, %d answers, %v", r, len(answers), err)
		}
		want := plan.Answer{
			Host: "web-1", OS: "debian", Release: "12", Arch: "amd64", Kernel: "6.1", Pending: true,
			Packages: []plan.Package{
				{Name: "libnew", New: "2.0", Origin: "Debian:12/stable", Security: "no", Size: 50},
				{Name: "openssl", Old: "1.0", New: "1.1", Origin: "Debian-Security:12/stable-security", Security: "yes", Size: 2000},
			},
			Alone: []string{"nginx 2"}, Held: []string{"tzdata 2025"}, Phased: []string{"openssl 1.1 (30 %)"}, LeftOut: []string{"bad 2"},
			Reboot: []plan.Sign{{Package: "openssl", Why: "if a process has it open"}},
		}
		file := calendar.Measure(p.Estimate())
		want.Estimate = &file
		if !reflect.DeepEqual(answers[0], want) {
			t.Errorf("answer\n%+v, want\n%+v", answers[0], want)
		}
		if got := h.envs["fetch web-1"]; got["ROLLPATCH_WANT"] != "openssl\t1.1\n" || got["ROLLPATCH_SIMULATE"] == "" || got["ROLLPATCH_LEDGER"] != "" {
			t.Errorf("fetch is given %q: want only a simulation of what the campaign wants", got)
		}
		if len(h.runs) > 0 || len(h.entries) > 0 {
			t.Errorf("it acts: runs %v, entries %v", h.runs, h.entries)
		}
		h.proveNoSecret(t, r)
		h.proveNoSecret(t, answers)
	})
}

// Only an emergency asks what is installed, and says whether it has what is named.
func TestAskHostsWhetherTheyHaveWhatAnEmergencyNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, urgent := range []bool{true, false} {
			h, p := newAsked(), webPart()
			p.Emergency, p.Packages = urgent, campaign.Packages{Include: []string{"open*", "tzdate"}}
			if urgent {
				h.says["pending"] += "installed\topenssl\topenssl\t1.0\ninstalled\ttzdata\ttzdata\t2025a\n"
			}
			_, answers, err := askBatch(t, h, p, "web-1")
			if err != nil {
				t.Fatal(err)
			}
			var want []plan.Named
			if urgent {
				want = []plan.Named{{Name: "open*", Here: true}, {Name: "tzdate", Near: "tzdata"}}
			}
			if !reflect.DeepEqual(answers[0].Named, want) {
				t.Errorf("an emergency: %t; it says %+v, want %+v", urgent, answers[0].Named, want)
			}
			if got := h.envs["pending web-1"]["ROLLPATCH_INSTALLED"]; (got != "") != urgent {
				t.Errorf("an emergency: %t; pending is given %q", urgent, got)
			}
			if got := h.envs["fetch web-1"]["ROLLPATCH_INSTALLED"]; got != "" {
				t.Errorf("fetch is given %q", got)
			}
		}
	})
}

// What an advisory is about is found by its source package, and what is below its fix is wanted, whatever it is called.
func TestAskHostsWhatAdvisoriesMeanForThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, p := newAsked(), webPart()
		p.Emergency, p.Packages = true, campaign.Packages{Include: []string{"DSA-1", "tzdate"}}
		h.says["pending"] += "installed\topenssl\tssl-source\t1.0-1\ninstalled\tnginx\tnginx\t1\ninstalled\ttzdata\ttzdata\t2025\ninstalled\tbad\tbad\t1\n" +
			"offered\topenssl\t1.1\tssl-source\t1.1-1\noffered\tnginx\t2\tnginx\t2\n"
		fix := func(source, fixed string) advisory.Fix {
			return advisory.Fix{Release: "Debian:12", Source: source, Fixed: fixed}
		}
		_, answers, err := askOf(t, h, p, plan.Question{Advisories: []advisory.Advisory{{ID: "DSA-1", Fixes: []advisory.Fix{fix("ssl-source", "1.1-1"), fix("tzdata", "2026"), fix("bad", "2")}}}}, "web-1")
		if err != nil {
			t.Fatal(err)
		}
		about := func(name, source, have, fixed, offered, kept, state string) advisory.Affected {
			return advisory.Affected{Advisory: "DSA-1", Package: name, Release: "Debian:12", Source: source, Have: have, Fixed: fixed, Offered: offered, Kept: kept, State: state}
		}
		want := &advisory.Told{Affected: []advisory.Affected{
			about("openssl", "ssl-source", "1.0-1", "1.1-1", "1.1-1", "", advisory.Pending),
			about("tzdata", "tzdata", "2025", "2026", "", "it is held there: apt-mark unhold tzdata", advisory.Lacking),
			about("bad", "bad", "1", "2", "", "version 2 is in quarantine: rollpatch quarantine list", advisory.Lacking),
		}}
		if !reflect.DeepEqual(answers[0].Advised, want) {
			t.Errorf("it says\n%+v, want\n%+v", answers[0].Advised, want)
		}
		if got := h.envs["fetch web-1"]["ROLLPATCH_WANT"]; got != "openssl\t1.1\n" {
			t.Errorf("fetch is given %q: want what is below its fix, and nothing else", got)
		}
		if want := []plan.Named{{Name: "tzdate", Near: "tzdata"}}; !reflect.DeepEqual(answers[0].Named, want) {
			t.Errorf("of what was named beside it, it says %+v, want %+v", answers[0].Named, want)
		}
	})
}

// What a host answers is what its fetch would do: security updates only where the campaign asks for these, and nothing where nobody can tell them.
func TestAskHostsForSecurityUpdatesOnly(t *testing.T) {
	const untold = "packages.security: no repository says whether these are security updates: docker 2 (from Docker CE:bookworm)"
	for _, row := range []struct {
		says, also string
		exclude    []string
		want       string // of fetch; empty: it is not asked
		trouble    string
	}{
		{"only security updates", "", nil, "openssl\t1.1\n", ""},
		{"a repository that does not tell", "upgrade\tdocker\t1\t2\tDocker CE:bookworm\tunknown\t9\n", nil, "", untold},
		{"one whose packages are excluded", "upgrade\tdocker\t1\t2\tDocker CE:bookworm\tunknown\t9\n", []string{"docker"}, "openssl\t1.1\n", ""},
	} {
		t.Run(row.says, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h, p := newAsked(), webPart()
				p.Packages = campaign.Packages{Security: true, Exclude: row.exclude}
				h.says["pending"] += row.also
				_, answers, err := askBatch(t, h, p, "web-1")
				if err != nil {
					t.Fatal(err)
				}
				a := answers[0]
				if got := h.envs["fetch web-1"]["ROLLPATCH_WANT"]; got != row.want {
					t.Errorf("fetch is asked for %q, want %q", got, row.want)
				}
				if !slices.Contains(a.Alone, "nginx 2") {
					t.Errorf("left alone %v, want nginx, which is no security update, among it", a.Alone)
				}
				if got := strings.Join(a.Trouble, "; "); !strings.HasPrefix(got, row.trouble) || (got == "") != (row.trouble == "") {
					t.Errorf("trouble %q, want %q", got, row.trouble)
				}
				if (a.Untold == "") != (row.trouble == "") {
					t.Errorf("untold %q, trouble %q", a.Untold, row.trouble)
				}
				if (len(a.Packages) == 0) != (row.want == "") {
					t.Errorf("packages %+v, although fetch is asked for %q", a.Packages, row.want)
				}
			})
		})
	}
}

func TestAskHostsThatAreInTrouble(t *testing.T) {
	for _, row := range []struct {
		says  string
		given func(h *asked)
		want  func(a plan.Answer) string // what is said
		text  string
		known bool
	}{
		{"one that cannot be reached is unknown", func(h *asked) { h.errs["facts web-1"] = errAway }, func(a plan.Answer) string { return a.Unknown }, "away", false},
		{"one whose repository is away is unknown", func(h *asked) { h.errs["pending web-1"] = statusError(14) }, func(a plan.Answer) string { return a.Unknown }, "status 14", false},
		{"one that does not answer in time is unknown", func(h *asked) { h.takes = time.Hour }, func(a plan.Answer) string { return a.Unknown }, "no answer within 3m0s", false},
		{"one whose package database is not clean is asked nothing more", func(h *asked) {
			h.says["facts"] = strings.Replace(debian, "dpkg\tclean", "dpkg\tdirty", 1)
			h.errs["pending web-1"] = errAway
		}, func(a plan.Answer) string { return strings.Join(a.Trouble, "; ") }, "its package database is not clean", true},
		{"one whose transaction cannot be worked out says why", func(h *asked) { h.errs["fetch web-1"] = statusError(12) }, func(a plan.Answer) string { return strings.Join(a.Trouble, "; ") }, "its transaction cannot be worked out: ended with status 12", true},
		{"a removal is said", func(h *asked) { h.says["fetch"] = "change\topenssl\t1.0\t1.1\nchange\tlibold\t1.0\t-\n" }, func(a plan.Answer) string { return strings.Join(a.Trouble, "; ") }, "the transaction would remove libold 1.0: it is refused", true},
		{"so is its quarantine", func(h *asked) {
			h.records["quarantine/web-1"] = Claim{Key: "quarantine/web-1", Owner: "weekly-1", Reason: "the backout failed"}
			h.records["quarantine/web-11"] = Claim{Key: "quarantine/web-11", Owner: "weekly-2"}
		}, func(a plan.Answer) string { return strings.Join(a.Trouble, "; ") }, "it is in quarantine since 0001-01-01 00:00 by weekly-1: the backout failed", true},
		{"a Consul that cannot be asked leaves the rest known", func(h *asked) { h.claims = errAway }, func(a plan.Answer) string { return strings.Join(a.Trouble, "; ") }, "Consul could not be asked whether it, or versions, are in quarantine", true},
		{"nothing pending is no transaction", func(h *asked) { h.says["pending"], h.errs["fetch web-1"] = "", errAway }, func(a plan.Answer) string { return fmt.Sprint(len(a.Packages), a.Trouble) }, "0 []", true},
	} {
		t.Run(row.says, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newAsked()
				row.given(h)
				r, answers, err := askBatch(t, h, webPart(), "web-1")
				if err != nil || len(answers) != 1 {
					t.Fatalf("%+v, %v, %v", r, answers, err)
				}
				if got := row.want(answers[0]); !strings.Contains(got, row.text) || (answers[0].Unknown == "") != row.known || r.Unknown != len(answers)-b2i(row.known) {
					t.Errorf("it says %q, want %q in it; %+v of %+v", got, row.text, r, answers[0])
				}
			})
		})
	}
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// Versions in quarantine are left out of what is asked for, and their records are read once for all.
func TestAskHostsLeavesOutWhatIsInQuarantine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newAsked()
		bad := Change{Name: "openssl", New: "1.1"}
		h.records["versions/web/1"] = Claim{Key: "versions/web/1", Owner: "weekly-1", Suspects: &Suspects{Cluster: "web", Versions: []Change{bad}}}
		if _, _, err := askBatch(t, h, webPart(), "web-1", "web-2", "web-3"); err != nil {
			t.Fatal(err)
		}
		for _, host := range []string{"web-1", "web-3"} {
			if got := h.envs["pending "+host]["ROLLPATCH_LEAVE_OUT"]; got != "openssl\t1.1\n" {
				t.Errorf("%s is asked to leave out %q", host, got)
			}
		}
		if len(h.accesses) != 3 {
			t.Errorf("Consul is asked %d times for three hosts, want once for all records of claims, and once for each of two of how long members took", len(h.accesses))
		}
	})
}

// Many hosts are asked side by side, and not all at once.
func TestAskHostsIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, p := newAsked(), webPart()
		h.takes = time.Second
		var names []string
		for i := range 25 {
			name := fmt.Sprintf("web-%d", i+1)
			names = append(names, name)
			if i >= 3 {
				p.Hosts = append(p.Hosts, inventory.Host{Name: name, Address: fmt.Sprintf("10.0.1.%d", i), Access: p.Hosts[0].Access})
			}
		}
		began := time.Now()
		_, answers, err := askBatch(t, h, p, names...)
		if err != nil || len(answers) != 25 || answers[24].Host != "web-25" {
			t.Fatalf("%d answers, %v", len(answers), err)
		}
		if h.most != askedAtOnce {
			t.Errorf("%d hosts were asked at the same time, want %d", h.most, askedAtOnce)
		}
		// Four questions each: which system, facts, pending, fetch.
		if took := time.Since(began); took > 20*time.Second {
			t.Errorf("25 hosts took %s", took)
		}
	})
}

func TestAskHostsThatIsCutShortBlamesNoHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newAsked()
		h.takes, h.stop = time.Minute, make(chan struct{})
		time.AfterFunc(10*time.Second, func() { close(h.stop) })
		if _, _, err := askBatch(t, h, webPart(), "web-1"); err == nil || !strings.Contains(err.Error(), "the worker that asked it was too slow, or was told to stop") {
			t.Errorf("it says %v", err)
		}
	})
}

func TestAskHostsWithoutAQuestion(t *testing.T) {
	a := newAsked().activities()
	if _, err := do(t, nil, a.AskHosts, AskHostsInput{Question: "sha256:none"}); err == nil {
		t.Error("a question that is not there is answered")
	}
}

func TestFetchHoldsToThePlan(t *testing.T) {
	planned := func(versions ...string) *plan.Planned {
		on := plan.Platform{OS: "debian", Release: "12", Arch: "amd64"}
		for i := 0; i < len(versions); i += 2 {
			on.Packages = append(on.Packages, plan.Version{Name: versions[i], Version: versions[i+1]})
		}
		return &plan.Planned{Platforms: []plan.Platform{on}}
	}
	given := func(p *plan.Planned, manifest bool) func(w *world, part *plan.Part, in *StepInput) {
		return func(w *world, part *plan.Part, in *StepInput) {
			w.says["facts"], w.says["pending"] = debian, "upgrade\topenssl\t1.0\t1.1\td\tyes\t9\nupgrade\tnginx\t1\t2\td\tno\t9\n"
			w.stdout = "change\topenssl\t1.0\t1.1\nchange\tlibnew\t-\t2.0\nback\topenssl\t1.0\tabc\n"
			part.Planned = p
			if manifest {
				in.Manifest, _ = w.Put(context.Background(), plan.Body(Manifest{OS: "debian", Release: "12", Arch: "amd64", Changes: []Change{{"libnew", "", "2.0"}, {"openssl", "1.0", "1.1"}}}))
			}
		}
	}
	wants := func(widens bool, want string) func(*testing.T, *world, StepResult) {
		return func(t *testing.T, w *world, r StepResult) {
			if r.Widens != widens {
				t.Errorf("widens %t, want %t", r.Widens, widens)
			}
			if len(w.runs) != 1 || w.runs[0].Env["ROLLPATCH_WANT"] != want {
				t.Errorf("runs %+v, want %q wanted", w.runs, want)
			}
			if widens && (r.Changes != "" || r.Manifest != "" || r.Blame != "") {
				t.Errorf("%+v: nothing may come of it, and nothing is to blame", r)
			}
		}
	}
	tell(t, "fetch", (*Activities).Fetch, []stepRow{
		{"what was planned goes on, and what came since is left alone", given(planned("libnew", "2.0", "openssl", "1.1"), false), rollout.Pass, "2 packages fetched, every former version secured, 1 pending ones are not in the plan and are left alone",
			wants(false, "openssl\t1.1\n")},
		{"another version is no difference, and is told", given(planned("libnew", "2.0", "openssl", "1.0.9", "nginx", "2"), false), rollout.Pass, "in another version than planned: openssl 1.1 in place of 1.0.9, 1 planned ones are not pending here",
			func(t *testing.T, w *world, r StepResult) {
				wants(false, "openssl\t1.1\nnginx\t2\n")(t, w, r)
				if r.Newer != "in another version than planned: openssl 1.1 in place of 1.0.9" {
					t.Errorf("its member is told %q", r.Newer)
				}
			}},
		{"a dependency that nobody planned is refused before the drain", given(planned("openssl", "1.1"), false), rollout.Fail, "widens: it would bring libnew 2.0; the plan that was approved does not hold that: make another (rollpatch plan CAMPAIGN.yaml --save FILE)",
			wants(true, "openssl\t1.1\n")},
		{"so is a platform that nobody answered on", given(&plan.Planned{}, false), rollout.Fail, "widens: its platform debian 12 amd64 is not in the plan", wants(true, "openssl\t1.1\nnginx\t2\n")},
		{"a plan that asked nobody compares nothing", given(nil, false), rollout.Pass, "2 packages fetched, every former version secured", wants(false, "openssl\t1.1\nnginx\t2\n")},
		{"a peer gets what soaked", given(planned("openssl", "1.1"), true), rollout.Pass, "2 packages fetched", wants(false, "+libnew\t2.0\nopenssl\t1.1\n")},
		{"what was planned and is not pending any more is nothing to do", func(w *world, p *plan.Part, in *StepInput) {
			given(planned("tzdata", "2"), false)(w, p, in)
		}, rollout.Pass, "nothing to do, 2 pending ones are not in the plan and are left alone", func(t *testing.T, w *world, r StepResult) {
			if !r.Nothing || len(w.runs) > 0 {
				t.Errorf("%+v, runs %v", r, w.runs)
			}
		}},
	})
}

// What of pending the campaign does not want is no part of the transaction, whatever else comes.
func TestReadPending(t *testing.T) {
	var a plan.Answer
	p := readPending(rows([]byte(pendingTable+"upgrade\tshort\t1\t2\n")), func(row []string) bool { return row[1] != "nginx" }, &a)
	if p.want != "openssl\t1.1\n" || !slices.Equal(a.Alone, []string{"nginx 2"}) {
		t.Errorf("wanted %q, left alone %v; want openssl, and nginx alone; a row that is too short is not read", p.want, a.Alone)
	}
}
