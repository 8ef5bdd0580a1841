package sim

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// The rest of the stand-ins: small tools that show how the host is.

// renamed is the name that a version of lab-web gives its host.
const renamed = "renamed"

// hostname is what the host calls itself. Who works on it knows it by its own name all the same.
func (h *host) hostname() string {
	raw, err := os.ReadFile(filepath.Join(h.root, "etc/hostname"))
	if err != nil {
		return h.name
	}
	return strings.TrimSpace(string(raw))
}

func (h *host) rename(name string) error { return h.write("etc/hostname", name+"\n") }

func uname(i *invocation) int {
	o := options(i.argv[1:])
	kernel := i.h.pkgs.runningKernel()
	var words []string
	for _, f := range []struct {
		flags []string
		value string
	}{
		{[]string{"-s", "-a"}, "Linux"}, {[]string{"-n", "-a"}, i.h.hostname()}, {[]string{"-r", "-a"}, kernel},
		{[]string{"-v", "-a"}, "#1 SMP PREEMPT_DYNAMIC Debian"}, {[]string{"-m", "-a"}, "x86_64"},
	} {
		if o.has(f.flags...) || len(o.flags) == 0 && f.flags[0] == "-s" {
			words = append(words, f.value)
		}
	}
	i.out("%s\n", strings.Join(words, " "))
	return 0
}

func hostname(i *invocation) int {
	if options(i.argv[1:]).has("-I", "--all-ip-addresses") {
		i.out("%s \n", i.h.ip)
		return 0
	}
	i.out("%s\n", i.h.hostname())
	return 0
}

// ports are what listens on the host.
func (h *host) ports() (all []struct {
	port    int
	addr    string
	process string
}) {
	add := func(port int, addr, process string) {
		all = append(all, struct {
			port    int
			addr    string
			process string
		}{port, addr, process})
	}
	add(22, "0.0.0.0", "sshd")
	for _, s := range h.services {
		if h.servicesUp() && h.unitActive(s.unit()) {
			add(s.port, "0.0.0.0", strings.TrimSuffix(s.unit(), ".service"))
		}
	}
	add(consulPort, "127.0.0.1", "consul")
	return all
}

// ss shows what listens, or with a filter on a port, who is connected to it.
func ss(i *invocation) int {
	o := options(i.argv[1:])
	h := i.h
	header := !o.has("-H", "--no-header")
	words := strings.NewReplacer("(", " ", ")", " ", "'", " ").Replace(strings.Join(o.words, " "))
	if !o.has("-l", "--listening") && !o.has("-a", "--all") {
		if header {
			i.out("Recv-Q Send-Q Local Address:Port Peer Address:Port Process\n")
		}
		for _, s := range h.services {
			if !wantsPort(words, s.port) {
				continue
			}
			s.mu.Lock()
			n := len(s.conns)
			s.mu.Unlock()
			h.mu.Lock()
			n += h.held[s.port]
			h.mu.Unlock()
			for c := range n {
				i.out("%s0      0      %s:%d 10.77.255.1:%d\n", stateColumn(o, words, "ESTAB"), h.ip, s.port, 40000+c)
			}
		}
		return 0
	}
	if header {
		i.out("Netid State Recv-Q Send-Q Local Address:Port Peer Address:Port Process\n")
	}
	for n, p := range h.ports() {
		netid := ""
		if o.has("-u", "--udp") || !o.has("-t", "--tcp") {
			netid = "tcp   "
		}
		process := ""
		if o.has("-p", "--processes") && i.root {
			process = fmt.Sprintf(" users:((%q,pid=%d,fd=6))", p.process, 300+n)
		}
		i.out("%sLISTEN 0      128    %s:%d 0.0.0.0:*%s\n", netid, p.addr, p.port, process)
	}
	return 0
}

// stateColumn is left out by ss where the filter names a single state.
func stateColumn(o opts, filter, state string) string {
	if strings.Contains(filter, "state ") {
		return ""
	}
	return state + " "
}

// wantsPort: a filter that names ports names this one; one that names none wants all.
func wantsPort(filter string, port int) bool {
	named := false
	for _, w := range strings.Fields(filter) {
		if n, err := strconv.Atoi(strings.TrimPrefix(w[strings.LastIndexByte(w, ':')+1:], "=")); err == nil {
			named = true
			if n == port {
				return true
			}
		}
	}
	return !named
}

// ip shows addresses and routes.
func ip(i *invocation) int {
	o := options(i.argv[1:])
	words := strings.Join(o.words, " ")
	switch {
	case strings.HasPrefix(words, "a"):
		if o.has("-o", "--oneline", "-oneline", "-br", "-brief") || strings.Contains(strings.Join(i.argv, " "), "-o") {
			i.out("2: host0    inet %s/16 brd 127.77.255.255 scope global host0\\       valid_lft forever preferred_lft forever\n", i.h.ip)
		} else {
			i.out("2: host0: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 state UP\n    inet %s/16 scope global host0\n", i.h.ip)
		}
	case strings.HasPrefix(words, "r"):
		if o.has("-6") {
			return 0
		}
		i.out("default via 127.77.0.1 dev host0 proto static\n127.77.0.0/16 dev host0 proto kernel scope link src %s\n", i.h.ip)
	}
	return 0
}

// df shows a disk with room, or as much as a test left of it.
func df(i *invocation) int {
	o := options(i.argv[1:], "-B", "--block-size", "--output")
	unit, head := int64(1024), "1024-blocks"
	for _, v := range append(o.flags["-B"], o.flags["--block-size"]...) {
		switch v {
		case "1":
			unit, head = 1, "1-blocks"
		case "M", "1M":
			unit, head = 1<<20, "1M-blocks"
		}
	}
	if o.has("-m") {
		unit, head = 1<<20, "1M-blocks"
	}
	const total = int64(20) << 30
	i.h.mu.Lock()
	free := i.h.free
	i.h.mu.Unlock()
	if columns := o.list("--output"); len(columns) > 0 {
		values := map[string][2]string{
			"avail": {"Avail", fmt.Sprint(free / unit)}, "size": {head, fmt.Sprint(total / unit)}, "used": {"Used", fmt.Sprint((total - free) / unit)}, "iavail": {"IFree", "1000000"},
			"target": {"Mounted on", "/"}, "source": {"Filesystem", "/dev/vda1"}, "fstype": {"Type", "ext4"}, "pcent": {"Use%", fmt.Sprint((total-free)*100/total) + "%"},
		}
		for row := range 2 {
			var line []string
			for _, c := range columns {
				line = append(line, values[c][row])
			}
			i.out("%s\n", strings.Join(line, " "))
		}
		return 0
	}
	if o.has("-i", "--inodes") {
		i.out("Filesystem Inodes IUsed IFree IUse%% Mounted on\n/dev/vda1 1300000 300000 1000000 24%% /\n")
		return 0
	}
	i.out("Filesystem %s Used Available Capacity Mounted on\n/dev/vda1 %d %d %d %d%% /\n", head, total/unit, (total-free)/unit, free/unit, (total-free)*100/total)
	return 0
}

// FreeSpace says how many bytes the host's disk has left, as df tells it; nothing else fills it.
func (f *Fleet) FreeSpace(name string, bytes int64) error {
	h, err := f.host(name)
	if err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.free = bytes
	return nil
}

func timedatectl(i *invocation) int {
	if o := options(i.argv[1:], "-p", "--property"); len(o.words) > 0 && o.words[0] == "show" {
		if o.has("--value") {
			i.out("yes\n")
		} else {
			i.out("NTPSynchronized=yes\n")
		}
		return 0
	}
	i.out("System clock synchronized: yes\n              NTP service: active\n")
	return 0
}

// redisCLI asks the host's own redis.
func redisCLI(i *invocation) int {
	o := options(i.argv[1:], "-h", "-p")
	port := 6379
	if v := o.flags["-p"]; len(v) > 0 {
		port, _ = strconv.Atoi(v[0]) // no number: refused below
	}
	c, err := i.h.dialService(i.ctx, port, false)
	if err != nil {
		i.warn("Could not connect to Redis at 127.0.0.1:%d: Connection refused\n", port)
		return 1
	}
	defer c.Close()
	if _, err := fmt.Fprintf(c, "%s\r\n", strings.Join(o.words, " ")); err != nil {
		i.warn("Error: %v\n", err)
		return 1
	}
	line, err := bufio.NewReader(c).ReadString('\n')
	if err != nil {
		i.warn("Error: Server closed the connection\n")
		return 1
	}
	i.out("%s\n", strings.TrimLeft(strings.TrimSpace(line), "+"))
	return 0
}

// curl asks an address of the fleet, with the few options that checks use.
func curl(i *invocation) int {
	o := options(i.argv[1:], "-o", "--output", "-w", "--write-out", "-m", "--max-time", "--connect-timeout", "-H", "--header", "-X", "--request")
	if len(o.words) != 1 {
		i.warn("curl: one address, please\n")
		return 2
	}
	u, err := url.Parse(o.words[0])
	if err != nil {
		i.warn("curl: (3) %v\n", err)
		return 3
	}
	client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, addr string) (net.Conn, error) {
			name, port, err := net.SplitHostPort(addr)
			if err != nil {
				return nil, err
			}
			n, err := strconv.Atoi(port)
			if err != nil {
				return nil, err
			}
			return i.h.fleet.dial(ctx, i.h, name, n)
		},
	}}
	req, err := http.NewRequestWithContext(i.ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		i.warn("curl: (3) %v\n", err)
		return 3
	}
	resp, err := client.Do(req)
	if err != nil {
		i.warn("curl: (7) Failed to connect to %s: Connection refused\n", u.Host)
		return 7
	}
	defer resp.Body.Close()
	if o.has("-f", "--fail") && resp.StatusCode >= 400 {
		i.warn("curl: (22) The requested URL returned error: %d\n", resp.StatusCode)
		return 22
	}
	var to io.Writer = i.stdout
	if v := append(o.flags["-o"], o.flags["--output"]...); len(v) > 0 {
		to = io.Discard
		if v[0] != "/dev/null" {
			file, err := os.Create(i.path(v[0]))
			if err != nil {
				i.warn("curl: (23) %v\n", err)
				return 23
			}
			defer file.Close()
			to = file
		}
	}
	if _, err := io.Copy(to, resp.Body); err != nil {
		i.warn("curl: (18) %v\n", err)
		return 18
	}
	if v := append(o.flags["-w"], o.flags["--write-out"]...); len(v) > 0 {
		i.out("%s", strings.NewReplacer("%{http_code}", fmt.Sprint(resp.StatusCode), `\n`, "\n").Replace(v[0]))
	}
	return 0
}
