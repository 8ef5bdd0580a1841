package consul

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/hashicorp/consul/api"

	"github.com/rollpatch/rollpatch/activities"
)

// A record belongs to who wrote it: nobody else takes it, and nobody else's release removes it. On another server an instance of the same
// name is another one.
func TestAnothersRecordIsNeitherTakenNorReleased(t *testing.T) {
	t.Parallel()
	f, addr := agent(t)
	var written atomic.Int64
	f.hook = func(w http.ResponseWriter, r *http.Request) bool {
		switch {
		case strings.HasPrefix(r.URL.Path, "/v1/kv/"):
			w.Header().Set("X-Consul-Index", "7")
			answer(w, api.KVPairs{{Key: root + "cluster/web", Value: []byte(`{"owner": "weekly-1", "server": "here"}`), ModifyIndex: 7}})
		case r.URL.Path == "/v1/txn":
			written.Add(1)
			answer(w, api.TxnResponse{})
		default:
			return false
		}
		return true
	}
	mine := activities.Owner{Instance: "weekly-1", Server: "here"}
	c := New(&hosts{addrs: map[string]string{"web-2": addr}}, nil)
	for name, do := range map[string]func(owner activities.Owner) error{
		"release": func(owner activities.Owner) error {
			return c.Release(t.Context(), viaSSH("web-2"), owner, []string{"cluster/web"})
		},
		"take": func(owner activities.Owner) error {
			held, err := c.Take(t.Context(), viaSSH("web-2"), []activities.Claim{{Key: "cluster/web", Owner: owner.Instance, Server: owner.Server}})
			if another := owner != mine; err == nil && another != (len(held) == 1 && held[0].Owner == "weekly-1") {
				t.Errorf("take as %s: held %+v", owner, held)
			}
			return err
		},
	} {
		before := written.Load()
		for _, another := range []activities.Owner{{Instance: "monthly-1", Server: "here"}, {Instance: "weekly-1", Server: "there"}} {
			if err := do(another); err != nil || written.Load() != before {
				t.Errorf("%s by %+v of another's record: %v, %d transactions, want none", name, another, err, written.Load()-before)
			}
		}
	}
	if err := c.Release(t.Context(), viaSSH("web-2"), mine, []string{"cluster/web"}); err != nil || written.Load() != 1 {
		t.Errorf("release of its own: %v, %d transactions, want one", err, written.Load())
	}
}
