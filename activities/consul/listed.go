package consul

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"

	"github.com/hashicorp/consul/api"

	"github.com/rollpatch/rollpatch/activities"
	"github.com/rollpatch/rollpatch/inventory/catalog"
)

// The most that is read of one datacenter. Each service is one question.
const (
	mostNodes    = 10000
	mostServices = 1000
)

// serversService is the one that Consul's own servers offer.
const serversService = "consul"

// Listed reads what the servers of a datacenter list: all nodes and checks, and the instances of the services that are chosen. An empty
// datacenter is that of whoever is asked. Nothing is written.
func (c *Consul) Listed(ctx context.Context, access activities.ConsulAccess, datacenter string, chosen func(service string) bool) (catalog.Listed, error) {
	var out catalog.Listed
	err := c.asks(ctx, access, func(ctx context.Context, client *api.Client) error {
		out = catalog.Listed{Datacenter: datacenter}
		here := func() *api.QueryOptions {
			q := fresh(ctx)
			q.Datacenter = datacenter
			return q
		}
		whole := func(meta *api.QueryMeta, empty bool) error {
			if access.Consul.Token == nil && meta.DefaultACLPolicy == "deny" {
				// What is listed to those without a token may be a part of it: Consul does not say.
				return &answerError{status: http.StatusForbidden, text: "no token is given, and the ACLs deny by default: nobody can tell what is left out (needs service:read and node:read)"}
			}
			return complete(meta, access.Consul.Token, empty)
		}
		nodes, meta, err := client.Catalog().Nodes(here())
		if err == nil {
			err = whole(meta, len(nodes) == 0)
		}
		if err != nil {
			return fmt.Errorf("nodes: %w", plain(err))
		}
		if len(nodes) > mostNodes {
			return fmt.Errorf("%d nodes are listed, and at most %d are read", len(nodes), mostNodes)
		}
		for _, n := range nodes {
			out.Nodes = append(out.Nodes, catalog.Node{Name: n.Node, Address: n.Address, Meta: n.Meta})
			if out.Datacenter == "" {
				out.Datacenter = n.Datacenter
			}
		}
		all, err := client.Catalog().Datacenters()
		if err != nil {
			return fmt.Errorf("datacenters: %w", plain(err))
		}
		for _, name := range all {
			if name != out.Datacenter {
				out.Others = append(out.Others, name)
			}
		}
		if err := listedChecks(client, here(), whole, &out); err != nil {
			return fmt.Errorf("checks: %w", plain(err))
		}
		services, meta, err := client.Catalog().Services(here())
		if err == nil {
			err = whole(meta, len(services) == 0)
		}
		if err != nil {
			return fmt.Errorf("services: %w", plain(err))
		}
		var names []string
		for _, name := range slices.Sorted(maps.Keys(services)) {
			if name == serversService || chosen(name) {
				names = append(names, name)
			}
		}
		if len(names) > mostServices {
			return fmt.Errorf("%d services are listed, and at most %d are read: pick some", len(names), mostServices)
		}
		for _, name := range names {
			entries, meta, err := client.Health().Service(name, "", false, here())
			if err == nil {
				err = whole(meta, false) // one that ended meanwhile is no secret
			}
			if err != nil {
				return fmt.Errorf("service %q: %w", name, plain(err))
			}
			for _, e := range entries {
				out.Instances = append(out.Instances, catalog.Instance{
					Service: e.Service.Service, ID: e.Service.ID, Node: e.Node.Node, Port: e.Service.Port, Tags: e.Service.Tags, Meta: e.Service.Meta,
					Mesh: e.Service.Kind != api.ServiceKindTypical,
				})
			}
		}
		return nil
	})
	if err != nil {
		return catalog.Listed{}, err
	}
	if len(out.Nodes) == 0 {
		return catalog.Listed{}, errors.New("consul lists no node at all")
	}
	slices.Sort(out.Others)
	return out, nil
}

func listedChecks(client *api.Client, q *api.QueryOptions, whole func(*api.QueryMeta, bool) error, out *catalog.Listed) error {
	checks, meta, err := client.Health().State(api.HealthAny, q)
	if err == nil {
		err = whole(meta, len(checks) == 0)
	}
	if err != nil {
		return err
	}
	for _, c := range checks {
		out.Checks = append(out.Checks, catalog.Check{Node: c.Node, ID: c.CheckID, Name: c.Name, ServiceID: c.ServiceID, Passing: c.Status == api.HealthPassing})
	}
	return nil
}
