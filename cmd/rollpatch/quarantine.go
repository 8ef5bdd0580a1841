package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/rollpatch/rollpatch/cmd/internal/status"
	"github.com/rollpatch/rollpatch/inventory"
	"github.com/rollpatch/rollpatch/workflows"
	"github.com/rollpatch/rollpatch/workflows/plan"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

// ways are those out of a quarantine, as they are typed.
var ways = []string{workflows.Return, workflows.Rebuilt, workflows.Retired}

func (d *desk) quarantineCommand() *cli.Command {
	return group("quarantine", "show hosts that are not touched any more, or end a host's quarantine",
		&cli.Command{
			Name: "list", Usage: "list the hosts in quarantine, since when, whether they serve, and why",
			Flags: join(inventoryFlags(), d.storeFlags(), outputFlags(), serverFlags()), Action: d.quarantines,
		},
		&cli.Command{
			Name: "release", Usage: "end a host's quarantine, in one of three ways", ArgsUsage: "HOST",
			Description: "With --return and --rebuilt the host is checked, as after a patch, and put back into service; where a check does not pass, it stays in quarantine.",
			Flags: join(inventoryFlags(), []cli.Flag{
				&cli.BoolFlag{Name: workflows.Return, Usage: "the host is in order again: check it and put it back into service"},
				&cli.BoolFlag{Name: workflows.Rebuilt, Usage: "the host was set up anew: check it and put it into service"},
				&cli.BoolFlag{Name: workflows.Retired, Usage: "the host is gone for good: forget it, and touch nothing"},
			}, messageFlags(), d.storeFlags(), outputFlags(), serverFlags()),
			Action: d.release,
		},
	)
}

// shut is a host in quarantine.
type shut struct {
	Host   string    `json:"host"`
	Since  time.Time `json:"since,omitzero"`
	State  string    `json:"state"` // drained or serving
	By     string    `json:"by"`    // the instance
	Reason string    `json:"reason,omitempty"`
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
		host, ok := strings.CutPrefix(r.Key, quarantineKey)
		if !ok {
			continue
		}
		s := shut{Host: host, Since: r.Since, State: "serving", By: r.Owner, Reason: r.Reason}
		if r.Drained {
			s.State = "drained"
		}
		out = append(out, s)
	}
	if err := p.result(out, func() {
		var rows []row
		for _, s := range out {
			rows = append(rows, row{cells: []string{s.Host, stamp(s.Since), s.State, s.By, s.Reason}})
		}
		p.table([]string{"host", "since", "state", "by", "why"}, rows)
	}); err != nil {
		return err
	}
	if len(out) > 0 {
		d.note(`end one with: rollpatch quarantine release HOST --return|--rebuilt|--retired --reason "..."`)
	}
	return nil
}

func (d *desk) release(c *cli.Context) error {
	p, inv, host, err := d.named(c, "HOST")
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
		d.note("the checks of %s are asked until they pass, for %s at most; Ctrl-C ends the waiting only", host, part.Policy.Checks.Timeout)
	}
	recs, err := d.changeRecord(c, m, part, workflows.RecordsInput{Word: workflows.RecordsRelease, Name: host, How: how, Segment: segment})
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
