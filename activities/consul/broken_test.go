package consul

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/hashicorp/consul/api"

	"github.com/rollpatch/rollpatch/activities"
)

// A record that somebody wrote by hand, or that is cut short, is told by its name with what to type, and the others are read.
func TestOneRecordThatCannotBeReadKeepsNobodyFromTheOthers(t *testing.T) {
	t.Parallel()
	f, addr := agent(t)
	f.hook = func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasPrefix(r.URL.Path, "/v1/kv/") {
			return false
		}
		w.Header().Set("X-Consul-Index", "7")
		answer(w, api.KVPairs{
			{Key: root + "cluster/db", Value: []byte(`{"owner": "weekly`), ModifyIndex: 7}, {Key: root + "cluster/web", Value: []byte(`{"owner": "weekly-1"}`), ModifyIndex: 7},
			{Key: root + "drain/web-1", Value: []byte(`{}`), ModifyIndex: 7},
		})
		return true
	}
	c := New(&hosts{addrs: map[string]string{"web-2": addr}}, nil)
	list, err := c.List(t.Context(), viaSSH("web-2"), "")
	if len(list) != 1 || list[0].Key != "cluster/web" {
		t.Errorf("%+v; want the record that can be read", list)
	}
	var some *activities.UnreadableError
	if !errors.As(err, &some) || len(some.Records) != 2 || some.Records[0].Key != "cluster/db" || some.Records[1].Key != "drain/web-1" {
		t.Fatalf("%v; want the two that cannot be read", err)
	}
	for _, r := range some.Records {
		if !strings.Contains(r.Broken, "consul kv get rollpatch/claims/"+r.Key) || !strings.Contains(r.Broken, "consul kv delete rollpatch/claims/"+r.Key) {
			t.Errorf("%q does not say what to type", r.Broken)
		}
	}
	if body, err := json.Marshal(list); err != nil || strings.Contains(string(body), "broken") {
		t.Errorf("%s, %v: a record that can be read says nothing of that", body, err)
	}
}
