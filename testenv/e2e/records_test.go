package e2e

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/hashicorp/consul/api"
	"go.temporal.io/api/workflowservice/v1"

	"github.com/rollpatch/rollpatch/workflows"
)

// put writes a record into Consul by hand, as an instance of this server would that it does not know any more.
func (s *scene) put(key, owner, reason string) {
	s.Helper()
	d, err := s.temporal.WorkflowService().DescribeNamespace(s.ctx, &workflowservice.DescribeNamespaceRequest{Namespace: "default"})
	s.must(err)
	body := fmt.Sprintf(`{"key":%q,"owner":%q,"since":"2026-10-01T01:00:00Z","reason":%q,"server":%q}`, key, owner, reason, d.GetNamespaceInfo().GetId())
	_, err = s.catalog.KV().Put(&api.KVPair{Key: "rollpatch/claims/" + key, Value: []byte(body)}, nil)
	s.must(err)
}

// TestRollingClaimBroken: a claim of an owner that nobody knows keeps a campaign waiting until a person breaks it; one whose owner
// works is not broken.
func TestRollingClaimBroken(t *testing.T) {
	const ghost = "weekly-20261001T010000Z"
	s := begin(t)
	s.publish("1.1")
	s.put("cluster/web", ghost, "kernel")
	logs := s.logs(web...)
	instance := s.start(s.campaign(true, "web"))
	s.eventually("the cluster to wait for its claim", func() error {
		var c workflows.ClusterState
		if err := s.query(workflows.ClusterID(instance, "web"), &c); err != nil {
			return err
		}
		if a := s.why("web"); !strings.Contains(a.Reason, ghost) || !a.names("rollpatch claims list") {
			return fmt.Errorf("in %s, why says %+v", c.Phase, a)
		}
		return nil
	})
	s.untouched(logs)
	out, hint := s.cli(0, "claims", "list", "-i", s.InventoryFile(), "-o", "json")
	var held []struct {
		Key, Owner, Reason string
		State              string `json:"owner_state"`
	}
	s.must(json.Unmarshal([]byte(out), &held))
	if len(held) != 1 || held[0].Key != "cluster/web" || held[0].Owner != ghost || held[0].State != "unknown" || held[0].Reason != "kernel" {
		s.Errorf("claims list prints %s", out)
	}
	if !strings.Contains(hint, "rollpatch claims break web") {
		s.Errorf("claims list says %q, want how a claim is broken", hint)
	}
	if said, _ := s.cli(0, "claims", "break", "web", "-i", s.InventoryFile(), "--reason", "that server is gone"); !strings.Contains(said, ghost) {
		s.Errorf("claims break prints %q", said)
	}
	s.gate(instance) // it went on by itself
	if _, stderr := s.cli(1, "claims", "break", "web", "-i", s.InventoryFile(), "--reason", "once more"); !strings.Contains(stderr, instance) || !strings.Contains(stderr, "rollpatch abort") {
		s.Errorf("a claim whose owner works is refused with %q", stderr)
	}
	s.say("approve", instance)
	if st := s.ends(instance); st.State != "done" {
		s.Errorf("campaign is %s: %s", st.State, st.Reason)
	}
	s.at("1.1", web...)
	s.safe()
	if _, stderr := s.cli(1, "claims", "break", "web", "-i", s.InventoryFile(), "--reason", "once more"); !strings.Contains(stderr, "is not claimed") {
		s.Errorf("breaking what is not claimed is refused with %q", stderr)
	}
}

// TestRollingQuarantineRetired: a host that is gone is forgotten, and nothing is done to it.
func TestRollingQuarantineRetired(t *testing.T) {
	s := begin(t)
	logs := s.logs("web-2")
	s.put("quarantine/web-2", "monthly-20261001T010000Z", "the backout failed")
	s.put("drain/web-2", "monthly-20261001T010000Z", "rollpatch monthly-20261001T010000Z web-2")
	out, _ := s.cli(0, "quarantine", "list", "-i", s.InventoryFile())
	if !strings.Contains(out, "web-2") || !strings.Contains(out, "drained") {
		s.Errorf("quarantine list prints %s", out)
	}
	s.cli(0, "quarantine", "release", "web-2", "--retired", "-i", s.InventoryFile(), "--reason", "sold")
	s.untouched(logs)
	s.safe()
	if _, stderr := s.cli(1, "quarantine", "release", "web-2", "--retired", "-i", s.InventoryFile(), "--reason", "sold"); !strings.Contains(stderr, "is not in quarantine") {
		s.Errorf("a second release is refused with %q", stderr)
	}
}
