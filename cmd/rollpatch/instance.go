package main

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/rollpatch/rollpatch/activities/store"
	"github.com/rollpatch/rollpatch/cmd/internal/status"
	"github.com/rollpatch/rollpatch/workflows"
)

// requester is who types, as far as the environment says: nobody proves it.
func (d *desk) requester() string {
	name := ""
	for _, v := range []string{"SUDO_USER", "USER", "LOGNAME"} {
		if name = d.getenv(v); name != "" {
			break
		}
	}
	if name == "" {
		name = d.username()
	}
	if host, err := d.hostname(); err == nil && host != "" {
		name += "@" + host
	}
	return name
}

func asFlag() cli.Flag {
	return &cli.StringFlag{Name: "as", Usage: "`NAME` on record; nobody proves it", DefaultText: "user@host"}
}

func (d *desk) actor(c *cli.Context) string {
	if as := strings.TrimSpace(c.String("as")); as != "" {
		return as
	}
	return d.requester()
}

var instanceForm = regexp.MustCompile(`^(.+)-[0-9]{8}T[0-9]{6}Z$`)

// campaignOf is the name of the campaign that an instance is named after.
func campaignOf(instance string) string {
	if m := instanceForm.FindStringSubmatch(instance); m != nil {
		return m[1]
	}
	return instance
}

// checkName refuses what cannot be a name before anybody is asked for it: names end up in queries.
func checkName(arg string) error {
	if arg != "" && !nameForm.MatchString(arg) {
		return usage(fmt.Sprintf("%q is no name: names have letters, digits, dots, dashes and underscores", arg), listHint)
	}
	return nil
}

// resolve finds the instance that a person means: by its own name, as the latest of a campaign, or, named not at all, the latest
// that is on its way, else the latest.
func resolve(ctx context.Context, srv server, arg string) (string, error) {
	if instanceForm.MatchString(arg) {
		_, err := srv.Describe(ctx, workflows.CampaignID(arg))
		if err == nil {
			return arg, nil
		}
		if !errors.Is(err, status.ErrNotFound) {
			return "", err
		}
	}
	f := filter{kind: workflows.CampaignType}
	if arg != "" {
		f.prefix = workflows.CampaignID(arg) + "-"
	}
	found, err := srv.List(ctx, f)
	if err != nil {
		return "", err
	}
	latest := ""
	for _, e := range found {
		name := instanceOf(e)
		if arg != "" && campaignOf(name) != arg {
			continue
		}
		if latest == "" {
			latest = name
		}
		if arg == "" && e.Status == status.Running {
			return name, nil
		}
	}
	switch {
	case latest != "":
		return latest, nil
	case arg == "":
		return "", failed(errors.New("no instance was ever started here"), "start one with: rollpatch run CAMPAIGN.yaml")
	}
	return "", failed(fmt.Errorf("no campaign and no instance is named %q", arg), listHint)
}

// meant is what status and watch begin with: the instance that was named, or the latest. The server is the caller's to close.
func (d *desk) meant(c *cli.Context) (p printer, srv server, instance string, err error) {
	if p, err = d.printer(c); err != nil {
		return p, nil, "", err
	}
	if err := errors.Join(atMost(c, 1), checkName(c.Args().First())); err != nil {
		return p, nil, "", err
	}
	if srv, err = d.connect(c); err != nil {
		return p, nil, "", err
	}
	if instance, err = resolve(c.Context, srv, c.Args().First()); err != nil {
		srv.Close()
		return p, nil, "", err
	}
	return p, srv, instance, nil
}

func instanceOf(e status.Execution) string { return strings.TrimPrefix(e.ID, workflows.CampaignID("")) }

// reader reads instances, with what the store of this machine adds.
func (d *desk) reader(c *cli.Context, srv server) (*status.Reader, error) {
	r := &status.Reader{Source: srv, Now: d.now}
	path, err := d.storeFolder(c.Path("store"))
	if err != nil {
		return r, nil // no folder, no bodies
	}
	return r, openBodies(r, path)
}

// openBodies lets the reader read the store, unless there is none: looking makes no folder.
func openBodies(r *status.Reader, path string) error {
	if !isFolder(path) {
		return nil
	}
	folder, err := store.NewFolder(path)
	if err != nil {
		return failed(err)
	}
	r.Bodies = folder
	return nil
}
