package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rollpatch/rollpatch/cmd/internal/status"
	"github.com/rollpatch/rollpatch/workflows"
	"github.com/rollpatch/rollpatch/workflows/approval"
)

// standingDesk is a server with the schedule monthly and two standing approvals, one of which ends in a week; the other was withdrawn.
func standingDesk(t *testing.T) *at {
	now := sceneStart.Add(30 * time.Hour)
	st := workflows.StandingState{Schedule: "monthly"}
	for i, lasts := range []time.Duration{7 * 24 * time.Hour, 40 * 24 * time.Hour} {
		s := approval.Standing{
			Schedule: "monthly", Files: "sha256:files", Gates: []string{"start"}, Clusters: []string{"web"}, Packages: []string{"lib*"}, Reason: "our usual night", At: now.Add(-time.Hour), Expires: now.Add(lasts),
			Nonce: []string{"aaaaaaaaaaaaaaaa", "bbbbbbbbbbbbbbbb"}[i],
		}
		st.Given = append(st.Given, workflows.Given{Name: s.Name(), Signed: approval.Signed{Statement: s.Text()}, By: approval.Signer{Names: []string{"bob"}, Key: "SHA256:bob"}, Taken: now, Expires: s.Expires})
	}
	st.Given[1].Withdrawn = &workflows.Withdrawn{By: "ann (claimed)", Reason: "away", At: now}
	raw, err := json.Marshal(st)
	if err != nil {
		t.Fatal(err)
	}
	f := newStage().frame()
	f.Schedules = []scheduled{{Name: "monthly", Plan: "sha256:files"}, {Name: "old"}}
	id := workflows.StandingID("monthly")
	f.Workflows[id] = entry{Kind: workflows.StandingType, Execution: status.Execution{ID: id, Status: status.Running, Started: sceneStart}, JSON: raw}
	return newDesk(t, f)
}

func TestStandingGive(t *testing.T) {
	path, _, _ := newKey(t, "")
	a := standingDesk(t)
	limits := []string{"--cluster", "web-*", "--package", "openssl", "--package", "lib*", "--reason", "our usual night"}
	if code := a.types(append([]string{"standing", "give", "monthly", "--expires", "60d", "--gate", "start", "--gate", "stage/production", "--key", path}, limits...)...); code != 0 {
		t.Fatalf("exit code %d: %s", code, a.err)
	}
	var text string
	if err := json.Unmarshal(a.sent[0]["statement"], &text); err != nil {
		t.Fatal(err)
	}
	s, err := approval.ParseStanding(text)
	if err != nil || s.Schedule != "monthly" || s.Files != "sha256:files" || strings.Join(s.Gates, " ") != "start stage/production" || strings.Join(s.Packages, " ") != "openssl lib*" || s.Expires.Sub(s.At) != 60*24*time.Hour {
		t.Errorf("signed is %+v, %v", s, err)
	}
	if string(a.sent[0]["word"]) != `"hand-in"` || string(a.sent[0]["plan"]) != `"sha256:files"` || string(a.sent[0]["signed"]) != "true" || !strings.Contains(a.out, "monthly/0123456789ab: taken, until ") {
		t.Errorf("sent %s, said %q", a.sent, a.out)
	}
	for _, row := range []struct {
		args  []string
		code  int
		wants []string
	}{
		{[]string{"monthly", "--reason", "x", "--key", path}, exitUsage, []string{"cluster is missing", "package is missing", "expires is missing: one without an end is none"}},
		{append([]string{"monthly", "--key", path}, limits...), exitUsage, []string{"expires is missing"}},
		{append([]string{"monthly", "--expires", "91d", "--key", path}, limits...), exitUsage, []string{"90 days are the most"}},
		{append([]string{"monthly", "--expires", "30d", "--gate", "soak/web/1", "--key", path}, limits...), exitUsage, []string{"a soak's end, an emergency and a freeze want people"}},
		{append([]string{"yearly", "--expires", "30d", "--key", path}, limits...), exitFailed, []string{`there is no schedule of campaign "yearly"`}},
		{append([]string{"old", "--expires", "30d", "--key", path}, limits...), exitFailed, []string{"does not say of which files it was made"}},
		{append([]string{"monthly", "--signature", path, "--statement", path}, limits[:2]...), exitUsage, []string{"--signature and --cluster exclude each other"}},
	} {
		code := a.types(append([]string{"standing", "give"}, row.args...)...)
		for _, want := range row.wants {
			if code != row.code || len(a.sent) > 0 || !strings.Contains(a.err, want) {
				t.Errorf("%v: exit code %d, sent %v, want %q:\n%s", row.args, code, a.sent, want, a.err)
			}
		}
	}
	if code := a.types(append([]string{"standing", "give", "monthly", "--expires", "30d", "--any-files", "--print-statement"}, limits...)...); code != 0 || len(a.sent) > 0 || strings.Contains(a.out, "files:") {
		t.Fatalf("exit code %d, sent %v: %s", code, a.sent, a.out)
	}
	statement, signature := filepath.Join(t.TempDir(), "statement"), filepath.Join(t.TempDir(), "signature")
	for file, body := range map[string]string{statement: a.out, signature: "a signature"} {
		if err := os.WriteFile(file, []byte(body), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if code := a.types("standing", "give", "monthly", "--statement", statement, "--signature", signature); code != 0 || string(a.sent[0]["reason"]) != `"our usual night"` {
		t.Errorf("signed elsewhere: exit code %d, sent %s: %s", code, a.sent, a.err)
	}
}

func TestStandingListAndWithdraw(t *testing.T) {
	a := standingDesk(t)
	if code := a.types("standing", "list"); code != 0 || !strings.Contains(a.out, "monthly/aaaaaaaaaaaa") || !strings.Contains(a.out, "(soon)") || !strings.Contains(a.out, "withdrawn") {
		t.Errorf("exit code %d: %s%s", code, a.out, a.err)
	}
	for _, args := range [][]string{{"standing", "list"}, {"schedule", "list"}} {
		if code := a.types(args...); code != 0 || strings.Count(a.err, "expires at") != 1 || !strings.Contains(a.err, "standing approval monthly/aaaaaaaaaaaa of bob expires at") {
			t.Errorf("%v: exit code %d: %s", args, code, a.err)
		}
	}
	if code := a.types("standing", "withdraw", "monthly/aaaaaaaaaaaa", "--reason", "I am away"); code != 0 || string(a.sent[0]["word"]) != `"withdraw"` || string(a.sent[0]["name"]) != `"monthly/aaaaaaaaaaaa"` {
		t.Errorf("exit code %d, sent %s: %s", code, a.sent, a.err)
	}
	if code := a.types("standing", "withdraw", "yearly/aaaaaaaaaaaa", "--reason", "I am away"); code != exitFailed || !strings.Contains(a.err, `there is no standing approval "yearly/aaaaaaaaaaaa"`) {
		t.Errorf("exit code %d: %s", code, a.err)
	}
	for _, name := range []string{"monthly", "monthly/", "/x", "a b/c"} {
		if code := a.types("standing", "withdraw", name, "--reason", "I am away"); code != exitUsage {
			t.Errorf("%q: exit code %d: %s", name, code, a.err)
		}
	}
	a.scene[0].Workflows = nil
	if code := a.types("standing", "list"); code != 0 || !strings.Contains(a.out, "there is no standing approval") {
		t.Errorf("exit code %d: %s", code, a.out)
	}
}
