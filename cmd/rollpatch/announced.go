package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/rollpatch/rollpatch/activities/windows"
	"github.com/rollpatch/rollpatch/inventory"
	"github.com/rollpatch/rollpatch/workflows/plan"
)

// announcement is a span of a freeze of the files that stands now or begins within a day, or a freeze of which nobody can tell.
type announcement struct {
	Name      string    `json:"name"`
	File      string    `json:"file"`
	From      time.Time `json:"from,omitzero"`
	To        time.Time `json:"to,omitzero"`
	Reason    string    `json:"reason"`
	Approvers []string  `json:"approvers,omitempty"`
	Unknown   string    `json:"unknown,omitempty"`
}

// soon is how far ahead freezes are listed.
const soon = 24 * time.Hour

// announced reads the freezes of the files as a worker reads them. Where no inventory is named and none is there, there are none.
func (d *desk) announced(c *cli.Context) ([]announcement, error) {
	path, campaigns := c.Path("inventory"), c.StringSlice("campaign")
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) && !c.IsSet("inventory") && len(campaigns) == 0 {
		return nil, nil
	}
	inv, err := d.readInventory(path)
	if err != nil {
		return nil, err
	}
	home, folder, err := d.paths()
	if err != nil {
		return nil, err
	}
	out := d.spans(c, path, inventory.FreezesInZone(inv.Freezes, inv.Zone))
	for _, file := range campaigns {
		f, err := d.readFiles(path, file)
		if err != nil {
			return nil, err
		}
		own := f.campaign.WithPaths(folder(file), home)
		out = append(out, d.spans(c, file, inventory.FreezesInZone(own.Freezes, own.Zone))...)
	}
	return out, nil
}

func (d *desk) spans(c *cli.Context, file string, freezes []inventory.Freeze) []announcement {
	var out []announcement
	now, reader := d.now().UTC(), windows.New(d.secrets())
	for _, f := range freezes {
		a := announcement{Name: f.Name, File: file, Reason: f.Reason, Approvers: f.Approvers}
		cal, err := reader.Calendar(c.Context, plan.Part{When: &plan.When{Freezes: []inventory.Freeze{f}}}, true, now)
		if a.Unknown = cal.Unknown; err != nil {
			a.Unknown = err.Error()
		}
		if a.Unknown != "" {
			out = append(out, a)
		}
		for _, s := range cal.Freezes {
			if s.Start.Before(now.Add(soon)) {
				a.From, a.To = s.Start.UTC(), s.End.UTC()
				out = append(out, a)
			}
		}
	}
	return out
}

// announced prints them.
func (p printer) announced(list []announcement) {
	if len(list) == 0 {
		return
	}
	var rows []row
	for _, a := range list {
		why, who := oneLine(a.Reason), strings.Join(a.Approvers, ", ")
		if a.Unknown != "" {
			why += "; when is not known: " + oneLine(a.Unknown)
		}
		if who == "" {
			who = "nobody"
		}
		rows = append(rows, row{cells: []string{a.Name, dash(stamp(a.From)), dash(stamp(a.To)), who, why}})
	}
	fmt.Fprintln(p.w)
	p.table([]string{"freeze", "from", "to", "may be broken by", "why"}, rows)
}
