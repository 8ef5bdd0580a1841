package main

import (
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/rollpatch/rollpatch/inventory"
	"github.com/rollpatch/rollpatch/workflows"
	"github.com/rollpatch/rollpatch/workflows/plan"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

func (d *desk) widenCommand() *cli.Command {
	return &cli.Command{
		Name: "widen", Usage: "leave versions in quarantine out on another cluster too, or on every one", ArgsUsage: "VERSIONS",
		Description: "VERSIONS are named as quarantine list names them, CLUSTER/ID. What they are left out as elsewhere is listed, and released, by a name of its own:\n" +
			"OTHER/ID, or " + rollout.Everywhere + "/ID, which counts for every cluster in the inventory's Consuls, also for those that come later.",
		Flags: join(inventoryFlags(), []cli.Flag{
			&cli.StringFlag{Name: "cluster", Usage: "`NAME` of the cluster that they are left out on too"},
			&cli.BoolFlag{Name: "all", Usage: "leave them out on every cluster"},
		}, messageFlags(), d.storeFlags(), outputFlags(), serverFlags()),
		Action: d.widen,
	}
}

// widen has versions in quarantine left out beyond the cluster that they failed in.
func (d *desk) widen(c *cli.Context) error {
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
	scope := c.String("cluster")
	if (scope == "") != c.Bool("all") {
		return usage("quarantine widen: exactly one of --cluster and --all", "rollpatch quarantine widen "+name+` --cluster NAME --reason "..."`, "rollpatch quarantine widen "+name+` --all --reason "..."`)
	}
	if c.Bool("all") {
		scope = rollout.Everywhere
	}
	inv, err := d.readInventory(c.Path("inventory"))
	if err != nil {
		return err
	}
	if err := widens(c, inv, name, cluster, scope); err != nil {
		return err
	}
	from, err := consulsOf(c, inv, cluster)
	if err != nil {
		return err
	}
	to, err := consulsOf(c, inv, scope)
	if err != nil {
		return err
	}
	m, err := d.messageOf(c, p.json)
	if err != nil {
		return err
	}
	recs, err := d.changeRecord(c, m, append([]plan.Part{from[0]}, to...), workflows.RecordsInput{Word: workflows.RecordsWiden, Name: name, Scope: scope, Segment: from[0].Segment()})
	if err != nil {
		return err
	}
	return p.done(recs, m, "widen", func(r workflows.Record) string {
		where := scopeOf(scope + "/")
		if r.Into == "" {
			return fmt.Sprintf("%s was left out on %s before: nothing was changed", name, where)
		}
		return fmt.Sprintf("%s is left out on %s too, as %s: instances that fetch from now on do not install these versions there", name, where, r.Into)
	})
}

// widens refuses what would leave out nothing more.
func widens(c *cli.Context, inv inventory.Inventory, name, cluster, scope string) error {
	switch {
	case cluster == rollout.Everywhere:
		return usage(fmt.Sprintf("quarantine widen: %s is left out on every cluster", name), "rollpatch quarantine list shows them")
	case cluster == scope:
		return usage(fmt.Sprintf("quarantine widen: %s is left out on cluster %s, name another one", name, scope), "rollpatch quarantine list shows them")
	case scope == rollout.Everywhere:
		return nil
	}
	var names []string
	for _, cl := range inv.Clusters {
		names = append(names, cl.Name)
	}
	if _, ok := inv.Cluster(scope); !ok {
		return usage(fmt.Sprintf("%q is no cluster of %s%s", scope, c.Path("inventory"), inventory.DidYouMean(scope, names)), nothingHint)
	}
	return nil
}
