package e2e

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rollpatch/rollpatch/testenv/load"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

// balancer says one command to the load balancer's admin socket.
func (s *scene) balancer(command string) (string, error) {
	c, err := net.DialTimeout("tcp", s.Lab().BalancerAddr(), 5*time.Second)
	if err != nil {
		return "", err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return "", err
	}
	if _, err := fmt.Fprintln(c, command); err != nil {
		return "", err
	}
	said, err := io.ReadAll(c)
	return string(said), err
}

// admin reads what the load balancer was told of its servers: 0 is nothing, 1 is maintenance.
func (s *scene) admin() (map[string]string, error) {
	said, err := s.balancer("show servers state fixed")
	out := map[string]string{}
	for _, line := range strings.Split(said, "\n") {
		if f := strings.Fields(line); len(f) > 6 && f[1] == "fixed" {
			out[f[3]] = f[6]
		}
	}
	if err == nil && len(out) != len(web) {
		err = fmt.Errorf("it has the servers %v", out)
	}
	return out, err
}

// balancerScripts writes the scripts of the docs. They reach the lab's load balancer over the network, not through a socket in a folder.
func (s *scene) balancerScripts() {
	s.Helper()
	host, port, err := net.SplitHostPort(s.Lab().BalancerAddr())
	s.must(err)
	there := fmt.Sprintf(`bash -c 'exec 3<>/dev/tcp/%s/%s && cat >&3 && cat <&3'`, host, port)
	for _, name := range []string{"drain.sh", "undrain.sh", "state.sh"} {
		raw, err := os.ReadFile(filepath.Join("../../docs/drain/haproxy", name))
		s.must(err)
		text := strings.ReplaceAll(string(raw), "socat -t 5 - UNIX-CONNECT:/run/haproxy/admin.sock", there)
		text = strings.Replace(text, "backend=be\n", "backend=fixed\n", 1)
		if !strings.Contains(text, there) || !strings.Contains(text, "backend=fixed") {
			s.Fatalf("%s is not as this test expects it:\n%s", name, raw)
		}
		_, err = s.Write("drain/"+name, text)
		s.must(err)
	}
}

// byCommand writes the inventory with the web cluster drained by scripts, which run on two hosts that stand for load balancers.
func (s *scene) byCommand() (inventory string) {
	s.Helper()
	raw, err := os.ReadFile(s.InventoryFile())
	s.must(err)
	const services = "    services: [{name: web, port: 80}]\n"
	if !strings.Contains(string(raw), services) {
		s.Fatal("the lab's inventory is not as this test expects it")
	}
	path, err := s.Write("command.yaml", strings.Replace(string(raw), services,
		"    drain: command\n    drain_commands: {drain: drain/drain.sh, undrain: drain/undrain.sh, state: drain/state.sh, on: [cache-1, cache-2]}\n    ports: [80]\n", 1))
	s.must(err)
	return path
}

// TestRollingDrainByCommand patches a cluster that HAProxy's admin socket takes out of service and puts back, under traffic; then one of which
// a member is out by another hand.
func TestRollingDrainByCommand(t *testing.T) {
	s := begin(t)
	s.publish("1.1")
	if s.Lab() == nil {
		s.drainInFiles()
		return
	}
	s.balancerScripts()
	inventory, campaign := s.byCommand(), s.campaign(false, "web")
	t.Cleanup(func() {
		for _, h := range web {
			if _, err := s.balancer("set server fixed/" + h + " state ready"); err != nil {
				s.Error(err)
			}
		}
	})
	run := func(wantCode int) map[string]string {
		r, err := s.Rollpatch(s.ctx, nil, "run", "-i", inventory, campaign)
		s.must(err)
		if r.Code != wantCode {
			s.Fatalf("rollpatch run exited %d, want %d\n%s\n%s", r.Code, wantCode, r.Stdout, r.Stderr)
		}
		out := map[string]string{}
		for _, m := range s.status(s.latest()).Stages[0].Clusters[0].Members {
			out[m.Host] = m.Outcome
		}
		return out
	}

	seen := map[string]bool{}
	l := load.Start(s.ctx, s.Lab().FixedURL(), rate)
	s.eventually("the first hundred requests", func() error {
		if n := l.Snapshot().Sent; n < 100 {
			return fmt.Errorf("%d sent", n)
		}
		return nil
	})
	over, looked := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(looked)
		for {
			select {
			case <-over:
				return
			case <-time.After(200 * time.Millisecond):
				out := 0
				now, err := s.admin()
				if err != nil {
					s.Error(err)
				}
				for h, admin := range now {
					if admin != "0" {
						out++
						seen[h] = true
					}
				}
				if out > 1 {
					s.Errorf("%d members are out at a time", out)
				}
			}
		}
	}()
	got := run(0)
	close(over)
	<-looked
	s.lossless(l.Stop())
	for _, h := range web {
		if got[h] != string(rollout.Patched) || !seen[h] {
			s.Errorf("%s is %s, and was seen out of the load balancer: %t; want patched, and seen", h, got[h], seen[h])
		}
	}
	s.at("1.1", web...)
	s.safe()
	after, err := s.admin()
	s.must(err)
	for h, admin := range after {
		if admin != "0" {
			s.Errorf("%s is left with the administrative state %s", h, admin)
		}
	}

	s.publish("1.4")
	_, err = s.balancer("set server fixed/web-1 state maint") // by another hand
	s.must(err)
	if got := run(3); got["web-1"] != string(rollout.Skipped) {
		s.Errorf("web-1 is %s, want skipped", got["web-1"])
	}
	after, err = s.admin()
	s.must(err)
	if after["web-1"] != "1" || after["web-2"] != "0" || after["web-3"] != "0" {
		s.Errorf("the load balancer has %v, want it as it was found: web-1 out", after)
	}
	s.at("1.1", web...)
}

// fileScripts stand for a load balancer where hosts are simulated, and none has one: who is out is a file on each host that runs them.
var fileScripts = map[string]string{
	"drain.sh":   `d=${ROLLPATCH_ROOT:-}/var/lib/out; mkdir -p "$d"; echo "$ROLLPATCH_REASON" >"$d/$ROLLPATCH_HOST"; echo "$ROLLPATCH_HOST out" >>"$d.log"`,
	"undrain.sh": `d=${ROLLPATCH_ROOT:-}/var/lib/out; rm -f "$d/$ROLLPATCH_HOST"; echo "$ROLLPATCH_HOST in" >>"$d.log"`,
	"state.sh":   `if [ -e "${ROLLPATCH_ROOT:-}/var/lib/out/$ROLLPATCH_HOST" ]; then echo out; else echo in; fi`,
}

// drainInFiles is the same campaign on simulated hosts: the scripts run once each, in order, on both hosts, and nobody stays out.
func (s *scene) drainInFiles() {
	s.Helper()
	for name, text := range fileScripts {
		_, err := s.Write("drain/"+name, text+"\n")
		s.must(err)
	}
	r, err := s.Rollpatch(s.ctx, nil, "run", "-i", s.byCommand(), s.campaign(false, "web"))
	s.must(err)
	if r.Code != 0 {
		s.Fatalf("rollpatch run exited %d\n%s\n%s", r.Code, r.Stdout, r.Stderr)
	}
	s.at("1.1", web...)
	s.safe()
	for _, host := range []string{"cache-1", "cache-2"} {
		log, err := s.ReadFile(s.ctx, host, "/var/lib/out.log")
		s.must(err)
		if want := "web-1 out\nweb-1 in\nweb-2 out\nweb-2 in\nweb-3 out\nweb-3 in\n"; string(log) != want {
			s.Errorf("on %s the scripts did\n%swant\n%s", host, log, want)
		}
	}
}
