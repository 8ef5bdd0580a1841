package main

import (
	"cmp"
	"context"
	"errors"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/rollpatch/rollpatch/activities"
	"github.com/rollpatch/rollpatch/activities/consul"
	"github.com/rollpatch/rollpatch/inventory"
	"github.com/rollpatch/rollpatch/inventory/catalog"
	"github.com/rollpatch/rollpatch/inventory/draft"
)

// listTimeout bounds the reading of a whole catalog: each service is one question.
const listTimeout = 2 * time.Minute

func (d *desk) importConsulCommand() *cli.Command {
	return &cli.Command{
		Name:  "consul",
		Usage: "from the catalog of one datacenter of Consul's",
		Description: "Asks Consul's servers, through the agent at --address, what they list: services become clusters, nodes hosts. Nothing is written there, and no host is asked.\n" +
			"What Consul does not know stands in the result as a remark. A token is found as Consul's own programs find it, in CONSUL_HTTP_TOKEN or the file\n" +
			"of CONSUL_HTTP_TOKEN_FILE; it needs node:read and service:read on everything.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "user", Usage: "`NAME` of who logs in to the hosts: nothing in Consul says so"},
			&cli.StringSliceFlag{Name: "services", Usage: "`GLOB` of the services that become clusters; may be given several times", DefaultText: "all"},
			&cli.StringFlag{Name: "datacenter", Usage: "`NAME` of the datacenter", DefaultText: "that of the agent"},
			&cli.StringFlag{Name: "address", Usage: "`ADDRESS` of an agent's HTTP API, host:port or with http:// or https://", DefaultText: "CONSUL_HTTP_ADDR, " + inventory.DefaultConsulAddress},
		},
		Action: d.importConsul,
	}
}

func (d *desk) importConsul(c *cli.Context) error {
	if err := atMost(c, 0); err != nil {
		return err
	}
	access, err := d.consulAccess(c.String("address"))
	if err != nil {
		return err
	}
	o := catalog.Options{User: c.String("user"), Services: c.StringSlice("services"), Address: access.Address}
	if o.User == "" {
		return usage("inventory import consul: --user is missing: nothing in Consul says who logs in to hosts", "rollpatch inventory import consul --help says more")
	}
	if _, err := o.Chosen(""); err != nil {
		return unfit(err)
	}
	ctx, cancel := context.WithTimeout(c.Context, listTimeout)
	defer cancel()
	listed, err := consul.New(nil, d.secrets().Resolve).Listed(ctx, activities.ConsulAccess{Consul: access}, c.String("datacenter"), func(service string) bool {
		chosen, err := o.Chosen(service)
		return err == nil && chosen
	})
	if err != nil {
		if c.Context.Err() != nil {
			return c.Context.Err()
		}
		return failed(err, "--address names an agent of Consul's, CONSUL_HTTP_TOKEN its token; --services GLOB asks for less", nothingHint)
	}
	out, err := listed.Draft(o)
	if err != nil {
		return unfit(err)
	}
	return d.printDraft(out)
}

// unfit says why there is no inventory in what another program knows.
func unfit(err error) error {
	if u := new(draft.Unfit); errors.As(err, &u) {
		return usage(u.Why, u.Hint)
	}
	return failed(err)
}

// consulAccess is the way to Consul that a person's environment has, as far as there is no inventory that says it.
func (d *desk) consulAccess(given string) (inventory.Consul, error) {
	out := inventory.Consul{Via: inventory.ViaDirect, Address: cmp.Or(given, d.getenv("CONSUL_HTTP_ADDR"), inventory.DefaultConsulAddress)}
	if d.getenv("CONSUL_HTTP_SSL") == "true" && !strings.Contains(out.Address, "://") {
		out.Address = "https://" + out.Address
	}
	const names = "--address ADDRESS names it, or CONSUL_HTTP_ADDR"
	if strings.Contains(out.Address, "@") {
		return out, usage("the address of Consul holds a user's name: it is not sent, and would be written down", names)
	}
	for _, p := range (inventory.Inventory{Consul: out}).Validate() {
		if p.Path == "consul.address" {
			return out, usage("the address of Consul: "+p.Msg, names)
		}
	}
	switch {
	case d.getenv("CONSUL_HTTP_TOKEN") != "":
		out.Token = &inventory.Secret{Env: "CONSUL_HTTP_TOKEN"}
	case d.getenv("CONSUL_HTTP_TOKEN_FILE") != "":
		out.Token = &inventory.Secret{File: d.getenv("CONSUL_HTTP_TOKEN_FILE")}
	}
	return out, nil
}
