package risks

import (
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/rollpatch/rollpatch/inventory"
)

func at(i int, key string) string { return fmt.Sprintf("clusters[%d].%s", i, key) }

// spare reports whether the cluster goes on when one member is lost.
func spare(c inventory.Cluster) bool { return len(c.Members)-1 >= c.MinHealthy }

// redundancy finds clusters that the loss of one member takes down, with everyone who needs them.
func (f *finder) redundancy(i int, c inventory.Cluster) {
	if spare(c) {
		return
	}
	r := Risk{Severity: Severe, About: []string{c.Name}}
	if len(c.Members) == 1 {
		r.Kind, r.Path = SingleInstance, at(i, "members")
		r.What = fmt.Sprintf("%s is all there is of %s: every reboot of it is an outage", c.Members[0], c.Name)
		r.Remedy = "add a member; until then a campaign touches it only where its accept_impact names " + c.Name
	} else {
		r.Kind, r.Path = NoSpare, at(i, "min_healthy")
		r.What = fmt.Sprintf("min_healthy is %d of %d: the loss of any one member breaks it, and none can be taken out", c.MinHealthy, len(c.Members))
		r.Remedy = "add a member or lower min_healthy; until then a campaign touches it only where its accept_impact names " + c.Name
	}
	var names []string
	for _, d := range f.weak[c.Name] {
		names, r.Falls = append(names, d.Name), append(r.Falls, d.Chain)
	}
	if len(names) > 0 {
		r.What += "; " + strings.Join(names, ", ") + " would fall with it"
	}
	f.add(r)
}

// needs finds clusters that have a spare themselves, and fall with one that has none.
func (f *finder) needs() {
	index := map[string]int{}
	for i, c := range f.inv.Clusters {
		index[c.Name] = i
	}
	for _, weak := range f.inv.Clusters {
		for _, d := range f.weak[weak.Name] {
			i := index[d.Name]
			c := f.inv.Clusters[i]
			if !spare(c) {
				continue // that is told of it anyway
			}
			up := slices.Clone(d.Chain)
			slices.Reverse(up)
			f.add(Risk{
				Kind: NeedsSingle, Severity: Warning, About: []string{c.Name}, Path: fmt.Sprintf("%s[%d]", at(i, "depends_on"), slices.Index(c.DependsOn, up[1])),
				What:   fmt.Sprintf("%s, and the loss of one member of %s takes all of it: the %d members of %s are worth no more than that", strings.Join(up, " needs "), weak.Name, len(c.Members), c.Name),
				Remedy: "give " + weak.Name + " a spare member, or have " + up[0] + " do without " + up[1] + " for a while",
				Falls:  [][]string{d.Chain},
			})
		}
	}
}

// votes reports whether a cluster needs a majority of its members: etcd by its port, Consul's servers by the house.
func (f *finder) votes(c inventory.Cluster) bool {
	if slices.Contains(ports(c), 2379) {
		return true
	}
	for _, m := range c.Members {
		if f.hosts[m].House != "consul" {
			return false
		}
	}
	return len(c.Members) > 0
}

// majority finds clusters that vote, and would lose their majority by what is allowed.
func (f *finder) majority(i int, c inventory.Cluster) {
	size := len(c.Members)
	if need := size/2 + 1; size > 1 && f.votes(c) {
		// Members may go out as long as min_healthy stay and no more than max_unavailable are out.
		stay := max(c.MinHealthy, size-c.MaxUnavailable.Of(size))
		switch {
		case size-1 < need:
			f.add(Risk{
				Kind: Majority, Severity: Severe, About: []string{c.Name}, Path: at(i, "members"),
				What: fmt.Sprintf("its members vote, and %d that lose one have no majority: two are less safe than one", size), Remedy: "make it three members",
			})
		case stay < need:
			f.add(Risk{
				Kind: Majority, Severity: Severe, About: []string{c.Name}, Path: at(i, "max_unavailable"),
				What:   fmt.Sprintf("its members vote, and may be out until %d of %d are left, which is no majority", stay, size),
				Remedy: fmt.Sprintf("min_healthy: %d", need),
			})
		}
	}
}

// known are the ports whose servers keep state, and differ from each other.
var known = map[int]string{5432: "PostgreSQL", 3306: "MySQL", 6379: "Redis", 5672: "RabbitMQ", 2379: "etcd", 9200: "Elasticsearch"}

// ports are those that a cluster offers, as far as it says so: also those of checks on the member itself.
func ports(c inventory.Cluster) []int {
	var all []int
	for _, s := range c.Services {
		all = append(all, s.Port)
	}
	all = append(all, c.Ports...)
	for _, k := range c.Checks {
		if host, port, err := net.SplitHostPort(k.TCP); err == nil && (host == "localhost" || net.ParseIP(host).IsLoopback()) {
			if n, err := strconv.Atoi(port); err == nil {
				all = append(all, n)
			}
		}
	}
	return all
}

// stateful finds databases and queues whose members go out like those of a web server.
func (f *finder) stateful(i int, c inventory.Cluster) {
	if c.Drain == inventory.DrainCommand {
		return // its scripts are where a switchover stands
	}
	for _, port := range ports(c) {
		if what, ok := known[port]; ok {
			f.add(Risk{
				Kind: Stateful, Severity: Severe, About: []string{c.Name}, Path: at(i, "drain"),
				What:   fmt.Sprintf("port %d is %s's, and nothing here knows its leader or whether a replica is behind: members go out in the order written, without a switchover", port, what),
				Remedy: "write drain: command with scripts that switch over first and say out only once the replicas are level; and list the leader last under members",
			})
			return
		}
	}
}

func (f *finder) drain(i int, c inventory.Cluster) {
	if c.Drain == inventory.DrainNone {
		f.add(Risk{
			Kind: NotDrained, Severity: Warning, About: []string{c.Name}, Path: at(i, "drain"), What: "its members are patched and rebooted while users are on them",
			Remedy: "write drain: consul or drain: command; until then a campaign touches it only where its accept_impact names " + c.Name,
		})
	}
}

// proofs finds what a patch could break without anybody seeing it, and data that could not be had back.
func (f *finder) proofs(i int, c inventory.Cluster) {
	add := func(k Kind, s Severity, path, what, remedy string) {
		f.add(Risk{Kind: k, Severity: s, About: []string{c.Name}, Path: path, What: what, Remedy: remedy})
	}
	if len(c.Checks) == 0 {
		add(NoChecks, Warning, at(i, "checks"), "without checks Consul alone says whether a patch was good", `write some, such as {name: page, http: {url: "http://127.0.0.1/"}}`)
	}
	switch {
	case c.Backup == nil && slices.ContainsFunc(ports(c), func(p int) bool { return known[p] != "" }):
		add(NoBackup, Warning, at(i, "backup"), "it keeps state, and nobody asks for its backup before a member is changed", `write backup: {file: "/srv/backup/*", max_age: 26h}, or a command`)
	case c.Backup == nil:
		add(NoBackup, Note, at(i, "backup"), "nobody asks for its backup before a member is changed", `if it keeps anything: write backup: {file: "/srv/backup/*", max_age: 26h}, or a command`)
	case c.Backup.RestoreProven == "":
		add(RestoreUnknown, Note, at(i, "backup"), "when one of its backups was last restored is not written", "try it, and write the day as backup.restore_proven")
	}
}

func (f *finder) people(i int, c inventory.Cluster) {
	switch {
	case c.Owner == "" && c.Contact == "":
		f.add(Risk{Kind: NoOwner, Severity: Warning, About: []string{c.Name}, Path: at(i, "owner"), What: "nobody answers for it: a hold at night finds nobody to call", Remedy: "write owner and contact"})
	case c.Owner == "":
		f.add(Risk{Kind: NoOwner, Severity: Note, About: []string{c.Name}, Path: at(i, "owner"), What: "it has a contact and no owner: nobody is named who may agree to work on it", Remedy: "write owner"})
	case c.Contact == "":
		f.add(Risk{Kind: NoOwner, Severity: Note, About: []string{c.Name}, Path: at(i, "contact"), What: "how " + c.Owner + " is reached is not written", Remedy: "write contact"})
	}
}
