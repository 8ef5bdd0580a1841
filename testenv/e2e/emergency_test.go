package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/rollpatch/rollpatch/workflows/approval"
)

// TestChangeEmergencyTakesOver: while web's canary soaks, an emergency is started. Nothing changes before one of the emergency approvers agrees;
// then the soaking cluster is handed over with its soak as debt, and the emergency brings everybody to what is urgent.
func TestChangeEmergencyTakesOver(t *testing.T) {
	s := begin(t)
	s.publish("1.1")
	p := s.identities()
	text := fmt.Sprintf(`name: %s
reason: November security updates
unattended: true
emergency: {approvers: [ann@example.org], soak: 5s}
stages:
  - {name: production, clusters: [web]}
clusters: {web: {soak: 1h}}
signers: {allowed: %q, revoked: %q}
%s`, s.name(), p.file("allowed_signers"), p.file("revoked_keys"), policy)
	file, err := s.Write(s.name()+".yaml", text)
	s.must(err)
	soaking := s.start(file)
	s.soaks(soaking)
	peers := s.logs("web-2", "web-3")

	out, _ := s.cli(0, "run", "--detach", "-i", s.InventoryFile(), "--emergency", "--package", "lab-*", "--key", p.file("rita"), file)
	urgent := strings.TrimSpace(out)
	if !strings.HasPrefix(urgent, s.name()+"-emergency-") {
		t.Fatalf("the emergency is called %q", urgent)
	}
	plain := p.statement(urgent)
	p.refused(urgent, p.signs("ben", plain), approval.CauseRole, "wants an emergency approver")
	p.refused(urgent, p.signs("rita", plain), approval.CauseRequester, "rita@example.org asked for this instance")
	s.soaks(soaking)
	s.untouched(peers)

	s.cli(0, "approve", urgent, "--key", p.file("ann"), "--reason", "it is being used against us")
	if st := s.ends(soaking); st.State != "halted" || !strings.Contains(st.Reason, "web (superseded") || !strings.Contains(st.Reason, "soak 1 since") {
		t.Errorf("what soaked is %s: %s; want halted, its cluster superseded with its soak as debt", st.State, st.Reason)
	}
	if st := s.ends(urgent); st.State != "done" {
		t.Errorf("the emergency is %s: %s", st.State, st.Reason)
	}
	s.at("1.1", web...)
	s.safe()
	s.chained()
}
