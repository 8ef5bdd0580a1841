package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/rollpatch/rollpatch/inventory"
	"github.com/rollpatch/rollpatch/workflows/advisory"
)

func advisoriesFlag() cli.Flag {
	return &cli.PathFlag{Name: "advisories", Usage: "look --advisory up in `PATH`, a file or folder of OSV JSON, and not where emergency.advisories says"}
}

// advisories are those that a person named, looked up where they are kept.
func (d *desk) advisories(c *cli.Context, f files) ([]advisory.Advisory, error) {
	ids := c.StringSlice("advisory")
	if len(ids) == 0 {
		return nil, nil
	}
	path, err := d.shelf(c, f)
	if err != nil {
		return nil, err
	}
	records, known, err := look(path, ids)
	if err != nil {
		return nil, usage(err.Error(), nothingHint)
	}
	var all []advisory.Advisory
	var lines []string
	meant := urgent{packages: c.StringSlice("package"), shelf: c.Path("advisories")}
	for i, id := range ids {
		if slices.Contains(ids[:i], id) {
			continue
		}
		a, why := advisory.Find(records, id)
		switch why {
		case advisory.Unknown:
			line := fmt.Sprintf("--advisory %s: %s has none of that name", id, path)
			near := inventory.Nearest(id, known)
			if near != "" {
				line += fmt.Sprintf("; did you mean %q?", near)
				id = near
			}
			lines = append(lines, line)
		case advisory.Withdrawn:
			lines = append(lines, fmt.Sprintf("--advisory %s: it was withdrawn", id))
		case advisory.Foreign:
			lines = append(lines, fmt.Sprintf("--advisory %s: what %s has of it tells of no package of Debian or Ubuntu", id, path))
		}
		all, meant.advisories = append(all, a), append(meant.advisories, advisory.Advisory{ID: id})
	}
	if len(lines) == 0 {
		return all, nil
	}
	return nil, usage(strings.Join(lines, "\n"), "rollpatch "+c.Command.Name+inventoryOf(c)+meant.flags()+" "+c.Args().First(), byNameHint(c), nothingHint)
}

// byNameHint is for whoever knows which packages an advisory is about.
func byNameHint(c *cli.Context) string {
	return "what has the hole can be named itself: rollpatch " + c.Command.Name + inventoryOf(c) + " --emergency --package NAME " + c.Args().First()
}

// shelf is where advisories are kept.
func (d *desk) shelf(c *cli.Context, f files) (string, error) {
	if path := c.Path("advisories"); path != "" {
		if filepath.IsAbs(path) {
			return path, nil
		}
		wd, err := d.getwd()
		return filepath.Join(wd, path), err
	}
	home, folder, err := d.paths()
	if err != nil {
		return "", err
	}
	e := f.campaign.WithPaths(folder(f.campaignPath), home).EmergencyIn(f.inventory.WithPaths(folder(f.inventoryPath), home))
	if e == nil || e.Advisories == "" {
		return "", usage("--advisory: nobody says where advisories are kept", "emergency.advisories names a file or folder of OSV JSON, such as emergency: {advisories: /srv/osv}, and so does --advisories PATH",
			byNameHint(c), nothingHint)
	}
	return e.Advisories, nil
}

// look reads the records that tell of these advisories, and the names of all that there are. Only files that have such a name are read as JSON:
// there may be a hundred thousand of them.
func look(path string, ids []string) (records []advisory.Record, known []string, err error) {
	for names := ids; ; {
		if records, known, err = search(path, names); err != nil {
			return nil, nil, err
		}
		more := advisory.Same(records, ids...)
		if len(more) <= len(names) {
			return records, known, nil
		}
		names = more // what passes it on may do so under another name
	}
}

func search(path string, names []string) (records []advisory.Record, known []string, err error) {
	root, err := filepath.EvalSymlinks(path) // a mirror's folder may be one
	if err != nil {
		return nil, nil, fmt.Errorf("advisories: %w", err)
	}
	var wrong []error
	err = filepath.WalkDir(root, func(file string, e fs.DirEntry, err error) error {
		switch name := filepath.Base(file); {
		case err != nil:
			wrong = append(wrong, err)
			return nil
		case file != root && strings.HasPrefix(name, "."): // what a mirror job has not finished
			if e.IsDir() {
				return fs.SkipDir
			}
			return nil
		case e.IsDir() || file != root && filepath.Ext(name) != ".json":
			return nil
		}
		raw, err := os.ReadFile(file)
		if err != nil {
			wrong = append(wrong, err)
			return nil
		}
		if root != file {
			known = append(known, strings.TrimSuffix(filepath.Base(file), ".json"))
		}
		if root != file && !slices.ContainsFunc(names, func(name string) bool { return bytes.Contains(raw, []byte(`"`+name+`"`)) }) {
			return nil
		}
		some, err := advisory.Parse(raw)
		if err != nil {
			wrong = append(wrong, fmt.Errorf("%s:%w", file, err))
		}
		for _, r := range some {
			known = append(known, r.ID)
		}
		records = append(records, some...)
		return nil
	})
	if err := errors.Join(append(wrong, err)...); err != nil {
		return nil, nil, err
	}
	if len(known) == 0 {
		return nil, nil, fmt.Errorf("%s has no advisories: it is to be a file or folder of OSV JSON, *.json", path)
	}
	return records, known, nil
}
