package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/rollpatch/rollpatch/cmd/internal/wiring"
	"github.com/rollpatch/rollpatch/inventory"
	"github.com/rollpatch/rollpatch/inventory/campaign"
	"github.com/rollpatch/rollpatch/inventory/file"
	"github.com/rollpatch/rollpatch/workflows/calendar"
)

func (d *desk) validateCommand() *cli.Command {
	return &cli.Command{
		Name:      "validate",
		Usage:     "read files and say everything that is wrong with them",
		ArgsUsage: "[FILE...]",
		Description: "Reads the inventory and the campaign files given, and holds the campaigns against the inventory.\n" +
			"Where they have windows or freezes it also says when what would happen, and what they leave no room for.\n" +
			"A FILE that has hosts and no stages is taken for the inventory itself.",
		Flags:  join(inventoryFlags(), outputFlags()),
		Action: d.validate,
	}
}

// validated is what was read, when nothing is wrong with it.
type validated struct {
	Findings  []file.Finding `json:"findings"`
	Hosts     int            `json:"hosts"`
	Clusters  int            `json:"clusters"`
	Campaigns []string       `json:"campaigns"`
	// Dates are those of campaigns with windows or freezes, by file.
	Dates map[string]*calendar.Dates `json:"dates,omitempty"`
}

var (
	hasHosts  = regexp.MustCompile(`(?m)^["']?hosts["']?\s*:`)
	hasStages = regexp.MustCompile(`(?m)^["']?stages["']?\s*:`)
)

func (d *desk) validate(c *cli.Context) error {
	p, err := d.printer(c)
	if err != nil {
		return err
	}
	path := c.Path("inventory")
	var campaigns []file.Source
	for _, arg := range c.Args().Slice() {
		s, err := wiring.ReadFile(arg)
		switch {
		case err != nil:
			return usage(err.Error())
		case filepath.Clean(arg) == filepath.Clean(path):
		case hasHosts.Match(s.Raw) && !hasStages.Match(s.Raw):
			if c.IsSet("inventory") {
				return usage(fmt.Sprintf("two inventories: %s and %s", path, arg), "rollpatch validate --help says more")
			}
			path = arg
		default:
			campaigns = append(campaigns, s)
		}
	}
	sources, err := inventorySources(path)
	if err != nil {
		return err
	}
	out := validated{Findings: []file.Finding{}, Campaigns: []string{}}
	inv, invErr := d.parseInventory(path, sources)
	errs := []error{invErr}
	var docs []file.Document[campaign.Campaign]
	var sound []named
	for _, s := range campaigns {
		doc, err := file.ParseCampaign(s)
		if invErr == nil {
			err = file.CheckCampaign(doc, inv.Value)
		}
		err = with(err, slices.Concat(d.missingSigners(s.Name, doc), lapsed(doc, d.now()), d.unfires(c.Context, doc)))
		errs, docs = append(errs, err), append(docs, doc)
		out.Campaigns = append(out.Campaigns, s.Name)
		sound = append(sound, named{path: s.Name, campaign: doc.Value})
	}
	out.Hosts, out.Clusters = len(inv.Value.Hosts), len(inv.Value.Clusters)
	for _, err := range errs {
		var f file.Findings
		if errors.As(err, &f) {
			out.Findings = append(out.Findings, f...)
		}
	}
	err = errors.Join(errs...)
	if err != nil && !p.json {
		return invalid(err)
	}
	var laid []laidFile
	var refusals []string
	tooLate := map[string]bool{}
	if err == nil {
		var layErr error
		if laid, layErr = d.layAll(c.Context, path, inv.Value, sound); layErr != nil {
			return layErr
		}
		out.Dates = map[string]*calendar.Dates{}
		for _, l := range laid {
			out.Dates[l.name] = l.dates
			for _, line := range late(l.dates) {
				if !strings.HasPrefix(line, " ") { // the way out follows what it leads out of
					line = l.name + ": " + line
				}
				refusals, tooLate[l.name] = append(refusals, line), true
			}
		}
	}
	if printErr := p.result(out, func() {
		fmt.Fprintf(p.w, "%s: %s, %s\n", path, many(out.Hosts, "host"), many(out.Clusters, "cluster"))
		for _, name := range out.Campaigns {
			how := "fits the inventory"
			if tooLate[name] {
				how = "fits the inventory, but not its windows and freezes"
			}
			fmt.Fprintf(p.w, "%s: %s\n", name, how)
		}
		p.required(sound)
		for _, l := range laid {
			fmt.Fprintf(p.w, "\n%s: ", l.name)
			p.dates(l.plan, l.parts, l.dates)
		}
	}); printErr != nil {
		return printErr
	}
	if err != nil {
		return invalid(err)
	}
	d.warnOfHouse(inv.Value, inv.Where)
	d.warnOfOverrides(inv)
	d.warnOfStrangers(inv.Value.Approvers, inv.Value.Freezes, inv.Value.Emergency, inv.Where)
	for _, doc := range docs {
		d.warnOfGates(doc)
		d.warnOfSigners(doc)
		d.warnOfFreezes(doc, inv)
		d.warnOfStrangersIn(doc, inv.Value)
		d.warnOfChecks(doc, inv.Value)
	}
	if len(refusals) > 0 {
		return invalid(errors.New(strings.Join(refusals, "\n")))
	}
	return nil
}

// with is what is wrong with a file, and more.
func with(err error, more file.Findings) error {
	if len(more) == 0 {
		return err
	}
	var f file.Findings
	errors.As(err, &f)
	return append(f[:len(f):len(f)], more...)
}

// warnOfGates says which stages begin without anybody's agreement. There is no gate by default: a campaign without one is no mistake.
func (d *desk) warnOfGates(doc file.Document[campaign.Campaign]) {
	open := doc.Value.Open()
	if len(open) == 0 {
		return
	}
	i := slices.IndexFunc(doc.Value.Stages, func(s campaign.Stage) bool { return s.Name == open[0].Name })
	if j := slices.IndexFunc(doc.Value.Stages, func(s campaign.Stage) bool { return s.Name == "production" && s.Gate == nil }); j >= 0 {
		i = j
	}
	path := fmt.Sprintf("stages[%d]", i)
	others := ""
	switch n := len(open) - 1; {
	case n == 1:
		others = ", and so does 1 other"
	case n > 1:
		others = ", and so do " + many(n, "other")
	}
	name, line := doc.Where(path)
	d.note("%s:%d: %s: %s begins without anybody's agreement%s: give the stage a gate, or the campaign gates.start", name, line, path, doc.Value.Stages[i].Name, others)
}

// missingSigners says which files of keys there are not. They are the worker's, and a campaign is written where its files are.
func (d *desk) missingSigners(path string, doc file.Document[campaign.Campaign]) file.Findings {
	if doc.Value.Signers == nil {
		return nil
	}
	dir, err := filepath.Abs(filepath.Dir(path))
	if err != nil {
		return nil
	}
	at := doc.Value.WithPaths(dir, d.getenv("HOME")).Signers
	var out file.Findings
	for _, f := range []struct{ field, written, path string }{
		{"signers.allowed", doc.Value.Signers.Allowed, at.Allowed}, {"signers.revoked", doc.Value.Signers.Revoked, at.Revoked},
	} {
		if f.written == "" {
			continue
		}
		if _, err := os.Stat(f.path); err != nil {
			name, line := doc.Where(f.field)
			out = append(out, file.Finding{File: name, Line: line, Path: f.field, Msg: fmt.Sprintf("%q cannot be read (%v): name the file, relative to this one", f.written, err)})
		}
	}
	return out
}

// warnOfSigners says that signed words are asked for where the campaign names no file of keys: a worker without one could tell nobody's.
func (d *desk) warnOfSigners(doc file.Document[campaign.Campaign]) {
	at := doc.Value.Signs()
	if at == "" || doc.Value.Signers != nil {
		return
	}
	name, line := doc.Where(at)
	d.note("%s:%d: %s: asks for signatures, and the campaign names no signers: its instances wait for ever unless the workers are started with --signers FILE", name, line, at)
}

// warnOfChecks says which clusters have nothing that says whether their patch was good.
func (d *desk) warnOfChecks(doc file.Document[campaign.Campaign], inv inventory.Inventory) {
	var without []string
	for _, s := range doc.Value.Stages {
		for _, name := range s.In(inv) {
			if cl, ok := inv.Cluster(name); ok && len(cl.Checks) == 0 && !slices.Contains(without, name) {
				without = append(without, name)
			}
		}
	}
	if len(without) == 0 {
		return
	}
	name, line := doc.Where("stages")
	d.note("%s:%d: stages: without checks Consul alone says whether a patch was good; these clusters have none: %s", name, line, strings.Join(without, ", "))
}
