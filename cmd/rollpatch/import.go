package main

import (
	"cmp"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/rollpatch/rollpatch/inventory/ansible"
	"github.com/rollpatch/rollpatch/inventory/draft"
	"github.com/rollpatch/rollpatch/inventory/file"
)

// ansibleHosts is where Ansible looks when nobody names an inventory.
const ansibleHosts = "/etc/ansible/hosts"

func (d *desk) inventoryCommand() *cli.Command {
	return group("inventory", "make an inventory of what other programs know, and see what is at risk in one",
		group("import", "print an inventory for rollpatch, made from another program's", d.importAnsibleCommand(), d.importConsulCommand()), d.risksCommand())
}

func (d *desk) importAnsibleCommand() *cli.Command {
	return &cli.Command{
		Name:      "ansible",
		Usage:     "from inventories of Ansible's, INI or YAML, merged in the order given",
		ArgsUsage: "[FILE|DIR...]",
		Description: "Reads files and folders with their group_vars and host_vars, as ansible-inventory does; without an argument, " + ansibleHosts + ".\n" +
			"What Ansible does not know stands in the result as a remark. No host is asked, and no program of the inventory is run.",
		Flags: []cli.Flag{
			&cli.StringSliceFlag{Name: "cluster-groups", Usage: "`GLOB` of the groups that become clusters; may be given several times", DefaultText: "each group with hosts and no groups below it"},
			&cli.StringFlag{Name: "user", Usage: "`NAME` of who logs in where no ansible_user says so"},
			&cli.PathFlag{Name: "playbook-dir", Usage: "`DIR` of the playbooks, where group_vars and host_vars stand beside them"},
		},
		Action: func(c *cli.Context) error {
			files, whole, err := d.disk()
			if err != nil {
				return err
			}
			var sources, playbooks []string
			for _, a := range c.Args().Slice() {
				sources = append(sources, whole(a))
			}
			if len(sources) == 0 {
				sources = []string{whole(ansibleHosts)}
			}
			if dir := c.Path("playbook-dir"); dir != "" {
				playbooks = []string{whole(dir)}
			}
			inv, err := ansible.Read(files, sources, playbooks...)
			if err != nil {
				return invalid(d.asNamed(err, c.Args().Slice(), sources))
			}
			for i, name := range inv.Encrypted {
				inv.Encrypted[i] = asTyped(name, c.Args().Slice(), sources)
			}
			out, err := inv.Draft(ansible.Options{User: c.String("user"), Groups: c.StringSlice("cluster-groups")})
			if err != nil {
				return unfit(err)
			}
			return d.printDraft(out)
		},
	}
}

// disk is all files of this machine, and what makes of a path one of its names.
func (d *desk) disk() (fs.FS, func(string) string, error) {
	wd, err := d.getwd()
	if err != nil {
		return nil, nil, failed(err)
	}
	return os.DirFS("/"), func(path string) string {
		if !filepath.IsAbs(path) {
			path = filepath.Join(wd, path)
		}
		return cmp.Or(strings.TrimPrefix(filepath.Clean(path), "/"), ".")
	}, nil
}

// asTyped is a file as the person who typed the sources would name it.
func asTyped(name string, typed, sources []string) string {
	for i, s := range sources {
		if i >= len(typed) {
			break
		}
		for _, at := range []struct{ whole, typed string }{{s, typed[i]}, {filepath.Dir(s), filepath.Dir(typed[i])}} {
			if rest, ok := strings.CutPrefix(name, at.whole); ok && (rest == "" || rest[0] == '/') {
				return filepath.Join(at.typed, rest)
			}
		}
	}
	return "/" + name
}

func (d *desk) asNamed(err error, typed, sources []string) error {
	var found file.Findings
	if !errors.As(err, &found) {
		return err
	}
	found = slices.Clone(found)
	for i := range found {
		found[i].File = asTyped(found[i].File, typed, sources)
	}
	return found
}

// printDraft prints an inventory that validate would take, or what is in its way.
func (d *desk) printDraft(out draft.Draft) error {
	text := out.YAML()
	if _, err := file.ParseInventory(file.Source{Name: "the result", Raw: []byte(text)}); err != nil {
		return invalid(err)
	}
	if _, err := d.out.Write([]byte(text)); err != nil {
		return failed(err)
	}
	d.note("%s, %s; remarks in the result say what to write before a campaign", many(len(out.Hosts), "host"), many(len(out.Clusters), "cluster"))
	d.note("keep it as inventory.yaml, then: rollpatch validate")
	return nil
}
