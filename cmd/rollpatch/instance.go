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

// errNobody is what nobody is named.
var errNobody = errors.New("no campaign and no instance is named")

// resolve finds the instance that a person asks about: by its own name, or, of a campaign or of all, the latest that is on its way,
// else the one that ended last. Others are those that are on their way beside it.
func resolve(ctx context.Context, srv server, arg string) (instance string, others []status.Execution, err error) {
	if instanceForm.MatchString(arg) {
		_, err := srv.Describe(ctx, workflows.CampaignID(arg))
		if err == nil {
			return arg, nil, nil
		}
		if !errors.Is(err, status.ErrNotFound) {
			return "", nil, err
		}
	}
	f := filter{kind: workflows.CampaignType}
	if arg != "" {
		f.prefix = workflows.CampaignID(arg) + "-"
	}
	found, err := srv.List(ctx, f)
	if err != nil {
		return "", nil, err
	}
	var running []status.Execution
	var last status.Execution
	for _, e := range found {
		switch {
		case arg != "" && campaignOf(instanceOf(e)) != arg:
		case e.Status == status.Running:
			running = append(running, e)
		case last.ID == "" || e.Closed.After(last.Closed):
			last = e
		}
	}
	switch {
	case len(running) > 0:
		return instanceOf(running[0]), running[1:], nil
	case last.ID != "":
		return instanceOf(last), nil, nil
	case arg == "":
		return "", nil, failed(errors.New("no instance was ever started here"), "start one with: rollpatch run CAMPAIGN.yaml")
	}
	return "", nil, failed(fmt.Errorf("%w %q", errNobody, arg), listHint)
}

// addressed is the instance that a message is for. A name that stands for several on their way is no address: the one that was meant
// would go on while another one is stopped.
func addressed(ctx context.Context, srv server, word, arg string) (string, error) {
	instance, others, err := resolve(ctx, srv, arg)
	if err != nil || len(others) == 0 {
		return instance, err
	}
	all := []string{instance}
	for _, e := range others {
		all = append(all, instanceOf(e))
	}
	var hints []string
	for _, name := range all {
		e, err := srv.Describe(ctx, workflows.CampaignID(name))
		if err != nil {
			return "", err
		}
		hints = append(hints, fmt.Sprintf("  rollpatch %s %s ...   (%s, started %s)", word, name, listState(e), stamp(e.Started)))
	}
	return "", usage(fmt.Sprintf("%s: %d instances of %s are on their way; say which one is meant:", word, len(all), arg), append(hints, nothingHint)...)
}

// besides says that others are on their way beside the instance that is shown.
func (d *desk) besides(instance string, others []status.Execution) {
	if len(others) == 0 {
		return
	}
	var names []string
	for _, e := range others {
		names = append(names, instanceOf(e)+inBrackets(listState(e)))
	}
	d.note("this is %s; also on its way: %s", instance, strings.Join(names, ", "))
}

// warnOfOthers says that another instance of the campaign is on its way: both would wait for the same claims. A server that does not
// answer says nothing, since this one has been started.
func (d *desk) warnOfOthers(ctx context.Context, srv server, instance string) {
	campaign := campaignOf(instance)
	found, err := srv.List(ctx, filter{kind: workflows.CampaignType, prefix: workflows.CampaignID(campaign) + "-", running: true})
	if err != nil {
		return
	}
	for _, e := range found {
		if name := instanceOf(e); name != instance && campaignOf(name) == campaign {
			d.note("another instance of %s is on its way: %s (%s); clusters of both are patched by one after the other: rollpatch status %s", campaign, name, listState(e), name)
		}
	}
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
	var others []status.Execution
	if instance, others, err = resolve(c.Context, srv, c.Args().First()); err != nil {
		srv.Close()
		return p, nil, "", err
	}
	d.besides(instance, others)
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
