package main

import (
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/rollpatch/rollpatch/inventory/file"
	"github.com/rollpatch/rollpatch/inventory/risks"
)

func (d *desk) risksCommand() *cli.Command {
	return &cli.Command{
		Name:      "risks",
		Usage:     "list single points of failure, and what rollpatch cannot protect",
		ArgsUsage: "[FILE]",
		Description: "Reads the inventory alone and asks nobody: no host, no Consul, no server.\n" +
			"It ends with status 3 where something is more than a note.",
		Flags:  join(inventoryFlags(), outputFlags()),
		Action: d.risks,
	}
}

// risky is what an inventory risks.
type risky struct {
	Hosts    int       `json:"hosts"`
	Clusters int       `json:"clusters"`
	Risks    []located `json:"risks"`
}

// located is a risk, and where the inventory says so.
type located struct {
	File string `json:"file"`
	Line int    `json:"line"`
	risks.Risk
}

func (d *desk) risks(c *cli.Context) error {
	p, err := d.printer(c)
	if err != nil {
		return err
	}
	if err := atMost(c, 1); err != nil {
		return err
	}
	path := c.Path("inventory")
	if named := c.Args().First(); named != "" {
		if c.IsSet("inventory") {
			return usage(fmt.Sprintf("two inventories: %s and %s", path, named), "rollpatch inventory risks --help says more")
		}
		path = named
	}
	sources, err := inventorySources(path)
	if err != nil {
		return err
	}
	inv, err := d.parseInventory(path, sources)
	if err != nil {
		return invalid(err)
	}
	found := risks.Find(inv.Value.Resolve())
	out := risky{Hosts: len(inv.Value.Hosts), Clusters: len(inv.Value.Clusters), Risks: []located{}}
	count := map[risks.Severity]int{}
	for _, r := range found {
		var at file.Finding
		if at = inv.At(r.Path); at.Path != "" {
			r.Path = at.Path
		}
		out.Risks = append(out.Risks, located{File: at.File, Line: at.Line, Risk: r})
		count[r.Severity]++
	}
	if err := p.result(out, func() { p.risks(path, out, count) }); err != nil || !risks.Urgent(found) {
		return err
	}
	return &problem{code: exitHalted, err: fmt.Errorf("%s more than a note: what to write stands beside each", areMany(count[risks.Severe]+count[risks.Warning], "risk"))}
}

func areMany(n int, thing string) string {
	if n == 1 {
		return "1 " + thing + " is"
	}
	return many(n, thing) + " are"
}

func (p printer) risks(path string, r risky, count map[risks.Severity]int) {
	fmt.Fprintf(p.w, "%s: %s, %s: %d severe, %s, %s\n", path, many(r.Hosts, "host"), many(r.Clusters, "cluster"),
		count[risks.Severe], many(count[risks.Warning], "warning"), many(count[risks.Note], "note"))
	var rows []row
	for _, k := range r.Risks {
		rows = append(rows, row{cells: []string{string(k.Severity), string(k.Kind), strings.Join(k.About, " "), fmt.Sprintf("%s:%d %s", k.File, k.Line, k.Path), k.What, k.Remedy}})
	}
	if len(rows) > 0 {
		fmt.Fprintln(p.w)
		p.table([]string{"risk", "kind", "about", "where", "what", "what to do"}, rows)
	}
}
