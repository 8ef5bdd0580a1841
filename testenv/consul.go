package testenv

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// Consul returns the path of the Consul that labs use, and builds it first if it
// is not in the cache.
func Consul(ctx context.Context, log io.Writer) (string, error) {
	c, err := openCache("", log)
	if err != nil {
		return "", err
	}
	unlock, err := c.lock(ctx)
	if err != nil {
		return "", err
	}
	defer unlock()
	return makeConsul(ctx, c)
}

// makeConsul builds Consul from the module beside this package. It is a tool of
// the lab under a licence of its own: never linked into the product, never shipped.
func makeConsul(ctx context.Context, c *cache) (string, error) {
	if _, err := exec.LookPath("go"); err != nil {
		return "", errors.New("building Consul needs go in PATH")
	}
	mod, err := command(ctx, "go", "env", "GOMOD")
	if err != nil {
		return "", err
	}
	module := filepath.Join(filepath.Dir(strings.TrimSpace(mod)), "testenv", "consulbin")
	var inputs []string
	for _, f := range []string{"go.mod", "go.sum"} {
		raw, err := os.ReadFile(filepath.Join(module, f))
		if err != nil {
			return "", fmt.Errorf("the lab is started from inside the project's checkout: %w", err)
		}
		inputs = append(inputs, string(raw))
	}
	return c.make("consul-"+digest(inputs...), "Consul (compiled once, some 6 minutes on 2 cores)", func(tmp string) error {
		_, err := commandIn(ctx, module, []string{"GOFLAGS=", "GOWORK=off"},
			"go", "build", "-trimpath", "-ldflags", "-s -w", "-o", tmp, "github.com/hashicorp/consul")
		return err
	})
}

// consulServer is the configuration of the lab's one server.
func consulServer(number int, dir string) map[string]any {
	return map[string]any{
		"server": true, "bootstrap_expect": 1, "datacenter": "lab", "node_name": "consul", "data_dir": dir,
		"bind_addr": gateway(number), "client_addr": gateway(number),
		"ports":       map[string]int{"http": portConsul, "dns": portConsulDNS, "grpc": -1, "grpc_tls": -1},
		"performance": map[string]int{"raft_multiplier": 1},
		"ui_config":   map[string]bool{"enabled": true}, "disable_update_check": true,
	}
}

// consulAgent is the configuration of a host's client agent, by file name.
// The node id is the host's own, so that a host set up anew is the same node.
func consulAgent(number int, h Host) map[string]any {
	check := map[string]any{"id": h.Service + "-health", "name": h.Service + " answers", "interval": "1s", "timeout": "1s"}
	if h.web() {
		check["http"] = "http://127.0.0.1/healthz"
	} else {
		check["tcp"] = "127.0.0.1:" + strconv.Itoa(h.Port)
	}
	return map[string]any{
		"agent.json": map[string]any{
			"datacenter": "lab", "node_name": h.Name, "node_id": nodeID(number, h.Name), "data_dir": "/var/lib/consul",
			"bind_addr": h.Address, "client_addr": "127.0.0.1",
			"ports":      map[string]int{"http": 8500, "dns": -1, "grpc": -1, "grpc_tls": -1},
			"retry_join": []string{gateway(number)}, "retry_interval": "1s",
			// A reboot is no farewell: the node stays known, and fails until it is back.
			"leave_on_terminate": false, "skip_leave_on_interrupt": true, "disable_update_check": true,
		},
		"service.json": map[string]any{"service": map[string]any{
			"id": h.Service, "name": h.Service, "port": h.Port, "checks": []any{check},
		}},
	}
}

func nodeID(number int, host string) string {
	d := digest("node", strconv.Itoa(number), host)
	return fmt.Sprintf("77777777-7777-4777-8777-%s", d)
}

func toJSON(v any) string {
	raw, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		panic(err) // maps of strings, numbers and lists only
	}
	return string(raw) + "\n"
}

// startConsul starts the server with empty data, and returns once it leads.
func (s *supervisor) startConsul(ctx context.Context) error {
	if err := os.RemoveAll(s.consulDir()); err != nil {
		return err
	}
	config := filepath.Join(s.consulDir(), "server.json")
	if err := writeFile(config, toJSON(consulServer(s.Number, filepath.Join(s.consulDir(), "data"))), 0o644); err != nil {
		return err
	}
	d, err := s.startDaemon("consul", s.Parts.Consul, "agent", "-config-file="+config)
	if err != nil {
		return err
	}
	s.consulServer = d
	return until(ctx, startLimit, "Consul's leader", func(ctx context.Context) error {
		var leader string
		if err := s.getJSON(ctx, "/v1/status/leader", &leader); err != nil {
			return err
		}
		if leader == "" {
			return errors.New("none yet")
		}
		return nil
	})
}

// getJSON asks the lab's Consul server.
func (s *supervisor) getJSON(ctx context.Context, path string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+consulAddr(s.Number)+path, nil)
	if err != nil {
		return err
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", path, resp.Status)
	}
	return json.NewDecoder(resp.Body).Decode(into)
}

func consulAddr(number int) string { return fmt.Sprintf("%s:%d", gateway(number), portConsul) }

// consulCheck is one row of Consul's /v1/health/state/any.
type consulCheck struct {
	Node, CheckID, ServiceID, Status, Output string
}

// consulStates sums up the checks of every host: its worst, by node name.
func (s *supervisor) consulStates(ctx context.Context) (map[string]string, error) {
	var checks []consulCheck
	if err := s.getJSON(ctx, "/v1/health/state/any", &checks); err != nil {
		return nil, err
	}
	rank := map[string]int{"": 0, "passing": 1, "warning": 2, "critical": 3, "maintenance": 4}
	states, service := map[string]string{}, map[string]bool{}
	for _, c := range checks {
		status := c.Status
		if c.CheckID == "_node_maintenance" || strings.HasPrefix(c.CheckID, "_service_maintenance:") {
			status = "maintenance"
		}
		if c.ServiceID != "" {
			service[c.Node] = true
		}
		if rank[status] > rank[states[c.Node]] {
			states[c.Node] = status
		}
	}
	for node := range states {
		if !service[node] {
			states[node] = "no service"
		}
	}
	return states, nil
}
