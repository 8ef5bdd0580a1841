package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/rollpatch/rollpatch/cmd/internal/report"
	"github.com/rollpatch/rollpatch/inventory/campaign"
	"github.com/rollpatch/rollpatch/workflows/plan"
)

func leftoverFlags() []cli.Flag {
	return []cli.Flag{
		onlyFlag("`WHAT` of the campaign: leftovers, the hosts that the instance of --of did not bring to what was planned"),
		&cli.StringFlag{Name: "of", Usage: "the `INSTANCE` whose leftovers are meant"},
	}
}

// undone are the hosts that an instance has left undone, by cluster; nil: all of the campaign is meant. What they are is said, and who is in
// quarantine and left out.
func (d *desk) undone(c *cli.Context, file campaign.Campaign) (map[string][]string, error) {
	if err := checkOnly(c); err != nil {
		return nil, err
	}
	name := file.Name
	if c.Bool("emergency") {
		name = file.UrgentName()
	}
	switch of := c.String("of"); {
	case c.String("only") == "" && of == "":
		return nil, nil
	case c.String("only") == "" || of == "":
		return nil, usage(c.Command.Name+": --only leftovers and --of INSTANCE go together", listHint)
	case checkName(of) != nil:
		return nil, checkName(of)
	case campaignOf(of) == file.UrgentName() && !c.Bool("emergency"):
		return nil, usage(fmt.Sprintf("--of %q is an emergency: what it left goes on as one, for the same packages", of), "the command stands in its report: rollpatch report "+of+" --only leftovers")
	case campaignOf(of) != name:
		return nil, usage(fmt.Sprintf("--of %q is no instance of campaign %q", of, name), listHint)
	}
	srv, err := d.connect(c)
	if err != nil {
		return nil, err
	}
	defer srv.Close()
	instance, _, err := resolve(c.Context, srv, c.String("of"))
	if err != nil {
		return nil, err
	}
	r, err := d.reader(c, srv)
	if err != nil {
		return nil, err
	}
	s, err := r.Read(c.Context, instance)
	if err != nil {
		return nil, err
	}
	if !s.Over() {
		return nil, failed(fmt.Errorf("%s goes on, and may get to its hosts itself", instance), "what it waits for: rollpatch status "+instance)
	}
	left, out := map[string][]string{}, 0
	for _, l := range report.Leftovers(s) {
		if l.Host == "" {
			return nil, failed(fmt.Errorf("which hosts of %s %s left undone nobody can tell without the store", l.Cluster, instance), "--store DIR names the workers'")
		}
		if l.Out {
			out++
			d.note("%s %s stays as it is: %s; to end that: rollpatch quarantine release %s --return --reason \"...\"", l.Cluster, l.Host, l.Why, l.Host)
			continue
		}
		left[l.Cluster] = append(left[l.Cluster], l.Host)
		d.note("left over: %s %s, %s", l.Cluster, l.Host, l.Why)
	}
	if len(left) == 0 {
		why := instance + " left nothing undone"
		if out > 0 {
			why += fmt.Sprintf(" but %s in quarantine", many(out, "host"))
		}
		return nil, failed(errors.New(why), "what became of it: rollpatch report "+instance)
	}
	return left, nil
}

// only is the campaign of these clusters alone, in their stages and order.
func only(c campaign.Campaign, in func(campaign.Stage) []string, hosts map[string][]string) campaign.Campaign {
	var stages []campaign.Stage
	for _, s := range c.Stages {
		s.Clusters = slices.DeleteFunc(slices.Clone(in(s)), func(name string) bool { return len(hosts[name]) == 0 })
		s.Selector = nil
		if len(s.Clusters) > 0 {
			stages = append(stages, s)
		}
	}
	c.Stages = stages
	return c
}

// narrowed is the plan of what an instance left undone, or of everything.
func (f files) narrowed(d *desk, hosts map[string][]string, emergency urgent) (plan.Plan, map[string]plan.Part, error) {
	if hosts == nil {
		return f.plan(d, emergency)
	}
	f.campaign = only(f.campaign, func(s campaign.Stage) []string { return s.In(f.inventory) }, hosts)
	if len(f.campaign.Stages) == 0 {
		return plan.Plan{}, nil, failed(errors.New("no cluster that has something left over is in the campaign any more"), nothingHint)
	}
	pl, parts, err := f.plan(d, emergency)
	if err != nil {
		return pl, parts, err
	}
	var gone []string
	for name, left := range hosts {
		part := parts[name]
		for _, h := range left {
			if !slices.Contains(part.Cluster.Members, h) {
				gone = append(gone, name+" "+h)
			}
		}
		if kept := slices.DeleteFunc(slices.Clone(left), func(h string) bool { return slices.Contains(gone, name+" "+h) }); part.Cluster.Name != "" && len(kept) == 0 {
			return pl, parts, failed(fmt.Errorf("cluster %q has none of the hosts any more that were left undone: %s", name, strings.Join(left, ", ")), nothingHint)
		}
	}
	if slices.Sort(gone); len(gone) > 0 {
		d.note("not in the files any more: %s", strings.Join(gone, ", "))
	}
	pl, parts = plan.Only(pl, parts, hosts)
	return pl, parts, nil
}
