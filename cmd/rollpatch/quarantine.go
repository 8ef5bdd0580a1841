package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/rollpatch/rollpatch/activities"
	"github.com/rollpatch/rollpatch/activities/store"
	"github.com/rollpatch/rollpatch/cmd/internal/status"
	"github.com/rollpatch/rollpatch/inventory"
	"github.com/rollpatch/rollpatch/workflows"
	"github.com/rollpatch/rollpatch/workflows/plan"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

// ways are those out of a quarantine, as they are typed.
var ways = []string{workflows.Return, workflows.Rebuilt, workflows.Retired}

func (d *desk) quarantineCommand() *cli.Command {
	return group("quarantine", "show hosts that are not touched any more and versions that are left out, widen or end a quarantine",
		&cli.Command{
			Name: "list", Usage: "list the hosts and the versions in quarantine, since when, and why",
			Flags: join(inventoryFlags(), d.storeFlags(), outputFlags(), serverFlags()), Action: d.quarantines,
		},
		&cli.Command{
			Name: "release", Usage: "end a host's quarantine in one of three ways, or that of versions", ArgsUsage: "HOST|VERSIONS",
			Description: "With --return and --rebuilt the host is checked, as after a patch, and put back into service; where a check does not pass, it stays in quarantine.\n" +
				"VERSIONS are named as quarantine list names them, CLUSTER/ID: later instances may install them again.",
			Flags: join(inventoryFlags(), []cli.Flag{
				&cli.BoolFlag{Name: workflows.Return, Usage: "the host is in order again: check it and put it back into service"},
				&cli.BoolFlag{Name: workflows.Rebuilt, Usage: "the host was set up anew: check it and put it into service"},
				&cli.BoolFlag{Name: workflows.Retired, Usage: "the host is gone for good: forget it, and touch nothing"},
			}, elsewhereFlags(), messageFlags(), d.storeFlags(), outputFlags(), serverFlags()),
			Action: d.release,
		},
		d.widenCommand(),
	)
}

// shut is a host in quarantine, or versions.
type shut struct {
	Name   string    `json:"name"`           // what release takes
	Host   string    `json:"host"`           // of versions: the one that they failed on
	Since  time.Time `json:"since,omitzero"` // of versions: when they failed
	State  string    `json:"state"`          // drained, serving, or left-out
	By     string    `json:"by"`             // the instance
	Reason string    `json:"reason,omitempty"`

	Owner   string `json:"owner,omitempty"` // of the cluster, and how to reach them
	Contact string `json:"contact,omitempty"`

	Scope    string              `json:"scope,omitempty"`   // where versions are left out
	Widened  *activities.Widened `json:"widened,omitempty"` // by whom, where that is not where they failed
	Platform string              `json:"platform,omitempty"`
	Versions []activities.Change `json:"versions,omitempty"` // absent where this store has no list of them
	Count    int                 `json:"count,omitempty"`
	Review   time.Time           `json:"review,omitzero"`
	Overdue  bool                `json:"overdue,omitempty"` // the review date has passed
}

// leftOut is the state of versions in quarantine.
const leftOut = "left-out"

// shutOf reads a record, if it is one of a quarantine.
func (d *desk) shutOf(c *cli.Context, r workflows.Record) (shut, bool, error) {
	s := shut{Since: r.Since, By: r.Owner, Reason: r.Reason}
	if r.Told != nil {
		s.Owner, s.Contact = r.Told.Owner, r.Told.Contact
	}
	if host, ok := strings.CutPrefix(r.Key, rollout.QuarantineRecord); ok {
		s.Name, s.Host, s.State = host, host, "serving"
		if r.Drained {
			s.State = "drained"
		}
		return s, true, nil
	}
	name, ok := strings.CutPrefix(r.Key, rollout.VersionsRecord)
	if ok && r.Broken != "" {
		s.Name, s.State = name, leftOut
		return s, true, nil
	}
	if !ok || r.Suspects == nil {
		return s, false, nil
	}
	v := r.Suspects
	s.Name, s.Host, s.State, s.Scope, s.Count, s.Review, s.Widened = name, v.Host, leftOut, scopeOf(name), v.Count, v.Review, r.Widened
	s.Platform = strings.TrimSpace(v.OS + " " + v.Release + " " + v.Arch)
	s.Overdue = !v.Review.IsZero() && v.Review.Before(d.now())
	path, err := d.storeFolder(c.Path("store"))
	if err != nil {
		return s, false, err
	}
	folder, err := store.NewFolder(path)
	if err != nil {
		return s, false, err
	}
	// A worker put it there; its store may be on another machine.
	if body, err := folder.Get(c.Context, v.Body); err == nil && json.Unmarshal(body, &s.Versions) != nil {
		s.Versions = nil
	}
	return s, true, nil
}

// what names versions, the first ones where there are many.
func (s shut) what() string {
	const most = 4
	var names []string
	for i, v := range s.Versions {
		if i == most {
			break
		}
		names = append(names, v.Name+" "+v.New)
	}
	if more := s.Count - len(names); more > 0 && len(names) > 0 {
		names = append(names, fmt.Sprintf("and %d more", more))
	} else if more > 0 {
		return many(more, "package")
	}
	return strings.Join(names, ", ")
}

func (d *desk) quarantines(c *cli.Context) error {
	p, err := d.printer(c)
	if err != nil {
		return err
	}
	all, err := d.listRecords(c)
	if err != nil {
		return err
	}
	out := []shut{}
	for _, r := range all {
		s, ok, err := d.shutOf(c, r)
		if err != nil {
			return err
		}
		if ok {
			out = append(out, s)
		}
	}
	var hosts, versions []row
	for _, s := range out {
		if s.State == leftOut {
			review := stamp(s.Review)
			if s.Overdue {
				review += " (overdue)"
			}
			why := s.Host + ": " + s.Reason
			if w := s.Widened; w != nil {
				why += "; widened from " + w.From + " by " + w.By + ": " + w.Why
			}
			versions = append(versions, row{cells: []string{s.Name, s.Scope, stamp(s.Since), review, s.By, s.what(), why}})
			continue
		}
		hosts = append(hosts, row{cells: []string{s.Host, stamp(s.Since), s.State, s.By, s.Reason}})
	}
	if err := p.result(out, func() {
		if len(out) == 0 {
			fmt.Fprintln(p.w, "nothing is in quarantine")
		}
		if len(hosts) > 0 {
			p.table([]string{"host", "since", "state", "by", "why"}, hosts)
		}
		if len(hosts) > 0 && len(versions) > 0 {
			fmt.Fprintln(p.w)
		}
		if len(versions) > 0 {
			p.table([]string{"versions", "scope", "since", "review", "by", "packages", "failed on"}, versions)
		}
	}); err != nil {
		return err
	}
	if len(hosts) > 0 {
		d.note(`end one with: rollpatch quarantine release HOST --return|--rebuilt|--retired --reason "..."`)
	}
	if len(versions) > 0 {
		d.note(`let versions be installed again with: rollpatch quarantine release VERSIONS --reason "..."`)
	}
	return nil
}

func (d *desk) release(c *cli.Context) error {
	if strings.Contains(c.Args().First(), "/") {
		return d.releaseVersions(c)
	}
	p, inv, host, err := d.named(c, "HOST or VERSIONS")
	if err != nil {
		return err
	}
	how, err := way(c, host)
	if err != nil {
		return err
	}
	part, segment, err := whereabouts(inv, host, how)
	if err != nil {
		return err
	}
	m, err := d.messageOf(c, p.json)
	if err != nil {
		return err
	}
	if how != workflows.Retired {
		d.note("if %s is in quarantine, its checks are asked until they pass, for %s at most; Ctrl-C ends the waiting only", host, part.Policy.Checks.Timeout)
	}
	recs, err := d.changeRecord(c, m, []plan.Part{part}, workflows.RecordsInput{Word: workflows.RecordsRelease, Name: host, How: how, Segment: segment})
	if err != nil {
		return err
	}
	return p.done(recs, m, "release", func(r workflows.Record) string {
		what := "its checks pass and it is in service"
		if how == workflows.Retired {
			what = "its records are gone, the host itself was not touched"
		}
		return fmt.Sprintf("%s is released from the quarantine of %s since %s: %s", host, r.Owner, dash(stamp(r.Since)), what)
	})
}

// releaseVersions lets versions be installed again.
func (d *desk) releaseVersions(c *cli.Context) error {
	p, err := d.printer(c)
	if err != nil {
		return err
	}
	name, err := argument(c, "VERSIONS")
	if err != nil {
		return err
	}
	cluster, err := versionsNamed(c, name)
	if err != nil {
		return err
	}
	for _, w := range ways {
		if c.Bool(w) {
			return usage("quarantine release: --"+w+" is a way out for a host, and "+name+" are versions", "rollpatch quarantine release "+name+` --reason "..."`)
		}
	}
	inv, err := d.readInventory(c.Path("inventory"))
	if err != nil {
		return err
	}
	parts, err := consulsOf(c, inv, cluster)
	if err != nil {
		return err
	}
	m, err := d.messageOf(c, p.json)
	if err != nil {
		return err
	}
	recs, err := d.changeRecord(c, m, parts, workflows.RecordsInput{Word: workflows.RecordsRelease, Name: name, How: workflows.Versions, Segment: parts[0].Segment()})
	if err != nil {
		return err
	}
	return p.done(recs, m, "release", func(r workflows.Record) string {
		if cluster == rollout.Everywhere {
			return fmt.Sprintf("%s is released from quarantine: instances that begin now may install these versions again, but on clusters that quarantine list names with them", name)
		}
		return fmt.Sprintf("%s is released from quarantine, where %s put it at %s: instances that begin now may install these versions on cluster %s again", name, r.Owner, dash(stamp(r.Since)), cluster)
	})
}

// versionsNamed is the cluster of a name of versions.
func versionsNamed(c *cli.Context, name string) (cluster string, err error) {
	cluster, id, _ := strings.Cut(name, "/")
	if cluster == "" || id == "" || cluster != rollout.Everywhere && checkName(cluster) != nil || checkName(id) != nil {
		return "", usage(fmt.Sprintf("%q names no versions: they are CLUSTER/ID", name), "rollpatch quarantine list shows them")
	}
	return cluster, checkName(c.String("id"))
}

// consulsOf are the parts that reach the records of a cluster's versions.
func consulsOf(c *cli.Context, inv inventory.Inventory, cluster string) ([]plan.Part, error) {
	all := plan.Reach(inv)
	if cluster == rollout.Everywhere && len(all) > 0 {
		return all, nil
	}
	if part, ok := plan.PartOf(inv, cluster); ok {
		return []plan.Part{part}, nil
	}
	if len(all) != 1 { // it may have left the inventory
		return nil, usage(fmt.Sprintf("%q is no cluster of %s: nothing says which Consul has its records", cluster, c.Path("inventory")), nothingHint)
	}
	return all, nil
}

// scopeOf says where the versions of a name are left out.
func scopeOf(name string) string {
	cluster, _, _ := strings.Cut(name, "/")
	if cluster == rollout.Everywhere {
		return "every cluster"
	}
	return "cluster " + cluster
}

// whereabouts are the part in which a host is reached, and its segment. One that is retired may have left the inventory before: then
// its records are where all are, if there is one Consul.
func whereabouts(inv inventory.Inventory, host, how string) (plan.Part, string, error) {
	if in := inv.ClustersOf(host); len(in) > 0 {
		h, _ := inv.Host(host)
		part, _ := plan.PartOf(inv, in[0].Name)
		return part, h.Segment, nil
	}
	if all := plan.Reach(inv); how == workflows.Retired && len(all) == 1 {
		return all[0], all[0].Segment(), nil
	}
	var names []string
	for _, h := range inv.Hosts {
		names = append(names, h.Name)
	}
	return plan.Part{}, "", usage(fmt.Sprintf("%q is in no cluster of the inventory%s: nothing says which Consul has its records", host, inventory.DidYouMean(host, names)), nothingHint)
}

// way is the one that was chosen.
func way(c *cli.Context, host string) (string, error) {
	var chosen []string
	for _, w := range ways {
		if c.Bool(w) {
			chosen = append(chosen, w)
		}
	}
	if len(chosen) != 1 {
		said := "none is given"
		if len(chosen) > 1 {
			said = fmt.Sprintf("%d are given", len(chosen))
		}
		return "", usage("quarantine release: exactly one of --return, --rebuilt and --retired: "+said,
			"rollpatch quarantine release "+host+` --return --reason "..."    the host is in order again`,
			"rollpatch quarantine release "+host+` --rebuilt --reason "..."   it was set up anew`,
			"rollpatch quarantine release "+host+` --retired --reason "..."   it is gone for good`)
	}
	return chosen[0], nil
}

func flagOf(how string) string {
	if how == "" {
		return ""
	}
	return " --" + how
}

// shutIn is what a host in quarantine waits for.
func shutIn(cluster string, m status.Member) []status.Await {
	if m.Outcome != string(rollout.Quarantined) && !strings.HasPrefix(m.Reason, "in quarantine since ") {
		return nil
	}
	return []status.Await{{
		Cluster: cluster, Host: m.Host, For: "a person to end its quarantine, unless somebody did since", Person: true,
		Type: []string{"rollpatch quarantine list", "rollpatch quarantine release " + m.Host + ` --return --reason "..."`},
	}}
}

// ofReturn is a host that a person has released from its quarantine, or that the sweeper found left drained: its workflow belongs to no
// campaign.
func ofReturn(m workflows.MemberState, now time.Time) answer {
	from := "from its quarantine"
	if m.Found {
		from = "(" + m.Why + ")"
	}
	a := answer{Subject: m.Host, Kind: "host", Instance: m.Instance, State: string(m.Step), Reason: "on its way back " + from + ": " + m.Next(now).Reason, Since: m.WaitSince, Who: "nobody has to: it goes on by itself"}
	switch m.Outcome {
	case "":
	case rollout.Quarantined:
		a.State, a.Reason, a.Awaits = string(m.Outcome), "it was to come back from its quarantine, and was not in order: "+m.Member.Reason, shutIn("", status.Member{Host: m.Host, Outcome: string(m.Outcome)})
		if m.Found {
			a.Reason = m.Member.Reason // the last cause first, and then how it was found
		}
		a.Who = "a person who types one of the commands below"
	default:
		a.State, a.Reason, a.Who = string(m.Outcome), "back in service from its quarantine", "nobody has to"
	}
	return a
}
