package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/rollpatch/rollpatch/inventory"
	"github.com/rollpatch/rollpatch/workflows/plan"
	"github.com/rollpatch/rollpatch/workflows/preflight"
)

func (d *desk) checkCommand() *cli.Command {
	return &cli.Command{
		Name:      "check",
		Usage:     "say which hosts could be patched, and what stands against the others",
		ArgsUsage: "[CAMPAIGN.yaml|CLUSTER|HOST|LABEL=VALUE]",
		Description: "Asks all hosts of the inventory, of a campaign, a cluster or the clusters with that label (several: a=b,c=d), or one host.\n" +
			"Nothing is changed anywhere. What is found is on one of three lists: ready, ready with accepted findings, or blocked, with what to do about it.\n" +
			"It ends with status 3 where a host is blocked.",
		Flags:  join(inventoryFlags(), d.storeFlags(), outputFlags(), serverFlags()),
		Action: d.check,
	}
}

// checked is the three lists.
type checked struct {
	Ready    []looked `json:"ready"`
	Accepted []looked `json:"accepted"`
	Blocked  []looked `json:"blocked"`
	Outside  []string `json:"outside,omitempty"` // hosts of no cluster: nobody asks them
}

// looked is one host and what was found there, what is worse first.
type looked struct {
	Host     string              `json:"host"`
	Clusters []string            `json:"clusters"`
	Findings []preflight.Finding `json:"findings,omitempty"`
}

func (d *desk) check(c *cli.Context) error {
	p, err := d.printer(c)
	if err != nil {
		return err
	}
	if err := atMost(c, 1); err != nil {
		return err
	}
	pl, parts, what, err := d.toCheck(c, c.Args().First())
	if err != nil {
		return err
	}
	answers, err := d.askHosts(c, pl, parts, what)
	if err != nil {
		return err
	}
	r := lists(parts, answers)
	if c.Args().First() == "" {
		r.Outside, err = d.outside(c)
		if err != nil {
			return err
		}
	}
	if err := p.result(r, func() { p.checked(r) }); err != nil || len(r.Blocked) == 0 {
		return err
	}
	return &problem{code: exitHalted, err: fmt.Errorf("%s blocked: mend what is listed, or accept it in the inventory, until a day", many(len(r.Blocked), "host"))}
}

// toCheck is the parts of what is named: a campaign's clusters, or the inventory's.
func (d *desk) toCheck(c *cli.Context, named string) (plan.Plan, map[string]plan.Part, inquiry, error) {
	what := inquiry{check: true}
	if ext := filepath.Ext(named); ext == ".yaml" || ext == ".yml" {
		f, err := d.readFiles(c.Path("inventory"), named)
		if err != nil {
			return plan.Plan{}, nil, what, err
		}
		pl, parts, err := f.plan(d, urgent{})
		return pl, parts, what, err
	}
	inv, err := d.readInventory(c.Path("inventory"))
	if err != nil {
		return plan.Plan{}, nil, what, err
	}
	clusters, host, err := selected(inv, named)
	if err != nil {
		return plan.Plan{}, nil, what, err
	}
	what.host = host
	pl, parts := plan.ForCheck(inv, clusters)
	return pl, parts, what, nil
}

// selected is the clusters that a word stands for, and the one host where it is that of a host.
func selected(inv inventory.Inventory, word string) (clusters []string, host string, err error) {
	labels := inventory.Labels{}
	for pair := range strings.SplitSeq(word, ",") {
		if key, value, ok := strings.Cut(pair, "="); ok && key != "" {
			labels[key] = value
		} else if strings.Contains(word, "=") {
			return nil, "", usage(fmt.Sprintf("check: %q is no label: write LABEL=VALUE, several with commas between them", pair), "rollpatch check --help says more")
		}
	}
	var known []string
	for _, cl := range inv.Clusters {
		if word == "" || cl.Name == word || cl.Labels.Match(labels) {
			clusters = append(clusters, cl.Name)
		}
		known = append(known, cl.Name)
	}
	if len(clusters) > 0 {
		return clusters, "", nil
	}
	if of := inv.ClustersOf(word); len(of) > 0 {
		return []string{of[0].Name}, word, nil
	}
	if _, ok := inv.Host(word); ok {
		return nil, "", usage(fmt.Sprintf("check: host %q is in no cluster: nobody would patch it, and nobody asks it", word), "put it into one in the inventory")
	}
	for _, h := range inv.Hosts {
		known = append(known, h.Name)
	}
	return nil, "", usage(fmt.Sprintf("check: %q is no cluster, no host and no label of a cluster of this inventory%s", word, inventory.DidYouMean(word, known)), "rollpatch check --help says more")
}

// outside lists the hosts of no cluster.
func (d *desk) outside(c *cli.Context) (names []string, err error) {
	inv, err := d.readInventory(c.Path("inventory"))
	for _, h := range inv.Hosts {
		if len(inv.ClustersOf(h.Name)) == 0 {
			names = append(names, h.Name)
		}
	}
	return names, err
}

// lists puts every host onto one of the three.
func lists(parts map[string]plan.Part, answers []plan.Answer) checked {
	r := checked{Ready: []looked{}, Accepted: []looked{}, Blocked: []looked{}}
	of := map[string][]string{}
	for _, part := range parts {
		for _, o := range append([]plan.Other{{Cluster: part.Cluster}}, part.Others...) {
			for _, m := range o.Cluster.Members {
				if !slices.Contains(of[m], o.Cluster.Name) {
					of[m] = append(of[m], o.Cluster.Name)
				}
			}
		}
	}
	for _, a := range answers {
		l := looked{Host: a.Host, Clusters: of[a.Host], Findings: a.Findings}
		slices.Sort(l.Clusters)
		if a.Unknown != "" {
			l.Findings = append(l.Findings, preflight.Finding{
				Check: preflight.Access, Host: a.Host, Severity: preflight.Severe, What: "not asked: " + a.Unknown, Remedy: "look at the worker of its segment, then check again",
			})
		}
		switch preflight.Stands(l.Findings) {
		case preflight.Ready:
			r.Ready = append(r.Ready, l)
		case preflight.Accepted:
			r.Accepted = append(r.Accepted, l)
		default:
			r.Blocked = append(r.Blocked, l)
		}
	}
	return r
}

func (p printer) checked(r checked) {
	all := len(r.Ready) + len(r.Accepted) + len(r.Blocked)
	fmt.Fprintf(p.w, "%s: %d ready, %d ready with accepted findings, %d blocked\n", many(all, "host"), len(r.Ready), len(r.Accepted), len(r.Blocked))
	if len(r.Outside) > 0 {
		fmt.Fprintf(p.w, "in no cluster, and not asked: %s\n", strings.Join(r.Outside, " "))
	}
	var names []string
	for _, l := range r.Ready {
		names = append(names, l.Host)
	}
	if len(names) > 0 {
		fmt.Fprintf(p.w, "\nready: %s\n", strings.Join(names, " "))
	}
	p.findings(r.Ready)
	if len(r.Accepted) > 0 {
		fmt.Fprintf(p.w, "\nready with accepted findings: %s\n", many(len(r.Accepted), "host"))
	}
	p.findings(r.Accepted)
	if len(r.Blocked) > 0 {
		fmt.Fprintf(p.w, "\nblocked: %s\n", many(len(r.Blocked), "host"))
	}
	p.findings(r.Blocked)
}

// findings is a table of what was found, with what to do, or why that is not needed.
func (p printer) findings(hosts []looked) {
	var rows []row
	for _, l := range hosts {
		for _, f := range l.Findings {
			word, do := string(f.Severity), f.Remedy
			switch {
			case f.Accepted != "":
				word, do = "accepted", fmt.Sprintf("until %s: %s", f.Until, f.Accepted)
			case f.Expired:
				do = fmt.Sprintf("was accepted until %s; %s", f.Until, do)
			}
			rows = append(rows, row{cells: []string{l.Host, word, f.Check, f.What, do}})
		}
	}
	if len(rows) > 0 {
		p.table([]string{"host", "finding", "check", "what", "what to do"}, rows)
	}
}
