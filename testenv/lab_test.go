package testenv_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh/knownhosts"

	"github.com/rollpatch/rollpatch/testenv"
	"github.com/rollpatch/rollpatch/testenv/labtest"
	"github.com/rollpatch/rollpatch/testenv/load"
)

// await polls a condition that the lab brings about by itself.
func await(t *testing.T, what string, ok func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		err := ok()
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s: %v", what, err)
		case <-tick.C:
		}
	}
}

// passing counts what Consul's server lists as passing, asked from outside of the lab's own code.
func passing(t *testing.T, lab *testenv.Lab, service string) (nodes []string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet,
		"http://"+lab.ConsulAddr()+"/v1/health/service/"+service+"?passing&consistent", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var entries []struct{ Node struct{ Node string } }
	if err := json.NewDecoder(resp.Body).Decode(&entries); err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		nodes = append(nodes, e.Node.Node)
	}
	return nodes
}

func mustSSH(t *testing.T, lab *testenv.Lab, host, line string) string {
	t.Helper()
	out, err := lab.SSH(t.Context(), host, line)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func mustExec(t *testing.T, lab *testenv.Lab, host string, argv ...string) string {
	t.Helper()
	out, err := lab.Exec(t.Context(), host, argv...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func versions(t *testing.T, lab *testenv.Lab, host string) map[string]string {
	t.Helper()
	v, err := lab.Versions(t.Context(), host)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func bootID(t *testing.T, lab *testenv.Lab, host string) string {
	t.Helper()
	id, err := lab.BootID(t.Context(), host)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func mustPublish(t *testing.T, lab *testenv.Lab, what string) {
	t.Helper()
	if err := lab.Publish(t.Context(), what); err != nil {
		t.Fatal(err)
	}
}

const aptGet = "sudo DEBIAN_FRONTEND=noninteractive apt-get -q -y "

func TestLabHostsAnswerAndServe(t *testing.T) {
	lab := labtest.New(t)
	if n := len(lab.Hosts()); n != 6 {
		t.Fatalf("the lab has %d hosts, want 6", n)
	}
	boots := map[string]string{}
	for _, h := range lab.Hosts() {
		if got := mustSSH(t, lab, h.Name, "id -un; sudo id -un; hostname; cat /proc/sys/kernel/random/boot_id"); got !=
			fmt.Sprintf("patch\nroot\n%s\n%s\n", h.Name, bootID(t, lab, h.Name)) {
			t.Errorf("%s says %q", h.Name, got)
		}
		if other, twice := boots[bootID(t, lab, h.Name)]; twice {
			t.Errorf("%s and %s have one boot id", h.Name, other)
		}
		boots[bootID(t, lab, h.Name)] = h.Name
		if failed := mustExec(t, lab, h.Name, "systemctl", "--failed", "--no-legend", "--plain"); failed != "" {
			t.Errorf("%s: failed units: %s", h.Name, failed)
		}
		if log, err := lab.DpkgLog(t.Context(), h.Name); err != nil || log != "" {
			t.Errorf("%s: dpkg's log is %q, %v: a host like new has an empty one", h.Name, log, err)
		}
	}
	for service, want := range map[string]int{"web": 3, "redis": 2, "solo": 1} {
		if got := passing(t, lab, service); len(got) != want {
			t.Errorf("Consul passes %v for %s, want %d", got, service, want)
		}
	}
	if got := mustSSH(t, lab, "cache-2", "redis-cli -h cache-1 ping"); got != "PONG\n" {
		t.Errorf("redis on cache-1 says %q to cache-2", got)
	}
	// A host must not find a way out, nor its neighbours' Consul agents.
	if out, err := lab.SSH(t.Context(), "web-1", "ip route get 192.0.2.1"); err == nil {
		t.Errorf("web-1 has a route out: %s", out)
	}
	if _, err := lab.SSH(t.Context(), "web-1", "timeout 5 bash -c ': </dev/tcp/web-2/8500'"); err == nil {
		t.Error("web-2's Consul agent answers web-1")
	}
}

func TestLabRefusesAnotherHostKey(t *testing.T) {
	lab := labtest.New(t)
	mustExec(t, lab, "web-1", "rm", "/etc/ssh/ssh_host_ed25519_key")
	mustExec(t, lab, "web-1", "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", "/etc/ssh/ssh_host_ed25519_key")
	mustExec(t, lab, "web-1", "systemctl", "restart", "ssh")
	var changed *knownhosts.KeyError
	await(t, "another host key", func() error {
		_, err := lab.SSH(t.Context(), "web-1", "true")
		if errors.As(err, &changed) && len(changed.Want) > 0 {
			return nil
		}
		return fmt.Errorf("want a key error, got %w", err)
	})
}

func TestLabPublishes(t *testing.T) {
	lab := labtest.New(t)
	candidates := func() string {
		mustSSH(t, lab, "web-1", aptGet+"update")
		return mustSSH(t, lab, "web-1", "apt-cache madison lab-web | cut -d'|' -f2 | tr -d ' ' | sort -u | tr '\n' ' '")
	}
	if got := candidates(); got != "1.0 " {
		t.Fatalf("a host like new finds lab-web %q", got)
	}
	for _, version := range []string{"1.4", "1.1", "1.3", "1.2"} {
		mustPublish(t, lab, version)
		if got, want := candidates(), "1.0 "+version+" "; got != want {
			t.Errorf("published %s: web-1 finds %q, want %q", version, got, want)
		}
	}
	if err := lab.Publish(t.Context(), "7.7"); err == nil || !strings.Contains(err.Error(), "1.4") {
		t.Errorf("publish 7.7: %v, want an error that lists what there is", err)
	}
	// The tools that hosts trust packages by: a change on the way is noticed.
	if out := mustSSH(t, lab, "web-1", "grep -L signed-by /etc/apt/sources.list.d/*; grep -c . /etc/apt/sources.list || true"); out != "0\n" {
		t.Errorf("unsigned sources: %s", out)
	}
}

func TestLabWebVersions(t *testing.T) {
	lab := labtest.New(t)
	before := versions(t, lab, "web-1")
	page := func() string { // as the host itself sees it
		return mustExec(t, lab, "web-1", "bash", "-c",
			`exec 3<>/dev/tcp/127.0.0.1/80 || { echo refused; exit 0; }; printf 'GET / HTTP/1.0\r\n\r\n' >&3; cat <&3`)
	}
	for _, c := range []struct {
		version  string
		installs bool
		page     string
	}{
		{"1.1", true, "lab-web 1.1 web-1\n"},
		{"1.2", true, " 500 "},
		{"1.3", false, "refused"},
		{"1.4", true, "lab-web 1.0 web-1\n"}, // the new page comes with the reboot
	} {
		mustPublish(t, lab, c.version)
		mustSSH(t, lab, "web-1", aptGet+"update")
		out, err := lab.SSH(t.Context(), "web-1", aptGet+"install lab-web")
		if (err == nil) != c.installs {
			t.Errorf("install of %s: %v: %s", c.version, err, out)
		}
		if got := page(); !strings.Contains(got, c.page) {
			t.Errorf("%s serves %.200q, want %q", c.version, got, c.page)
		}
		if got := versions(t, lab, "web-1"); c.installs != (got["lab-web"] == c.version) || got["lab-web-data"] != c.version {
			t.Errorf("%s left lab-web %q and lab-web-data %q", c.version, got["lab-web"], got["lab-web-data"])
		}
		if _, err := lab.Exec(t.Context(), "web-1", "test", "-e", "/run/reboot-required"); (err == nil) != (c.version == "1.4") {
			t.Errorf("%s: /run/reboot-required: %v", c.version, err)
		}
		if c.version == "1.4" {
			break
		}
		mustSSH(t, lab, "web-1", aptGet+"install --allow-downgrades lab-web=1.0 lab-web-data=1.0")
		if after := versions(t, lab, "web-1"); !maps.Equal(before, after) {
			t.Errorf("after the way back from %s: %v, want %v", c.version, after, before)
		}
		if got := page(); !strings.Contains(got, "lab-web 1.0 web-1\n") {
			t.Errorf("after the way back from %s: %.200q", c.version, got)
		}
	}
	old := bootID(t, lab, "web-1")
	_, _ = lab.SSH(t.Context(), "web-1", "sudo systemctl reboot") // the connection may be cut before the answer
	await(t, "web-1 after its reboot", func() error {
		if id := bootID(t, lab, "web-1"); id == "" || id == old {
			return errors.New("no new boot id")
		}
		if got := page(); !strings.Contains(got, "lab-web 1.4 web-1\n") {
			return fmt.Errorf("it serves %.200q", got)
		}
		return nil
	})
}

func TestLabSecurityUpdatesAndTheWayBack(t *testing.T) {
	lab := labtest.New(t)
	before := versions(t, lab, "web-2")
	mustPublish(t, lab, "security")
	mustSSH(t, lab, "web-2", aptGet+"update")
	pending := mustSSH(t, lab, "web-2", "apt list --upgradable 2>/dev/null | grep bookworm-security")
	var back []string
	for _, line := range strings.Split(strings.TrimSpace(pending), "\n") {
		name, _, _ := strings.Cut(line, "/")
		back = append(back, name+"="+before[name])
	}
	if len(back) == 0 {
		t.Fatalf("no security updates are pending: %s", pending)
	}
	if got := mustSSH(t, lab, "web-2", "apt-cache policy | grep -c 'l=Debian-Security'"); got == "0\n" {
		t.Error("the archive is not marked as Debian's security archive")
	}
	mustSSH(t, lab, "web-2", aptGet+"dist-upgrade")
	changed := 0
	for name, version := range versions(t, lab, "web-2") {
		if before[name] != version {
			changed++
		}
	}
	if changed != len(back) {
		t.Errorf("%d packages changed, %d were pending", changed, len(back))
	}
	mustSSH(t, lab, "web-2", aptGet+"install --allow-downgrades "+strings.Join(back, " "))
	if after := versions(t, lab, "web-2"); !maps.Equal(before, after) {
		t.Errorf("after the way back: %v, want %v", after, before)
	}
}

func TestLabRebootAndPowerCut(t *testing.T) {
	lab := labtest.New(t)
	first := bootID(t, lab, "cache-1")
	mustExec(t, lab, "cache-1", "sh", "-c", "echo kept >/root/disk; echo lost >/run/memory")
	mustExec(t, lab, "cache-1", "consul", "maint", "-enable", "-service=redis", "-reason=ours")
	_, _ = lab.SSH(t.Context(), "cache-1", "sudo systemctl reboot") // the connection may be cut before the answer
	second := ""
	await(t, "cache-1 after its reboot", func() error {
		if second = bootID(t, lab, "cache-1"); second == "" || second == first {
			return errors.New("no new boot id")
		}
		_, err := lab.SSH(t.Context(), "cache-1", "true")
		return err
	})
	if got := mustExec(t, lab, "cache-1", "sh", "-c", "cat /root/disk; ls /run/memory 2>/dev/null || true"); got != "kept\n" {
		t.Errorf("after a reboot: %q", got)
	}
	await(t, "maintenance after a reboot", func() error {
		out, err := lab.Exec(t.Context(), "cache-1", "consul", "maint")
		if err != nil {
			return err
		}
		if !strings.Contains(out, "Reason: ours") {
			return fmt.Errorf("consul maint: %q", out)
		}
		return nil
	})
	if got := passing(t, lab, "redis"); len(got) != 1 || got[0] != "cache-2" {
		t.Errorf("in maintenance Consul passes %v, want cache-2", got)
	}

	if err := lab.PowerCut(t.Context(), "cache-1"); err != nil {
		t.Fatal(err)
	}
	if id := bootID(t, lab, "cache-1"); id != "" {
		t.Errorf("boot id %q without power", id)
	}
	if _, err := lab.SSH(t.Context(), "cache-1", "true"); err == nil {
		t.Error("SSH answers without power")
	}
	if raw, err := lab.ReadFile(t.Context(), "cache-1", "/root/disk"); err != nil || string(raw) != "kept\n" {
		t.Errorf("the disk without power: %q, %v", raw, err)
	}
	if err := lab.PowerCut(t.Context(), "cache-1"); err == nil {
		t.Error("a second power cut went well")
	}
	if err := lab.Start(t.Context(), "cache-1"); err != nil {
		t.Fatal(err)
	}
	third := ""
	await(t, "cache-1 after its power cut", func() error {
		if third = bootID(t, lab, "cache-1"); third == "" {
			return errors.New("no boot id")
		}
		_, err := lab.SSH(t.Context(), "cache-1", "true")
		return err
	})
	mustExec(t, lab, "cache-1", "consul", "maint", "-disable", "-service=redis")
	if err := lab.WaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}

	events, err := lab.Events()
	if err != nil {
		t.Fatal(err)
	}
	var story []string
	for _, e := range events {
		switch {
		case e.What == "reset":
			story = nil
		case e.Host == "cache-1":
			story = append(story, strings.TrimSpace(e.What+" "+e.BootID))
		}
	}
	want := []string{"start", "boot " + first, "reboot", "boot " + second, "power-cut", "stop", "start", "boot " + third}
	if got := story[max(0, len(story)-len(want)):]; strings.Join(got, ", ") != strings.Join(want, ", ") {
		t.Errorf("events of cache-1: %v, want %v", got, want)
	}
}

func TestLabReset(t *testing.T) {
	lab := labtest.New(t)
	before := map[string]map[string]string{}
	for _, h := range lab.Hosts() {
		before[h.Name] = versions(t, lab, h.Name)
	}
	mustPublish(t, lab, "1.1")
	mustSSH(t, lab, "web-1", aptGet+"update && "+aptGet+"install lab-web && sudo touch /root/leftover")
	mustExec(t, lab, "web-2", "consul", "maint", "-enable", "-reason=somebody")
	mustExec(t, lab, "web-2", "consul", "kv", "put", "leftover", "x")
	if err := lab.PowerCut(t.Context(), "solo-1"); err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	if err := lab.Reset(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Logf("reset took %s", time.Since(begun).Round(time.Millisecond))
	for _, h := range lab.Hosts() {
		if after := versions(t, lab, h.Name); !maps.Equal(before[h.Name], after) {
			t.Errorf("%s: %v, want %v", h.Name, after, before[h.Name])
		}
	}
	if _, err := lab.ReadFile(t.Context(), "web-1", "/root/leftover"); err == nil {
		t.Error("a file outlived the reset")
	}
	if _, err := lab.Exec(t.Context(), "web-2", "consul", "kv", "get", "leftover"); err == nil {
		t.Error("a Consul key outlived the reset")
	}
	if got := passing(t, lab, "web"); len(got) != 3 {
		t.Errorf("Consul passes %v for web", got)
	}
	if st, err := lab.Status(t.Context()); err != nil || st.Published != "1.0" || st.Security {
		t.Errorf("published after a reset: %+v, %v", st, err)
	}
}

func TestLabStatus(t *testing.T) {
	lab := labtest.New(t)
	st, err := lab.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range st.Hosts {
		if h.SSH != "ok" || h.Consul != "passing" || h.BootID == "" {
			t.Errorf("%+v", h)
		}
		// The pid is the machine's own: through it one sees the host.
		name, err := os.ReadFile(fmt.Sprintf("/proc/%d/root/etc/hostname", h.PID))
		if err != nil || string(name) != h.Name+"\n" {
			t.Errorf("%s: process %d is on %q, %v", h.Name, h.PID, name, err)
		}
	}
	if len(st.Ended) != 0 {
		t.Errorf("ended: %v", st.Ended)
	}
}

func TestLabLoadSeesWhatUsersSee(t *testing.T) {
	lab := labtest.New(t)
	const rate = 200
	l := load.Start(t.Context(), lab.WebURL(), rate)
	await(t, "two seconds of requests", func() error {
		if got := l.Snapshot(); got.Sent < 2*rate {
			return fmt.Errorf("%+v", got)
		}
		return nil
	})
	if got := l.Stop(); got.Failed != 0 || got.Rate < 0.99*rate {
		t.Errorf("an untouched cluster: %+v", got)
	}

	l = load.Start(t.Context(), lab.WebURL(), rate)
	await(t, "the first requests", func() error {
		if l.Snapshot().Sent < rate/10 {
			return errors.New("not yet")
		}
		return nil
	})
	mustExec(t, lab, "web-2", "systemctl", "stop", "nginx")
	await(t, "Consul's notice", func() error {
		if got := passing(t, lab, "web"); len(got) != 2 {
			return fmt.Errorf("Consul passes %v", got)
		}
		return nil
	})
	if got := l.Stop(); got.Failed == 0 {
		t.Errorf("nginx stopped under load and no request failed: %+v", got)
	} else {
		t.Logf("nginx stopped under load: %d of %d failed: %v", got.Failed, got.Sent, got.Errors)
	}
}

func TestLabInventoryNamesEveryHost(t *testing.T) {
	lab := labtest.New(t)
	raw, err := os.ReadFile(lab.InventoryFile())
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range lab.Hosts() {
		if !strings.Contains(string(raw), "name: "+h.Name+"\n    address: "+h.Address+"\n") {
			t.Errorf("the inventory lacks %s at %s:\n%s", h.Name, h.Address, raw)
		}
	}
}
