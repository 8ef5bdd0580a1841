package consul

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/consul/api"

	"github.com/rollpatch/rollpatch/activities"
)

const (
	serviceMaintenance = "_service_maintenance:" // and the service's id
	nodeMaintenance    = "_node_maintenance"
	noReason           = "no reason given"
)

// Instances lists every instance of the services in whatever state, by service, node and id. A service that nobody offers adds
// nothing.
func (c *Consul) Instances(ctx context.Context, access activities.ConsulAccess, services []string) ([]activities.Instance, error) {
	if len(services) == 0 {
		return nil, errors.New("consul: no service is named")
	}
	var found []activities.Instance
	err := c.asks(ctx, access, func(ctx context.Context, client *api.Client) error {
		found = nil
		for _, service := range services {
			entries, meta, err := client.Health().Service(service, "", false, fresh(ctx))
			if err == nil {
				err = complete(meta, access.Consul.Token, len(entries) == 0)
			}
			if err != nil {
				return fmt.Errorf("service %q: %w", service, plain(err))
			}
			for _, entry := range entries {
				found = append(found, instance(entry))
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(found, func(a, b activities.Instance) int {
		return cmp.Or(cmp.Compare(a.Service, b.Service), cmp.Compare(a.Node, b.Node), cmp.Compare(a.ServiceID, b.ServiceID))
	})
	return found, nil
}

// Marked lists what is in service maintenance with such a reason, by node and id. One question about all that is critical: asking about each
// service would take as many as there are, and miss those that nobody names.
func (c *Consul) Marked(ctx context.Context, access activities.ConsulAccess, prefix string) ([]activities.Instance, error) {
	var found []activities.Instance
	err := c.asks(ctx, access, func(ctx context.Context, client *api.Client) error {
		found = nil
		checks, meta, err := client.Health().State(api.HealthCritical, fresh(ctx))
		if err == nil {
			err = complete(meta, access.Consul.Token, len(checks) == 0)
		}
		if err != nil {
			return fmt.Errorf("maintenance: %w", plain(err))
		}
		for _, check := range checks {
			if strings.HasPrefix(check.CheckID, serviceMaintenance) && strings.HasPrefix(check.Notes, prefix) {
				found = append(found, activities.Instance{
					Node: check.Node, Service: check.ServiceName, ServiceID: check.ServiceID, Status: check.Status, Maintenance: []string{check.Notes},
				})
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(found, func(a, b activities.Instance) int {
		return cmp.Or(cmp.Compare(a.Node, b.Node), cmp.Compare(a.ServiceID, b.ServiceID))
	})
	return found, nil
}

func instance(entry *api.ServiceEntry) activities.Instance {
	out := activities.Instance{
		Node: entry.Node.Node, Address: cmp.Or(entry.Service.Address, entry.Node.Address),
		Service: entry.Service.Service, ServiceID: entry.Service.ID, Status: api.HealthPassing,
	}
	for _, check := range entry.Checks {
		switch check.Status {
		case api.HealthPassing:
		case api.HealthWarning:
			if out.Status == api.HealthPassing {
				out.Status = api.HealthWarning
			}
		default:
			// A state that a later Consul may invent is not one to count on.
			out.Status = api.HealthCritical
		}
		switch {
		case check.CheckID == nodeMaintenance:
			out.NodeMaint = cmp.Or(check.Notes, noReason)
		case check.CheckID == serviceMaintenance+entry.Service.ID:
			out.Maintenance = append(out.Maintenance, cmp.Or(check.Notes, noReason))
		}
	}
	return out
}

// Enter puts every one of the member's services into maintenance, or none: when one fails, those that this call had set are
// taken back.
//
// Maintenance of anybody else, on one of the services or on the node, as the agent or as the servers know it, is an
// *activities.ForeignError; ours is then on none of the services, also where an earlier call had set it. Both are asked because
// an agent that has just started may not know yet what the servers still list. The agent is asked again afterwards: it says
// nothing when somebody else was quicker.
func (c *Consul) Enter(ctx context.Context, access activities.ConsulAccess, member activities.Target, services []string, reason string) error {
	if len(services) == 0 || reason == "" {
		return fmt.Errorf("host %q: maintenance needs services and a reason", member.Host)
	}
	set, err := c.enter(ctx, access, member, services, reason)
	if err == nil {
		return nil
	}
	var foreign *activities.ForeignError
	mine := func(id string) bool { return slices.Contains(set, id) }
	if errors.As(err, &foreign) {
		mine = func(string) bool { return true }
	} else if len(set) == 0 {
		return err
	}
	// Taken back although the caller may have given up: a member that is half out of service is what nobody would look for.
	back, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.timeout)
	defer cancel()
	if undo := c.asksMember(back, access.Consul, member, func(ctx context.Context, client *api.Client) error {
		_, err := leave(ctx, client, services, reason, mine)
		return err
	}); undo != nil {
		// Not the foreign error: it would say that nothing of ours is left.
		return fmt.Errorf("%v; our maintenance may be left on some services: %w", err, undo)
	}
	return err
}

// enter returns the ids of the services that it may have put into maintenance, whether it failed or not.
func (c *Consul) enter(ctx context.Context, access activities.ConsulAccess, member activities.Target, services []string, reason string) (set []string, err error) {
	var before local
	if err := c.asksMember(ctx, access.Consul, member, func(ctx context.Context, client *api.Client) (err error) {
		before, err = look(ctx, client, services)
		return err
	}); err != nil {
		return nil, err
	}
	if len(before.missing) > 0 {
		return nil, fmt.Errorf("host %q: its consul agent knows no service %s: not registered, or the token may not read it",
			member.Host, strings.Join(before.missing, ", "))
	}
	if err := before.foreign(reason); err != nil {
		return nil, err
	}
	listed, err := c.listed(ctx, access, before.node, services)
	if err != nil {
		return nil, err
	}
	if err := listed.foreign(reason); err != nil {
		return nil, err
	}
	err = c.asksMember(ctx, access.Consul, member, func(ctx context.Context, client *api.Client) error {
		for _, id := range before.ids {
			if before.notes[id] == reason {
				continue
			}
			// Noted before it is asked: an answer that was lost may hide that it was done.
			set = append(set, id)
			if err := client.Agent().EnableServiceMaintenanceOpts(id, reason, (&api.QueryOptions{}).WithContext(ctx)); err != nil {
				return fmt.Errorf("service %q: %w", id, plain(err))
			}
		}
		after, err := look(ctx, client, services)
		if err != nil {
			return err
		}
		if err := after.foreign(reason); err != nil {
			return err
		}
		for _, id := range before.ids {
			if after.notes[id] != reason {
				return fmt.Errorf("service %q: maintenance was set, and is not there", id)
			}
		}
		return nil
	})
	return set, err
}

// Leave takes the member's services out of maintenance where the reason is exactly the one given. Maintenance of anybody else
// is never touched; when some is left on the services or the node, it is returned as *activities.ForeignError after all of ours
// is gone: the member then stays out of service because somebody else wants that.
//
// A service that the agent does not know has no maintenance there. If the servers still list ours, the agent is behind them, as
// after a restart, and the answer is an error: ask again.
func (c *Consul) Leave(ctx context.Context, access activities.ConsulAccess, member activities.Target, services []string, reason string) error {
	if len(services) == 0 || reason == "" {
		return fmt.Errorf("host %q: maintenance needs services and a reason", member.Host)
	}
	var (
		after   local
		removed []string
	)
	if err := c.asksMember(ctx, access.Consul, member, func(ctx context.Context, client *api.Client) (err error) {
		removed, err = leave(ctx, client, services, reason, func(string) bool { return true })
		if err == nil {
			after, err = look(ctx, client, services)
		}
		return err
	}); err != nil {
		return err
	}
	for id, note := range after.notes {
		if note == reason {
			return fmt.Errorf("host %q: service %q: maintenance was removed, and is still there", member.Host, id)
		}
	}
	if len(removed) == 0 {
		listed, err := c.listed(ctx, access, after.node, services)
		if err != nil {
			return err
		}
		for id, note := range listed.notes {
			if note == reason {
				return fmt.Errorf("host %q: service %q: the servers list our maintenance, and its consul agent does not know it (yet)", member.Host, id)
			}
		}
	}
	return after.foreign(reason)
}

// leave removes our maintenance from those services that may be touched, and returns which had it.
func leave(ctx context.Context, client *api.Client, services []string, reason string, may func(id string) bool) (removed []string, err error) {
	now, err := look(ctx, client, services)
	if err != nil {
		return nil, err
	}
	var failed []error
	for _, id := range now.ids {
		if now.notes[id] != reason || !may(id) {
			continue
		}
		if err := client.Agent().DisableServiceMaintenanceOpts(id, (&api.QueryOptions{}).WithContext(ctx)); err != nil {
			failed = append(failed, fmt.Errorf("service %q: %w", id, plain(err)))
			continue
		}
		removed = append(removed, id)
	}
	return removed, errors.Join(failed...)
}

// local is what is known of one member's services and their maintenance.
type local struct {
	node      string
	ids       []string          // of the services' instances, sorted
	missing   []string          // names of services without an instance
	notes     map[string]string // service id: reason of its maintenance
	nodeNotes string
}

// foreign names maintenance that is not ours; the node's first, since it outweighs the others.
func (l local) foreign(reason string) error {
	if l.nodeNotes != "" {
		return &activities.ForeignError{Node: l.node, Reason: l.nodeNotes}
	}
	for _, id := range l.ids {
		if note := l.notes[id]; note != "" && note != reason {
			return &activities.ForeignError{Node: l.node, Service: id, Reason: note}
		}
	}
	return nil
}

// look reads the member's agent.
func look(ctx context.Context, client *api.Client, services []string) (local, error) {
	out := local{notes: map[string]string{}}
	known, err := client.Agent().ServicesWithFilterOpts("", (&api.QueryOptions{}).WithContext(ctx))
	if err != nil {
		return local{}, fmt.Errorf("services: %w", plain(err))
	}
	for _, service := range services {
		some := false
		for id, s := range known {
			if s.Service == service && s.Kind == api.ServiceKindTypical {
				out.ids, some = append(out.ids, id), true
			}
		}
		if !some {
			out.missing = append(out.missing, service)
		}
	}
	slices.Sort(out.ids)
	out.ids = slices.Compact(out.ids)

	checks, err := client.Agent().ChecksWithFilterOpts("", (&api.QueryOptions{}).WithContext(ctx))
	if err != nil {
		return local{}, fmt.Errorf("checks: %w", plain(err))
	}
	for id, check := range checks {
		out.node = check.Node
		switch service, ours := strings.CutPrefix(id, serviceMaintenance); {
		case id == nodeMaintenance:
			out.nodeNotes = cmp.Or(check.Notes, noReason)
		case ours && slices.Contains(out.ids, service):
			out.notes[service] = cmp.Or(check.Notes, noReason)
		}
	}
	if out.node == "" {
		if out.node, err = nodeName(ctx, client); err != nil {
			return local{}, fmt.Errorf("its node's name: %w", plain(err))
		}
	}
	return out, nil
}

// nodeName asks the agent who it is; only agents without a single check need it.
func nodeName(ctx context.Context, client *api.Client) (string, error) {
	var self struct{ Config struct{ NodeName string } }
	if _, err := client.Raw().Query("/v1/agent/self", &self, (&api.QueryOptions{}).WithContext(ctx)); err != nil {
		return "", err
	}
	if self.Config.NodeName == "" {
		return "", errors.New("it gives none")
	}
	return self.Config.NodeName, nil
}

// listed reads what the servers know of the node's services.
func (c *Consul) listed(ctx context.Context, access activities.ConsulAccess, node string, services []string) (local, error) {
	instances, err := c.Instances(ctx, access, services)
	if err != nil {
		return local{}, err
	}
	out := local{node: node, notes: map[string]string{}}
	for _, i := range instances {
		if i.Node != node {
			continue
		}
		out.ids = append(out.ids, i.ServiceID)
		out.nodeNotes = i.NodeMaint
		if len(i.Maintenance) > 0 {
			out.notes[i.ServiceID] = i.Maintenance[0]
		}
	}
	return out, nil
}
