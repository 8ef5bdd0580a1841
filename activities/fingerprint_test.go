package activities

import (
	"slices"
	"strings"
	"testing"

	"github.com/rollpatch/rollpatch/inventory/campaign"
	"github.com/rollpatch/rollpatch/workflows/fingerprint"
	"github.com/rollpatch/rollpatch/workflows/plan"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

// asBefore is how web-1 looks in these tests.
const asBefore = "hostname\tweb-1\nlisteners\ttcp/0.0.0.0:80 nginx\tnginx.service\nmounts\t/ ext4\nmounts\t/mnt/hand ext4\ntold\tfailed-units\nusers\troot 0 /bin/sh\nwhole\n"

// seen keeps how web-1 looked before its patch, with what a reboot would take.
func seen(t *testing.T, w *world, in *StepInput) {
	t.Helper()
	p, err := fingerprint.Read(rows([]byte(asBefore)), fingerprint.Stray{Mounts: []string{"/mnt/hand"}}, scene{}.fingerprintRules())
	if err != nil {
		t.Fatal(err)
	}
	in.Print, _ = w.Put(t.Context(), plan.Body(p))
}

func TestCheckComparesWithBefore(t *testing.T) {
	given := func(from, to string, also func(w *world, p *plan.Part)) func(w *world, p *plan.Part, in *StepInput) {
		return func(w *world, p *plan.Part, in *StepInput) {
			seen(t, w, in)
			w.says["fingerprint"] = strings.Replace(asBefore, from, to, 1)
			if also != nil {
				also(w, p)
			}
		}
	}
	rule := func(item string, r campaign.FingerprintRule) func(w *world, p *plan.Part) {
		return func(_ *world, p *plan.Part) {
			p.Policy.Fingerprint = map[string]campaign.FingerprintRule{item: r}
		}
	}
	blames := func(want string) func(t *testing.T, w *world, r StepResult) {
		return func(t *testing.T, _ *world, r StepResult) {
			if r.Blame != want {
				t.Errorf("blames %q, want %q", r.Blame, want)
			}
		}
	}
	const renamed = "its fingerprint is not what it was before its patch: - hostname web-1, + hostname localhost"
	tell(t, "check", (*Activities).Check, []stepRow{
		{"as before", given("", "", nil), rollout.Pass, "1 checks passed 3 times in a row", func(t *testing.T, _ *world, r StepResult) {
			if !r.Differs.IsZero() {
				t.Errorf("differs: %v", r.Differs)
			}
		}},
		{"another name fails, and says which", given("web-1", "localhost", nil), rollout.Fail, renamed, blames(`check "fingerprint hostname"`)},
		{"unless policy warns", given("web-1", "localhost", rule("hostname", campaign.FingerprintRule{Action: campaign.FingerprintWarn})), rollout.Pass,
			"in a row; not as before: - hostname web-1, + hostname localhost", blames("")},
		{"or ignores it", given("web-1", "localhost", rule("hostname", campaign.FingerprintRule{Action: campaign.FingerprintIgnore})), rollout.Pass, "in a row", nil},
		{"what is allowed to come and go does", given("listeners\ttcp/0.0.0.0:80 nginx\tnginx.service\n", "told\tlisteners\n", rule("listeners", campaign.FingerprintRule{Allow: []string{"tcp/*:80 *"}})),
			rollout.Pass, "in a row", nil},
		{"a lost mount fails", given("mounts\t/ ext4\n", "", nil), rollout.Fail, "- mounts / ext4", blames(`check "fingerprint mounts"`)},
		{"one that a reboot takes is not the patch's fault", given("mounts\t/mnt/hand ext4\n", "", nil), rollout.Pass, "in a row", nil},
		{"what does not listen any more fails", given("listeners\ttcp/0.0.0.0:80 nginx\tnginx.service\n", "told\tlisteners\n", nil), rollout.Fail, "- listeners tcp/0.0.0.0:80 nginx", nil},
		{"a unit that newly fails, too", given("told\tfailed-units\n", "failed-units\ta.service\n", nil), rollout.Fail, "+ failed-units a.service", nil},
		{"a new user is a warning", given("users\troot 0 /bin/sh\n", "users\troot 0 /bin/sh\nusers\tx 999 -\n", nil), rollout.Pass, "not as before: + users x 999 -", nil},
		{"what cannot be read is not known", given("", "", func(w *world, _ *plan.Part) { w.cannot["fingerprint"] = errAway }), rollout.Inconclusive, "whether it looks as before its patch is not known", nil},
		{"nor is what was cut off", given("whole\n", "", nil), rollout.Inconclusive, "the last row is missing", nil},
		{"nor what it does not tell any more", given("hostname\tweb-1\n", "", nil), rollout.Inconclusive, "it does not tell its hostname any more", nil},
		{"a check that fails comes first", given("web-1", "localhost", func(w *world, _ *plan.Part) { w.probe = failing("web-1") }), rollout.Fail, "status 500", blames(`check "page"`)},
		{"a member that was not patched is compared with nothing", func(w *world, _ *plan.Part, _ *StepInput) { w.cannot["fingerprint"] = errAway }, rollout.Pass, "in a row", nil},
	})
}

// What a reboot starts may take its time: only the end of the check's time decides.
func TestCheckWaitsForWhatComesBack(t *testing.T) {
	asked := 0
	tell(t, "check", (*Activities).Check, []stepRow{{"a listener that comes late", func(w *world, _ *plan.Part, in *StepInput) {
		seen(t, w, in)
		w.says["fingerprint"] = strings.Replace(asBefore, "listeners\ttcp/0.0.0.0:80 nginx\tnginx.service\n", "told\tlisteners\n", 1)
		w.probe = func(string, string, int) (bool, string, error) {
			if asked++; asked == 6 {
				w.says["fingerprint"] = asBefore
			}
			return true, "", nil
		}
	}, rollout.Pass, "6 times in a row", nil}})
}

func TestInspectKeepsHowItLooks(t *testing.T) {
	patching := func(says string, err error) func(w *world, p *plan.Part, in *StepInput) {
		return func(w *world, _ *plan.Part, in *StepInput) {
			in.Mode, w.says["facts"], w.says["fingerprint"], w.cannot["fingerprint"] = rollout.ModePatch, debian, says, err
			w.says["preflight"] = "mount\t/mnt/hand\t/dev/sdb\tno\n" + healthyHost
		}
	}
	tell(t, "inspect", (*Activities).Inspect, []stepRow{
		{"before its patch", patching(asBefore, nil), rollout.Pass, "2 packages", func(t *testing.T, w *world, r StepResult) {
			body := string(w.bodies[r.Print])
			if !strings.Contains(body, `"hostname":["web-1"]`) || !strings.Contains(body, `"strays":{"mounts":["/mnt/hand ext4"]}`) {
				t.Errorf("kept %q", body)
			}
		}},
		{"what it does not tell is said", patching(strings.ReplaceAll(asBefore, "mounts\t", "other\t"), nil), rollout.Pass, "not compared later, since it does not tell them: default-route, machine-id, mounts", nil},
		{"what cannot be read is not known", patching(asBefore, errAway), rollout.Inconclusive, "away", nil},
		{"right before a way back it is kept anew", func(w *world, p *plan.Part, in *StepInput) {
			patching(asBefore, nil)(w, p, in)
			in.Mode = rollout.ModeBackout
		}, rollout.Pass, "2 packages", func(t *testing.T, w *world, r StepResult) {
			if body := string(w.bodies[r.Print]); !strings.Contains(body, `"strays":{"mounts":["/mnt/hand ext4"]}`) {
				t.Errorf("kept %q", body)
			}
		}},
		{"where that cannot be read, what is known of before its patch has to do", func(w *world, p *plan.Part, in *StepInput) {
			patching(asBefore, errAway)(w, p, in)
			in.Mode = rollout.ModeBackout
		}, rollout.Pass, "2 packages", func(t *testing.T, _ *world, r StepResult) {
			if r.Print != "" {
				t.Errorf("kept %s", r.Print)
			}
		}},
	})
}

// The file that names items knows every one that is compared, and no other.
func TestFingerprintItemsAreThoseThatThereAre(t *testing.T) {
	var got []string
	for item := range (campaign.Policy{}).FingerprintRules() {
		got = append(got, item)
	}
	slices.Sort(got)
	if want := fingerprint.Items(); !slices.Equal(got, want) {
		t.Errorf("the campaign file knows %q, and there are %q", got, want)
	}
}
