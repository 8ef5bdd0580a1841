package inventory

import (
	"cmp"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// Problem is one rule that a value breaks. Path is spelled as in the file (hosts[1].name); See is the path of what it collides with, or
// empty, and belongs after Msg, once a reader of files has turned it into a line. Unless is a path, or empty: while something there cannot
// be read, the problem may be no more than a consequence of that.
type Problem struct {
	Path   string
	Msg    string
	See    string
	Unless string
}

// String writes the problem for whoever has paths but no lines.
func (p Problem) String() string {
	if p.See != "" {
		return p.Path + ": " + p.Msg + " at " + p.See
	}
	return p.Path + ": " + p.Msg
}

// Enum is a text of which only some values mean something.
type Enum interface{ Values() []string }

// Problems collects problems.
type Problems []Problem

// Add notes a problem.
func (p *Problems) Add(path, format string, args ...any) {
	*p = append(*p, Problem{Path: path, Msg: fmt.Sprintf(format, args...)})
}

// Clash notes a problem with something said before.
func (p *Problems) Clash(path, see, format string, args ...any) {
	*p = append(*p, Problem{Path: path, Msg: fmt.Sprintf(format, args...), See: see})
}

// Name checks a name that ends up in workflow ids, Consul keys, unit names and folders.
func (p *Problems) Name(path, name, example string) {
	switch {
	case name == "":
		p.Add(path, "is missing: give it a name, such as %s", example)
	case len(name) > 63:
		p.Add(path, "%q is longer than 63 characters", name)
	case !nameForm.MatchString(name):
		p.Add(path, "%q is no name: use letters, digits, dots, dashes and underscores, beginning with a letter or digit", name)
	}
}

// OneOf checks a text that may be absent.
func OneOf[T interface {
	Enum
	~string
}](p *Problems, path string, value T) {
	if known := value.Values(); value != "" && !slices.Contains(known, string(value)) {
		p.Add(path, "%q is not known: write %s", string(value), either(known))
	}
}

// Once checks that key was not used before, and remembers it.
func (p *Problems) Once(seen map[string]string, key, path, format string, args ...any) {
	if key == "" {
		return
	}
	if before, ok := seen[key]; ok {
		p.Clash(path, before, format, args...)
		return
	}
	seen[key] = path
}

// Secret checks a secret reference. What it holds is never repeated: it may be the secret itself, written in the wrong place.
func (p *Problems) Secret(path string, s *Secret) {
	if s == nil {
		return
	}
	if given := countTrue(s.Env != "", s.File != "", len(s.Command) > 0); given != 1 {
		p.Add(path, "needs exactly one of env, file and command, such as {env: CONSUL_HTTP_TOKEN}")
	}
	if s.Env != "" && !envForm.MatchString(s.Env) {
		p.Add(path+".env", "is no name of an environment variable: write the variable's name, never the secret itself")
	}
	p.filePath(path+".file", s.File)
	p.Argv(path+".command", s.Command)
}

var (
	nameForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)
	envForm  = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	unitForm = regexp.MustCompile(`^[A-Za-z0-9_:.@\\-]+$`)
)

// Validate names every rule that the inventory breaks, in no special order. It takes values as written; those of Resolve break no more.
func (inv Inventory) Validate() []Problem {
	var p Problems
	p.access("access", inv.Access)
	p.consul("consul", inv.Consul)
	p.Zone("zone", inv.Zone)
	p.Windows("windows", inv.Windows, inv.Zone)
	p.Freezes("freezes", inv.Freezes, inv.Zone)
	inv.validateHosts(&p)
	inv.validateClusters(&p)
	inv.validateTogether(&p)
	inv.validateAccept(&p)
	p.People("approvers", inv.Approvers)
	p.Approvers("approvers", inv.Approvers, inv.Clusters)
	p.Emergency("emergency", inv.Emergency)
	return p
}

func (inv Inventory) validateHosts(p *Problems) {
	if len(inv.Hosts) == 0 {
		p.Add("hosts", "is missing or empty: list at least one host, such as {name: web-1, address: 192.0.2.11}")
	}
	nobody := !slices.ContainsFunc(inv.Hosts, func(h Host) bool { return h.Access.or(inv.Access).User != "" })
	if nobody && len(inv.Hosts) > 0 {
		p.Add("access.user", "is missing: say who logs in, here or under access of each host")
	}
	names, addresses := map[string]string{}, map[string]string{}
	for i, h := range inv.Hosts {
		at := fmt.Sprintf("hosts[%d]", i)
		p.Name(at+".name", h.Name, "web-1")
		p.Once(names, h.Name, at+".name", "%q is already used", h.Name)
		if h.Segment != "" {
			p.Name(at+".segment", h.Segment, DefaultSegment)
		}
		if h.Playbook != "" {
			p.Name(at+".playbook", h.Playbook, "apt")
		}
		if h.House != "" {
			p.Name(at+".house", h.House, "consul")
		}
		p.power(at+".power", h.Power)
		p.access(at+".access", h.Access)
		access := h.Access.or(inv.Access).or(Access{Port: DefaultPort})
		if access.User == "" && !nobody {
			p.Add(at+".access.user", "is missing: say who logs in, here or once for all hosts under access")
		}
		if h.Address == "" {
			p.Add(at+".address", "is missing: give a DNS name or an IP address")
			continue
		}
		if !isAddress(h.Address) {
			p.Add(at+".address", "%q is no address: write a DNS name or an IP address alone; a port or a user goes under access", h.Address)
			continue
		}
		// One machine under two names would be counted twice as in service, and be taken out twice.
		where := net.JoinHostPort(strings.ToLower(h.Address), strconv.Itoa(access.Port))
		p.Once(addresses, where, at+".address", "%q, port %d, is already the address of another host", h.Address, access.Port)
	}
}

func (inv Inventory) validateClusters(p *Problems) {
	if len(inv.Clusters) == 0 {
		p.Add("clusters", "is missing or empty: list at least one cluster with its members")
	}
	hosts, clusters := map[string]bool{}, map[string]bool{}
	for _, h := range inv.Hosts {
		hosts[h.Name] = true
	}
	for _, c := range inv.Clusters {
		clusters[c.Name] = true
	}
	hostNames, clusterNames := sorted(hosts), sorted(clusters)
	// While names are missing, every use of one would be reported too and hide the cause.
	host := func(path, name string, among []string) {
		if name != "" && len(hosts) > 0 && !hosts[""] && !hosts[name] {
			p.Add(path, "%q is no host of this inventory%s", name, DidYouMean(name, hostNames, among...))
		}
	}

	names := map[string]string{}
	for i, c := range inv.Clusters {
		at := fmt.Sprintf("clusters[%d]", i)
		p.Name(at+".name", c.Name, "web")
		p.Once(names, c.Name, at+".name", "%q is already used", c.Name)
		if len(c.Members) == 0 {
			p.Add(at+".members", "is missing or empty: list the cluster's hosts in the order of work")
		}
		seen := map[string]string{}
		for j, m := range c.Members {
			path := fmt.Sprintf("%s.members[%d]", at, j)
			host(path, m, c.Members)
			p.Once(seen, m, path, "%q is already a member", m)
		}
		inv.validateServices(p, at, c)
		inv.validateDrain(p, at, c)
		if c.DrainCommands != nil {
			for j, h := range c.DrainCommands.On {
				host(fmt.Sprintf("%s.drain_commands.on[%d]", at, j), h, c.DrainCommands.On)
			}
		}
		if size := len(c.Members); size > 0 {
			if c.MaxUnavailable.Number > size {
				p.Add(at+".max_unavailable", "%d is more than the cluster's size, %d", c.MaxUnavailable.Number, size)
			}
			if c.MinHealthy > size {
				p.Add(at+".min_healthy", "%d is more than the cluster's size, %d", c.MinHealthy, size)
			}
		}
		if c.MinHealthy < 0 {
			p.Add(at+".min_healthy", "%d is less than 1: a cluster may only go out of service where the campaign accepts it by name (accept_impact)", c.MinHealthy)
		}
		seen = map[string]string{}
		for j, d := range c.DependsOn {
			path := fmt.Sprintf("%s.depends_on[%d]", at, j)
			p.Once(seen, d, path, "%q is already listed", d)
			switch {
			case d != "" && d == c.Name:
				p.Add(path, "%q depends on itself", d)
			case d != "" && !clusters[""] && !clusters[d]:
				p.Add(path, "%q is no cluster of this inventory%s", d, DidYouMean(d, clusterNames, append([]string{c.Name}, c.DependsOn...)...))
			}
		}
		inv.validateChecks(p, at, c)
		p.consul(at+".consul", c.Consul)
		p.backup(at+".backup", c.Backup)
		for j, h := range c.Consul.Hosts {
			host(fmt.Sprintf("%s.consul.hosts[%d]", at, j), h, c.Consul.Hosts)
		}
	}
	for j, h := range inv.Consul.Hosts {
		host(fmt.Sprintf("consul.hosts[%d]", j), h, inv.Consul.Hosts)
	}
	inv.validateCycles(p)
	inv.validateReach(p)
}

func (inv Inventory) validateServices(p *Problems, at string, c Cluster) {
	if len(c.Services) == 0 && (c.Drain == "" || c.Drain == DrainConsul) {
		p.Add(at+".services", "is missing or empty: list the Consul services that the members offer, such as {name: web, port: 80}")
	}
	seen := map[string]string{}
	for j, s := range c.Services {
		path := fmt.Sprintf("%s.services[%d]", at, j)
		p.Name(path+".name", s.Name, "web")
		p.Once(seen, s.Name, path+".name", "%q is already used", s.Name)
		if s.Port == 0 {
			p.Add(path+".port", "is missing: give the port whose connections prove that a member is drained")
		}
		p.port(path+".port", s.Port)
		OneOf(p, path+".passing_means", s.PassingMeans)
	}
}

func (inv Inventory) validateChecks(p *Problems, at string, c Cluster) {
	seen := map[string]string{}
	for j, check := range c.Checks {
		path := fmt.Sprintf("%s.checks[%d]", at, j)
		p.Name(path+".name", check.Name, "port")
		p.Once(seen, check.Name, path+".name", "%q is already used", check.Name)
		if countTrue(check.Unit != "", check.TCP != "", check.HTTP != nil, len(check.Command) > 0) != 1 {
			p.Add(path, "needs exactly one of unit, tcp, http and command")
		}
		if check.Unit != "" && !unitForm.MatchString(check.Unit) {
			p.Add(path+".unit", "%q is no systemd unit: write its name, such as nginx.service", check.Unit)
		}
		if check.TCP != "" && !isHostPort(check.TCP) {
			p.Add(path+".tcp", "%q is no host and port: write them as seen from the member, such as 127.0.0.1:80", check.TCP)
		}
		p.Argv(path+".command", check.Command)
		if h := check.HTTP; h != nil {
			switch {
			case h.URL == "":
				p.Add(path+".http.url", "is missing: give the address as seen from the member, such as http://127.0.0.1/")
			case !isURL(h.URL):
				p.Add(path+".http.url", "%q is no http or https address, such as http://127.0.0.1/", h.URL)
			}
			if h.Status != 0 && (h.Status < 100 || h.Status > 599) {
				p.Add(path+".http.status", "%d is no HTTP status: write a number from 100 to 599", h.Status)
			}
		}
	}
}

// validateCycles names each cluster that depends on itself through others, once per cycle.
func (inv Inventory) validateCycles(p *Problems) {
	index := map[string]int{}
	for i, c := range inv.Clusters {
		if _, twice := index[c.Name]; !twice {
			index[c.Name] = i
		}
	}
	const (
		unseen = iota
		onTrail
		done
	)
	state := make([]int, len(inv.Clusters))
	var trail []string
	var visit func(i int)
	visit = func(i int) {
		state[i] = onTrail
		trail = append(trail, inv.Clusters[i].Name)
		for j, d := range inv.Clusters[i].DependsOn {
			next, ok := index[d]
			if !ok || next == i {
				continue
			}
			switch state[next] {
			case unseen:
				visit(next)
			case onTrail:
				cycle := append(slices.Clone(trail[slices.Index(trail, d):]), d)
				p.Add(fmt.Sprintf("clusters[%d].depends_on[%d]", i, j), "closes a circle: %s; no order of work could satisfy it", strings.Join(cycle, " needs "))
			}
		}
		trail = trail[:len(trail)-1]
		state[i] = done
	}
	for i := range inv.Clusters {
		if state[i] == unseen {
			visit(i)
		}
	}
}

// validateReach holds the rule that Consul never hangs on the member being worked on: through SSH it takes at least two hosts.
func (inv Inventory) validateReach(p *Problems) {
	const rule = "Consul must be reached through at least two hosts, because one of them may be the member being rebooted"
	if len(inv.Consul.Hosts) == 1 && inv.Consul.Via != ViaDirect {
		p.Add("consul.hosts", "names one host: %s", rule)
	}
	for i, c := range inv.Resolve().Clusters {
		if c.Consul.Via != ViaSSH || len(c.Consul.Hosts) != 1 {
			continue
		}
		switch {
		case len(inv.Clusters[i].Consul.Hosts) == 1:
			p.Add(fmt.Sprintf("clusters[%d].consul.hosts", i), "names one host: %s", rule)
		case len(inv.Consul.Hosts) == 0:
			p.Add(fmt.Sprintf("clusters[%d].consul", i), "the cluster's segment has one host, and %s: name others under consul.hosts, or write via: direct", rule)
		}
	}
}

func (p *Problems) access(at string, a Access) {
	if a.User != "" && (!isPlain(a.User) || strings.HasPrefix(a.User, "-")) {
		p.Add(at+".user", "%q is no user name", a.User)
	}
	p.port(at+".port", a.Port)
	p.filePath(at+".identity_file", a.IdentityFile)
	p.filePath(at+".known_hosts", a.KnownHosts)
}

func (p *Problems) power(at string, power *Power) {
	if power == nil {
		return
	}
	if len(power.Command) == 0 {
		p.Add(at+".command", "is missing: give the program of the worker that cycles the power, and its arguments")
	}
	p.Argv(at+".command", power.Command)
	for _, name := range slices.Sorted(maps.Keys(power.Env)) {
		if !envForm.MatchString(name) {
			p.Add(at+".env"+Key(name), "%q is no name of an environment variable", name)
		}
		ref := power.Env[name]
		p.Secret(at+".env"+Key(name), &ref)
	}
}

func (p *Problems) consul(at string, c Consul) {
	OneOf(p, at+".via", c.Via)
	if c.Address != "" && !isHostPort(c.Address) && !isURL(c.Address) {
		p.Add(at+".address", "%q is no host and port: write them as seen from where Consul is asked, such as 127.0.0.1:8500", c.Address)
	}
	if c.Via == ViaDirect && len(c.Hosts) > 0 {
		p.Add(at+".hosts", "means nothing with via: direct: remove it, or write via: ssh")
	}
	seen := map[string]string{}
	for j, h := range c.Hosts {
		path := fmt.Sprintf("%s.hosts[%d]", at, j)
		p.Once(seen, h, path, "%q is already listed", h)
	}
	p.Secret(at+".token", c.Token)
	if c.DNSTTL != nil && *c.DNSTTL < 0 {
		p.Add(at+".dns_ttl", "must not be negative")
	}
}

func (p *Problems) port(path string, port int) {
	if port < 0 || port > 65535 {
		p.Add(path, "%d is no port: write a number from 1 to 65535", port)
	}
}

func (p *Problems) filePath(path, file string) {
	switch {
	case strings.Contains(file, "-----BEGIN") || strings.ContainsFunc(file, unicode.IsControl):
		p.Add(path, "holds more than a path: write where the file is, never what is in it")
	case strings.HasPrefix(file, "~") && file != "~" && !strings.HasPrefix(file, "~/"):
		p.Add(path, "%q: only ~/ stands for a home folder; write the whole path of another user's", file)
	}
}

// Argv checks a program and its arguments, which may be absent.
func (p *Problems) Argv(path string, argv []string) {
	if len(argv) > 0 && strings.TrimSpace(argv[0]) == "" {
		p.Add(path+"[0]", "is empty: the first word is the program")
	}
}

// DidYouMean offers the known word nearest to an unknown one, as the tail of a message, but none of those that stand there already. It
// offers nothing rather than something far-fetched, or than keeping people waiting: thousands of unknown words against thousands of known
// ones take longer than all else together.
func DidYouMean(word string, known []string, but ...string) string {
	if len(known) > 1000 {
		return ""
	}
	if near := Nearest(word, known, but...); near != "" {
		return fmt.Sprintf("; did you mean %q?", near)
	}
	return ""
}

// Nearest is the known word, none of but, that a few slips of the keyboard turn into word, or empty.
func Nearest(word string, known []string, but ...string) string {
	// Names of machines differ by a digit on purpose: a short word allows one slip only.
	best, allowed := "", min(3, 1+len(word)/5)
	for _, k := range known {
		if d := slips(strings.ToLower(word), strings.ToLower(k), allowed); d <= allowed && d < len(k) && !slices.Contains(but, k) {
			best, allowed = k, d-1
		}
	}
	return best
}

// slips counts letters inserted, left out, changed or swapped with their neighbour, up to limit.
func slips(a, b string, limit int) int {
	if len(a)-len(b) > limit || len(b)-len(a) > limit {
		return limit + 1
	}
	var before []int
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		next := make([]int, len(b)+1)
		next[0] = i
		for j := 1; j <= len(b); j++ {
			change := row[j-1]
			if a[i-1] != b[j-1] {
				change++
			}
			next[j] = min(change, row[j]+1, next[j-1]+1)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				next[j] = min(next[j], before[j-2]+1)
			}
		}
		before, row = row, next
	}
	return row[len(b)]
}

func either(words []string) string {
	if len(words) == 1 {
		return words[0]
	}
	return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
}

func sorted[K cmp.Ordered](set map[K]bool) []K {
	keys := make([]K, 0, len(set))
	for k := range set {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func countTrue(given ...bool) int {
	n := 0
	for _, g := range given {
		if g {
			n++
		}
	}
	return n
}

func isPlain(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) })
}

func isAddress(s string) bool {
	if strings.Contains(s, ":") {
		_, err := netip.ParseAddr(s)
		return err == nil
	}
	return nameForm.MatchString(s)
}

func isHostPort(s string) bool {
	host, port, err := net.SplitHostPort(s)
	if err != nil || !isAddress(host) {
		return false
	}
	n, err := strconv.Atoi(port)
	return err == nil && n > 0 && n <= 65535
}

func isURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && isPlain(s)
}
