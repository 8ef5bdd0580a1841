package e2e

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/hashicorp/consul/api"

	"github.com/rollpatch/rollpatch/workflows"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

// cli runs the CLI over the inventory's files and returns what it printed; another exit code than the wanted one ends the test.
func (s *scene) cli(wantCode int, args ...string) (stdout, stderr string) {
	s.Helper()
	r, err := s.Rollpatch(s.ctx, nil, args...)
	s.must(err)
	if r.Code != wantCode {
		s.Fatalf("rollpatch %s exited %d, want %d\n%s\n%s", strings.Join(args, " "), r.Code, wantCode, r.Stdout, r.Stderr)
	}
	return r.Stdout, r.Stderr
}

// freeze freezes the whole estate, until the test thaws it or ends.
func (s *scene) freeze() {
	s.Helper()
	s.cli(0, "freeze", "now", "--reason", "incident 12", "--as", "ann")
	s.Cleanup(func() {
		ctx, cancel := contextForCleanup()
		defer cancel()
		if _, err := s.Rollpatch(ctx, nil, "thaw", "--reason", "the test is over"); err != nil {
			s.Error(err)
		}
	})
}

// frozen waits until the host's member waits for the thaw, in service. missed is true when it came past that.
func (s *scene) frozen(instance, host string) (missed bool) {
	s.Helper()
	s.eventually(host+" to wait for the thaw", func() error {
		var m workflows.MemberState
		if err := s.query(workflows.MemberID(host), &m); err != nil {
			return err
		}
		if m.Instance != instance {
			return fmt.Errorf("its workflow is still another one's")
		}
		missed = m.Touched || m.Outcome != ""
		if missed || m.Frozen && (!m.Drained || m.Served) {
			return nil
		}
		return fmt.Errorf("it is in %s, frozen %t, drained %t", m.Step, m.Frozen, m.Drained)
	})
	return missed
}

// serving checks that a member of the web cluster is listed as passing.
func (s *scene) serving(host string) {
	s.Helper()
	entries, _, err := s.catalog.Health().Service("web", "", true, &api.QueryOptions{RequireConsistent: true})
	s.must(err)
	for _, e := range entries {
		if e.Node.Node == host {
			return
		}
	}
	s.Errorf("%s is not listed as passing", host)
}

// answer is what why prints.
type answer struct {
	Reason string
	Awaits []struct {
		For    string
		Person bool
		Type   []string
	}
}

func (s *scene) why(name string) answer {
	s.Helper()
	out, _ := s.cli(0, "why", name, "-o", "json")
	var a answer
	s.must(json.Unmarshal([]byte(out), &a))
	return a
}

// names says that one of the commands to type begins so.
func (a answer) names(command string) bool {
	for _, w := range a.Awaits {
		for _, t := range w.Type {
			if strings.HasPrefix(t, command) {
				return true
			}
		}
	}
	return false
}

// TestRollingFreeze: before its drain, the canary of a frozen estate waits in service, and why says for whom. The thaw ends it.
func TestRollingFreeze(t *testing.T) {
	s := begin(t)
	s.publish("1.1")
	logs := s.logs(web...)
	s.freeze()
	_, refused := s.cli(1, "freeze", "now", "--reason", "incident 13")
	if !strings.Contains(refused, "by ann (claimed)") || !strings.Contains(refused, "rollpatch thaw") {
		s.Errorf("a second freeze is refused by %q, want by whom, and the thaw", refused)
	}
	listed, _ := s.cli(0, "freeze", "list", "-o", "json")
	if !strings.Contains(listed, `"frozen": true`) || !strings.Contains(listed, "incident 12") {
		s.Errorf("freeze list prints %s", listed)
	}
	instance := s.start(s.campaign(false, "web"))
	if s.frozen(instance, "web-1") {
		s.Fatal("web-1 is worked on in a frozen estate")
	}
	if a := s.why("web-1"); !strings.Contains(a.Reason, "the whole estate is frozen since") || !strings.Contains(a.Reason, "ann (claimed): incident 12") || !a.names("rollpatch thaw") {
		s.Errorf("why says %+v, want that the estate is frozen, by whom, and the thaw", a)
	}
	s.untouched(logs)
	s.serving("web-1")
	s.cli(0, "thaw", "--reason", "incident 12 is over")
	if st := s.ends(instance); st.State != "done" {
		s.Errorf("campaign is %s: %s", st.State, st.Reason)
	}
	s.at("1.1", web...)
	s.safe()
	s.eventually("the freeze to be over", func() error {
		if out, _ := s.cli(0, "freeze", "list"); !strings.Contains(out, "not frozen") {
			return fmt.Errorf("%s", out)
		}
		return nil
	})
	if _, stderr := s.cli(1, "thaw", "--reason", "once more"); !strings.Contains(stderr, "not frozen") {
		s.Errorf("a second thaw says %q", stderr)
	}
}

// TestRollingFrozenWhileDrained: a canary that is out and unchanged when the estate is frozen goes back into service, and is patched
// after the thaw.
func TestRollingFrozenWhileDrained(t *testing.T) {
	for try := 1; ; try++ {
		s := begin(t)
		s.publish("1.1")
		logs := s.logs(web...)
		instance := s.start(s.campaign(false, "web"))
		missed := s.member(instance, "web-1", rollout.StepDrain)
		if !missed {
			s.freeze()
			missed = s.frozen(instance, "web-1")
		}
		if missed {
			if try == 4 {
				t.Fatalf("the drain was over before it was seen, %d times", try)
			}
			s.say("abort", instance)
			s.ends(instance)
			if out, _ := s.cli(0, "freeze", "list"); !strings.Contains(out, "not frozen") {
				s.cli(0, "thaw", "--reason", "once more")
			}
			continue
		}
		s.untouched(logs)
		s.serving("web-1")
		s.cli(0, "thaw", "--reason", "incident 12 is over")
		if st := s.ends(instance); st.State != "done" {
			s.Errorf("campaign is %s: %s", st.State, st.Reason)
		}
		s.at("1.1", web...)
		s.safe()
		return
	}
}
