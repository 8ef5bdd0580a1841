package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/rollpatch/rollpatch/cmd/internal/wiring"
	"github.com/rollpatch/rollpatch/inventory"
	"github.com/rollpatch/rollpatch/inventory/campaign"
	"github.com/rollpatch/rollpatch/inventory/file"
	"github.com/rollpatch/rollpatch/workflows/plan"
)

// invalid is everything that is wrong with the files, at once.
func invalid(err error) error {
	return &problem{code: exitUsage, err: err, hints: []string{nothingHint}}
}

// inventorySources are those of the inventory that a person named.
func inventorySources(path string) ([]file.Source, error) {
	sources, err := wiring.InventorySources(path)
	if err != nil {
		return nil, usage(err.Error(), "-i FILE names the inventory")
	}
	return sources, nil
}

// files is what both files say, valid and checked against each other, as they were written.
type files struct {
	inventoryPath string
	inventory     inventory.Inventory
	where         func(path string) (name string, line int) // of the inventory
	campaignPath  string
	campaign      campaign.Campaign
	whereCampaign func(path string) (name string, line int)
}

func (d *desk) readFiles(inventoryPath, campaignPath string) (files, error) {
	f := files{inventoryPath: inventoryPath, campaignPath: campaignPath}
	sources, err := inventorySources(inventoryPath)
	if err != nil {
		return f, err
	}
	source, err := wiring.ReadFile(campaignPath)
	if err != nil {
		return f, usage(err.Error())
	}
	inv, invErr := d.parseInventory(inventoryPath, sources)
	c, err := file.ParseCampaign(source)
	if invErr == nil { // against a broken inventory, half of what a check finds is not so
		err = file.CheckCampaign(c, inv.Value)
	}
	err = with(err, lapsed(c, d.now()))
	f.inventory, f.where, f.campaign, f.whereCampaign = inv.Value, inv.Where, c.Value, c.Where
	if err := errors.Join(invErr, err); err != nil {
		return f, invalid(err)
	}
	return f, nil
}

// parseInventory reads an inventory and the scripts that it names. An error is findings, or why no script can be looked for.
func (d *desk) parseInventory(path string, sources []file.Source) (file.Document[inventory.Inventory], error) {
	return wiring.ParseInventory(sources, func() (string, string, error) {
		home, folder, err := d.paths()
		if err != nil {
			return "", "", err
		}
		return folder(path), home, nil
	})
}

// plan works out what the files ask for. Paths in them are made whole here: a worker runs in another folder, with another home.
func (f files) plan(d *desk, emergency urgent) (plan.Plan, map[string]plan.Part, error) {
	home, folder, err := d.paths()
	if err != nil {
		return plan.Plan{}, nil, err
	}
	inv := f.inventory.Resolve().WithPaths(folder(f.inventoryPath), home)
	c := f.campaign.WithPaths(folder(f.campaignPath), home)
	if !emergency.none() {
		p, parts, err := plan.BuildEmergency(c, inv, emergency.packages, emergency.advisories...)
		if err != nil {
			return p, parts, usage(err.Error(), nothingHint)
		}
		return p, parts, nil
	}
	p, parts := plan.Build(c, inv)
	return p, parts, nil
}

// paths are what makes the paths in a file whole: the home of whoever types, and the file's folder.
func (d *desk) paths() (home string, folder func(file string) string, err error) {
	home = d.getenv("HOME")
	if !filepath.IsAbs(home) {
		return "", nil, usage("HOME is not set: paths that begin with ~ lead nowhere")
	}
	wd, err := d.getwd()
	if err != nil {
		return "", nil, failed(err)
	}
	return home, func(path string) string {
		if !filepath.IsAbs(path) {
			path = filepath.Join(wd, path)
		}
		return filepath.Dir(path)
	}, nil
}

// readInventory is an inventory alone, with every default and every path whole.
func (d *desk) readInventory(path string) (inventory.Inventory, error) {
	sources, err := inventorySources(path)
	if err != nil {
		return inventory.Inventory{}, err
	}
	doc, err := d.parseInventory(path, sources)
	if err != nil {
		return inventory.Inventory{}, invalid(err)
	}
	home, folder, err := d.paths()
	if err != nil {
		return inventory.Inventory{}, err
	}
	return doc.Value.Resolve().WithPaths(folder(path), home), nil
}

// refused is a plan with clusters that must not be touched as things stand.
func refused(p plan.Plan) error {
	if len(p.Refusals) == 0 {
		return nil
	}
	var lines []string
	for _, r := range p.Refusals {
		lines = append(lines, fmt.Sprintf("cluster %q is refused: %s", r.Cluster, r.Reason), "  "+r.Remedy)
	}
	return &problem{code: exitUsage, err: errors.New(strings.Join(lines, "\n")), hints: []string{nothingHint}}
}

// storeFolder is where plans are kept.
func (d *desk) storeFolder(given string) (string, error) {
	if given == "" {
		given = d.getenv("ROLLPATCH_STORE")
	}
	if given == "" {
		given = wiring.StateDir(d.getenv, "store")
	}
	if given == "" {
		return "", usage("no folder for the store: neither XDG_STATE_HOME nor HOME is set", "--store DIR names one")
	}
	if filepath.IsAbs(given) {
		return given, nil
	}
	wd, err := d.getwd()
	return filepath.Join(wd, given), err
}
