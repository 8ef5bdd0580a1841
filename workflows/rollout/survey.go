package rollout

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Record is what stands in a Consul for an instance.
type Record struct {
	Key    string    `json:"key"` // cluster/<name>, drain/<host>, quarantine/<host>, updaters/<cluster>/<host>
	Owner  string    `json:"owner"`
	Server string    `json:"server,omitempty"` // the one that its owner runs on
	Since  time.Time `json:"since"`
	Broken string    `json:"broken,omitempty"` // why it cannot be read; then nobody knows whose it is
}

// Mark is a service that is in maintenance with a reason which names rollpatch.
type Mark struct {
	Node     string `json:"node"`
	Service  string `json:"service"` // its id
	Reason   string `json:"reason"`
	Instance string `json:"instance,omitempty"` // as the reason names it
	Host     string `json:"host,omitempty"`
}

// Survey is what stands in every Consul that could be asked. It tells what an instance left behind that nobody remembers: the server's
// database was put back to an older copy, or its history is over (P5).
type Survey struct {
	Server  string // ours: what belongs to another one is told and never touched
	Records []Record
	Marks   []Mark
}

// Suspect is an instance of this server that has something locked or drained: whether it works is for the server to say.
type Suspect struct {
	Instance string   `json:"instance"`
	Clusters []string `json:"clusters,omitempty"` // that it has claimed
	Hosts    []string `json:"hosts,omitempty"`    // that it has drained
	Updaters []string `json:"updaters,omitempty"` // hosts whose automatic updates it has turned off
	Quiet    []string `json:"quiet,omitempty"`    // the clusters that it has done so for
}

// Owner is what the server, and the inventory, say of a suspect.
type Owner struct {
	Runs  bool   `json:"runs,omitempty"`  // its campaign runs, and may still come to all that it has claimed
	Works string `json:"works,omitempty"` // a workflow of it that is at work on a cluster or a host, or that is about to be taken up
	Ended string `json:"ended,omitempty"` // how it ended; empty: the server does not know it
	// Over are clusters whose workflow has come to its end: it brings nothing back any more, however long the campaign goes on.
	Over map[string]bool `json:"over,omitempty"`
	// Hosts are those that it has drained.
	Hosts map[string]Home `json:"hosts,omitempty"`
}

// Home says of a host that is drained who works on it, and whether it can be put back.
type Home struct {
	AtWork  bool   `json:"at_work,omitempty"` // a member of its owner works on it
	Busy    string `json:"busy,omitempty"`    // another instance works on it
	Problem string `json:"problem,omitempty"` // why nobody can reach it
}

// What a survey has done.
const (
	MendReturn = "return" // the member is looked at, checked and put back
	MendDrop   = "drop"   // the claim is given back
	MendUpdate = "update" // the host's automatic updates are turned on again
	MendTell   = "tell"   // a person must see to it
	MendNote   = "note"   // it stands on the sweeper's page, and is no trouble of ours
)

// Mend is one thing to do about what was found.
type Mend struct {
	Do      string
	Key     string // of the record, if there is one
	Owner   string
	Cluster string // that is claimed
	Host    string // that is left drained, or is in maintenance
	Text    string
	Next    string // the command to type
}

// Seen is something that nobody works on, and since when surveys find it so.
type Seen struct {
	What  string    `json:"what"`
	Since time.Time `json:"since"`
}

// Patience is how long something must stand with nobody at work on it before it is mended. Records are read before their owners are
// asked for, so one look may meet an end in between. And an activity of a life that the server has forgotten must have heard so first:
// its worker hears it with a heartbeat, every few seconds.
const Patience = 30 * time.Second

// quarantined are the hosts on record as not to be touched: what is left of them is a person's to end.
func (s Survey) quarantined() map[string]bool {
	hosts := map[string]bool{}
	for _, r := range s.Records {
		if host, ok := strings.CutPrefix(r.Key, QuarantineRecord); ok {
			hosts[host] = true
		}
	}
	return hosts
}

// at is what a record locks: a cluster that is claimed, or a host that is drained and not in quarantine; both are empty for all others.
func (s Survey) at(r Record, quarantined map[string]bool) (cluster, host string) {
	if name, ok := strings.CutPrefix(r.Key, ClusterRecord); ok {
		return name, ""
	}
	if name, ok := strings.CutPrefix(r.Key, DrainRecord); ok && !quarantined[name] {
		return "", name
	}
	return "", ""
}

// updatesOf is the host whose automatic updates a record says are off, and the cluster that they are off for.
func updatesOf(r Record) (cluster, host string, ok bool) {
	name, ok := strings.CutPrefix(r.Key, UpdaterRecord)
	cluster, host, _ = strings.Cut(name, "/")
	return cluster, host, ok
}

// Suspects are the instances of this server with records that somebody must work on, by name.
func (s Survey) Suspects() []Suspect {
	quarantined := s.quarantined()
	var all []Suspect
	for _, r := range s.Records {
		cluster, host := s.at(r, quarantined)
		quiet, updates, off := updatesOf(r)
		if r.Server != s.Server || s.Server == "" || cluster+host == "" && !off {
			continue
		}
		i := slices.IndexFunc(all, func(o Suspect) bool { return o.Instance == r.Owner })
		if i < 0 {
			i, all = len(all), append(all, Suspect{Instance: r.Owner})
		}
		switch {
		case off:
			all[i].Updaters, all[i].Quiet = append(all[i].Updaters, updates), append(all[i].Quiet, quiet)
		case cluster != "":
			all[i].Clusters = append(all[i].Clusters, cluster)
		default:
			all[i].Hosts = append(all[i].Hosts, host)
		}
	}
	for i := range all {
		slices.Sort(all[i].Clusters)
		slices.Sort(all[i].Hosts)
		slices.Sort(all[i].Updaters)
		slices.Sort(all[i].Quiet)
		all[i].Updaters, all[i].Quiet = slices.Compact(all[i].Updaters), slices.Compact(all[i].Quiet)
		all[i].Clusters, all[i].Hosts = slices.Compact(all[i].Clusters), slices.Compact(all[i].Hosts)
	}
	slices.SortFunc(all, func(a, b Suspect) int { return cmp.Compare(a.Instance, b.Instance) })
	return all
}

// Mend says what is to be done, what was seen with nobody at work on it, and when the next of that is due (zero: nothing is). What was
// not asked for, an owner or one of its hosts, counts as worked on. The look began at began, and all had answered at now: a put-back server
// may go on with a look that it began before the copy was made.
func (s Survey) Mend(owners map[string]Owner, seen []Seen, began, now time.Time) (todo []Mend, still []Seen, due time.Time) {
	quarantined := s.quarantined()
	// long says that this has stood for long enough.
	long := func(what string) bool {
		since := now
		if i := slices.IndexFunc(seen, func(o Seen) bool { return o.What == what }); i >= 0 {
			since = seen[i].Since
		}
		still = append(still, Seen{What: what, Since: since})
		at := since.Add(Patience)
		if at.After(began) && (due.IsZero() || at.Before(due)) {
			due = at
		}
		return !at.After(began)
	}
	for _, r := range s.Records {
		if r.Broken != "" {
			todo = append(todo, Mend{Do: MendTell, Key: r.Key, Text: r.Broken, Next: "consul kv get " + RecordsRoot + r.Key})
			continue
		}
		cluster, host := s.at(r, quarantined)
		quiet, updates, off := updatesOf(r)
		if cluster+host == "" && !off {
			continue
		}
		if r.Server != s.Server || s.Server == "" {
			todo = append(todo, Mend{Do: MendNote, Key: r.Key, Owner: r.Owner, Text: r.Key + " of " + r.Owner + " belongs to another rollpatch"})
			continue
		}
		of, asked := owners[r.Owner]
		home, idle := of.Hosts[host], asked && !of.Runs && of.Works == ""
		if host != "" {
			_, asked = of.Hosts[host]
			idle = asked && !home.AtWork
		}
		left := r.Owner + ", which " + of.gone()
		if off && !idle && of.Over[quiet] {
			idle, left = true, r.Owner+", whose work on cluster "+quiet+" has ended"
		}
		if !idle || !long(r.Key+" "+r.Owner) {
			continue
		}
		if off {
			todo = append(todo, Mend{Do: MendUpdate, Key: r.Key, Owner: r.Owner, Host: updates, Text: "automatic updates of " + updates + " were left off by " + left})
			continue
		}
		m := Mend{Do: MendDrop, Key: r.Key, Owner: r.Owner, Cluster: cluster, Host: host, Text: "it was left claimed by " + r.Owner + ", which " + of.gone()}
		if host != "" {
			m = drained(m, of, home)
		} else if left := s.left(r.Owner, quarantined); left != "" {
			m.Do, m.Text = MendNote, "the claim of cluster "+cluster+" stays until "+left+" is back: "+m.Text
		}
		todo = append(todo, m)
	}
	for _, m := range s.Marks {
		if s.recorded(m) || quarantined[m.Host] || !long("maintenance "+m.Node+" "+m.Service+" "+m.Reason) {
			continue
		}
		todo = append(todo, Mend{
			Do: MendTell, Owner: m.Instance, Host: cmp.Or(m.Host, m.Node),
			Text: fmt.Sprintf("service %s on %s is in maintenance by %q, and no record in Consul says for whom: it is left as it is", m.Service, m.Node, m.Reason),
			Next: "consul maint -disable -service " + m.Service,
		})
	}
	return todo, still, due
}

// drained is what is done about a host that is left drained.
func drained(m Mend, of Owner, home Home) Mend {
	left := "was left drained by " + m.Owner + ", which " + of.gone()
	switch {
	case home.Problem != "":
		m.Do, m.Text, m.Next = MendTell, m.Host+" "+left+": "+home.Problem, "consul kv get "+RecordsRoot+m.Key
	case home.Busy != "":
		m.Do, m.Text, m.Next = MendTell, m.Host+" "+left+": "+home.Busy+" works on it", "rollpatch why "+m.Host
	default:
		m.Do, m.Text = MendReturn, "it "+left
	}
	return m
}

// left is a host that the instance still has out of service.
func (s Survey) left(instance string, quarantined map[string]bool) string {
	for _, r := range s.Records {
		if _, host := s.at(r, quarantined); host != "" && r.Owner == instance && r.Server == s.Server {
			return host
		}
	}
	for _, m := range s.Marks {
		if m.Instance == instance && !quarantined[m.Host] {
			return m.Host
		}
	}
	return ""
}

// recorded says that a drain is on record for this maintenance, or may be.
func (s Survey) recorded(m Mark) bool {
	return slices.ContainsFunc(s.Records, func(r Record) bool { return r.Key == DrainRecord+m.Host && (r.Owner == m.Instance || r.Broken != "") })
}

func (o Owner) gone() string {
	switch {
	case o.Runs || o.Works != "":
		return "does not remember it (was the server's database put back to an older copy?)"
	case o.Ended != "":
		return "has ended (" + o.Ended + ")"
	}
	return "this server does not know (was its database put back to an older copy?)"
}

// Forgotten is a member that an instance left drained which nobody remembers; why says what became of the instance. Whether anything was
// changed nobody knows.
func Forgotten(instance, cluster, host, why string, p MemberPolicy) Member {
	return NewMember(instance, cluster, host, ModeReturn, false, p).found(why)
}
