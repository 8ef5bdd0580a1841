package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/hashicorp/consul/api"
)

// standInConsul lists the servers of docs/first-day.md. What a real Consul answers to the same questions is tested beside the client.
func standInConsul(t *testing.T, token string) string {
	type on struct {
		node string
		tags []string
	}
	rack := map[string]string{"web-1": "r1", "web-2": "r2", "db-1": "r1", "db-2": "r2"}
	address := map[string]string{"web-1": "192.0.2.11", "web-2": "192.0.2.12", "db-1": "192.0.2.31", "db-2": "192.0.2.32", "billing": "db.example.net"}
	names := []string{"billing", "db-1", "db-2", "web-1", "web-2"}
	ports := map[string]int{"consul": 8300, "exporter": 9100, "invoices": 443, "pg": 5432, "shop": 80}
	offers := map[string][]on{
		"exporter": {{"db-1", nil}, {"db-2", nil}, {"web-1", nil}, {"web-2", nil}},
		"invoices": {{"billing", nil}},
		"pg":       {{"db-1", []string{"primary"}}, {"db-2", nil}},
		"shop":     {{"web-1", []string{"env=production"}}, {"web-2", []string{"env=production"}}},
	}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Consul-Token") != token || r.Method != http.MethodGet {
			http.Error(w, "ACL not found", http.StatusForbidden)
			return
		}
		var out any
		switch r.URL.Path {
		case "/v1/catalog/nodes":
			var all []api.Node
			for _, n := range names {
				node := api.Node{Node: n, Address: address[n], Datacenter: "fra"}
				if rack[n] != "" {
					node.Meta = map[string]string{"rack": rack[n]}
				}
				all = append(all, node)
			}
			out = all
		case "/v1/catalog/datacenters":
			out = []string{"fra", "ams"}
		case "/v1/health/state/any":
			var all []api.HealthCheck
			for _, n := range names[1:] {
				all = append(all, api.HealthCheck{Node: n, CheckID: "serfHealth", Name: "Serf Health Status", Status: api.HealthPassing})
			}
			out = append(all, api.HealthCheck{Node: "web-1", CheckID: "page", Name: "page is served", ServiceID: "shop", Status: api.HealthPassing},
				api.HealthCheck{Node: "web-2", CheckID: "page", Name: "page is served", ServiceID: "shop", Status: api.HealthCritical})
		case "/v1/catalog/services":
			all := map[string][]string{}
			for s := range ports {
				all[s] = nil
			}
			out = all
		default:
			name := strings.TrimPrefix(r.URL.Path, "/v1/health/service/")
			all := []api.ServiceEntry{}
			for _, o := range offers[name] {
				s := &api.AgentService{Service: name, ID: name, Port: ports[name], Tags: o.tags}
				if name == "shop" {
					s.Meta = map[string]string{"owner": "shop team"}
				}
				all = append(all, api.ServiceEntry{Node: &api.Node{Node: o.node}, Service: s})
			}
			out = all
		}
		if err := json.NewEncoder(w).Encode(out); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(srv.Close)
	return strings.TrimPrefix(srv.URL, "http://")
}

var fromConsul = regexp.MustCompile("(?s)```console\n([$] rollpatch inventory import consul [^`]*)```\n.*?```yaml\n(.*?)```\n")

// TestFirstDayFromConsul plays the session of docs/first-day.md that imports from Consul.
func TestFirstDayFromConsul(t *testing.T) {
	path, err := filepath.Abs(filepath.Join(top, "docs", "first-day.md"))
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	m := fromConsul.FindStringSubmatch(string(raw))
	if m == nil {
		t.Fatalf("%s shows no session of inventory import consul and what it makes", path)
	}
	t.Chdir(t.TempDir())
	env := []string{"HOME=" + t.TempDir(), "CONSUL_HTTP_ADDR=" + standInConsul(t, "")}
	var session strings.Builder
	for _, typed := range typed.FindAllStringSubmatch(m[1], -1) {
		session.WriteString("$ " + typed[1] + "\n")
		words, err := shellWords(typed[1])
		if err != nil {
			t.Fatal(err)
		}
		var out, all bytes.Buffer
		if code := run(t.Context(), words[1:], nil, &out, &all, env); code != exitDone {
			t.Fatalf("%s exits with %d: %s", typed[1], code, &all)
		}
		session.Write(all.Bytes())
		if _, to, ok := strings.Cut(typed[1], " > "); !ok {
			session.Write(out.Bytes())
		} else if err := os.WriteFile(to, out.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	inv, err := os.ReadFile("inventory.yaml")
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Replace(string(raw), m[1], session.String(), 1)
	want = strings.Replace(want, m[2], string(inv), 1)
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
	} else if want != string(raw) {
		t.Errorf("docs/first-day.md is not what is printed (go test -update writes it anew): got\n%s\n%s", &session, inv)
	}
}

func TestImportConsulRefuses(t *testing.T) {
	addr := standInConsul(t, "sesame")
	t.Chdir(t.TempDir())
	if err := os.WriteFile("token", []byte("sesame\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		args, env []string
		code      int
		says      string
	}{
		{nil, nil, exitUsage, "inventory import consul: --user is missing"},
		{[]string{"--user", "ops", "more"}, nil, exitUsage, `unexpected argument "more"`},
		{[]string{"--user", "ops", "--address", "nowhere"}, nil, exitUsage, `the address of Consul: "nowhere" is no host and port`},
		{[]string{"--user", "ops", "--address", "http://me:sesame@192.0.2.1:8500"}, nil, exitUsage, "holds a user's name"},
		{[]string{"--user", "ops", "--services", "["}, nil, exitUsage, `--services "[" is no pattern`},
		{[]string{"--user", "ops"}, nil, exitFailed, "it answered 403: ACL not found"},
		{[]string{"--user", "ops"}, []string{"CONSUL_HTTP_TOKEN=other-sesame"}, exitFailed, "it answered 403"},
		{[]string{"--user", "ops", "--services", "nothing"}, []string{"CONSUL_HTTP_TOKEN=sesame"}, exitUsage, "no service is offered by a host that is left\nrollpatch: billing: left out"},
		{[]string{"--user", "ops"}, []string{"CONSUL_HTTP_TOKEN=sesame"}, exitDone, "4 hosts, 3 clusters"},
		{[]string{"--user", "ops"}, []string{"CONSUL_HTTP_TOKEN_FILE=token"}, exitDone, "4 hosts, 3 clusters"},
	} {
		var out, stderr bytes.Buffer
		code := run(t.Context(), append([]string{"inventory", "import", "consul"}, row.args...), nil, &out, &stderr, append([]string{"CONSUL_HTTP_ADDR=" + addr}, row.env...))
		if code != row.code || !strings.Contains(stderr.String(), row.says) || (out.Len() > 0) != (code == exitDone) {
			t.Errorf("%v %v exits with %d, says %s, prints %d bytes; want %d, %q", row.args, row.env, code, &stderr, out.Len(), row.code, row.says)
		}
		if strings.Contains(out.String()+stderr.String(), "sesame") {
			t.Errorf("%v %v: a secret is printed: %s", row.args, row.env, &stderr)
		}
	}
}
