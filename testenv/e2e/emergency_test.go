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

	s.advised(file)
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

// advised: by an advisory the hosts are found that need its fix, and one that the repository does not have yet is refused.
func (s *scene) advised(file string) {
	s.Helper()
	advisory := func(id, fixed string) string {
		path, err := s.Write(id+".json", fmt.Sprintf(`{"id": %q, "summary": "lab-web - security update", "affected": [
 {"package": {"ecosystem": "Debian:12", "name": "lab-web"}, "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": %q}]}]}]}`, id, fixed))
		s.must(err)
		return path
	}
	out, _ := s.cli(0, "plan", "-i", s.InventoryFile(), "--emergency", "--advisory", "LAB-1", "--advisories", advisory("LAB-1", "1.1"), file)
	if !strings.Contains(out, "for LAB-1 (lab-web - security update): lab-web, fixed in lab-web 1.1 (Debian:12); has it already: web-1") {
		s.Errorf("the canary that soaks has the fix, and its peers get it; its plan is\n%s", out)
	}
	_, told := s.cli(2, "plan", "-i", s.InventoryFile(), "--emergency", "--advisory", "LAB-2", "--advisories", advisory("LAB-2", "1.3"), file)
	if !strings.Contains(told, "the repository does not offer the fix yet: lab-web is of lab-web 1.0, fixed in 1.3, and 1.1 is what would come: web-2, web-3") {
		s.Errorf("a fix that is not published is refused with\n%s", told)
	}
}
