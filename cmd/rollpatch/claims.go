package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/rollpatch/rollpatch/activities"
	"github.com/rollpatch/rollpatch/activities/store"
	"github.com/rollpatch/rollpatch/cmd/internal/status"
	"github.com/rollpatch/rollpatch/inventory"
	"github.com/rollpatch/rollpatch/workflows"
	"github.com/rollpatch/rollpatch/workflows/plan"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

func (d *desk) claimsCommand() *cli.Command {
	return group("claims", "show what instances have locked in Consul, or break a claim whose owner is gone",
		&cli.Command{
			Name: "list", Usage: "list the claims of clusters and the records of drained hosts, and whether their owners still work",
			Flags: join(inventoryFlags(), d.storeFlags(), outputFlags(), serverFlags()), Action: d.claims,
		},
		&cli.Command{
			Name: "break", Usage: "take a cluster's claim away from an owner that does not work on it any more", ArgsUsage: "CLUSTER",
			Description: "Refused while its owner's workflows run on this Temporal server, and for a claim of another rollpatch, which has a database of its own:\n" +
				"whether that one works on the cluster only you can tell.",
			Flags: join(inventoryFlags(), elsewhereFlags(), messageFlags(), d.storeFlags(), outputFlags(), serverFlags()), Action: d.breakClaim,
		},
	)
}

func elsewhereFlags() []cli.Flag {
	return []cli.Flag{&cli.BoolFlag{Name: "elsewhere", Usage: "also a record of another rollpatch, with a database of its own, which is gone for good"}}
}

// The states of a record's owner.
const (
	ownerRuns    = status.Running
	ownerEnded   = "ended"
	ownerUnknown = "unknown" // to this server
	ownerOther   = "elsewhere"
	ownerLost    = "unreadable"
)

// held is a record in Consul as people and programs read it.
type held struct {
	Key    string    `json:"key"` // cluster/NAME, drain/HOST, quarantine/HOST, versions/CLUSTER/ID or updaters/CLUSTER/HOST
	Owner  string    `json:"owner"`
	State  string    `json:"owner_state"` // running, ended or unknown to this Temporal server; elsewhere: it runs, or ran, on another one; unreadable: the record does not say whose it is
	Since  time.Time `json:"since,omitzero"`
	Reason string    `json:"reason,omitempty"`
}

func heldOf(r workflows.Record) held {
	h := held{Key: r.Key, Owner: r.Owner, State: ownerEnded, Since: r.Since, Reason: r.Reason}
	switch {
	case r.Broken != "":
		h.State = ownerLost
	case r.Elsewhere:
		h.State = ownerOther
	case r.Live:
		h.State = ownerRuns
	case r.Status == activities.NotFound:
		h.State = ownerUnknown
	}
	return h
}

func ownerWords(state string) string {
	switch state {
	case ownerUnknown:
		return "unknown to this server"
	case ownerOther:
		return "of another rollpatch"
	}
	return state
}

func (d *desk) claims(c *cli.Context) error {
	p, err := d.printer(c)
	if err != nil {
		return err
	}
	all, err := d.listRecords(c)
	if err != nil {
		return err
	}
	out := []held{}
	for _, r := range all {
		if !strings.HasPrefix(r.Key, rollout.QuarantineRecord) && !strings.HasPrefix(r.Key, rollout.VersionsRecord) {
			out = append(out, heldOf(r))
		}
	}
	if err := p.result(out, func() {
		if len(out) == 0 {
			fmt.Fprintln(p.w, "nothing is claimed, and nothing is drained by an instance")
			return
		}
		var rows []row
		for _, h := range out {
			rows = append(rows, row{cells: []string{h.Key, h.Owner, stamp(h.Since), ownerWords(h.State), h.Reason}})
		}
		p.table([]string{"key", "owner", "since", "owner is", "why"}, rows)
	}); err != nil {
		return err
	}
	for _, h := range out {
		if name, ok := strings.CutPrefix(h.Key, rollout.ClusterRecord); ok && h.State != ownerRuns && h.State != ownerOther && h.State != ownerLost {
			d.note("if nobody works on cluster %s any more: rollpatch claims break %s --reason \"...\"", name, name)
		}
	}
	return nil
}

func (d *desk) breakClaim(c *cli.Context) error {
	p, inv, cluster, err := d.named(c, "CLUSTER")
	if err != nil {
		return err
	}
	part, ok := plan.PartOf(inv, cluster)
	if !ok {
		var names []string
		for _, cl := range inv.Clusters {
			names = append(names, cl.Name)
		}
		return usage(fmt.Sprintf("%q is no cluster of %s%s", cluster, c.Path("inventory"), inventory.DidYouMean(cluster, names)), nothingHint)
	}
	m, err := d.messageOf(c, p.json)
	if err != nil {
		return err
	}
	recs, err := d.changeRecord(c, m, []plan.Part{part}, workflows.RecordsInput{
		Word: workflows.RecordsBreak, Name: cluster, Clusters: part.Claims()[1:], Hosts: part.Cluster.Members, Segment: part.Segment(),
	})
	if err != nil {
		return err
	}
	return p.done(recs, m, "break", func(r workflows.Record) string {
		return fmt.Sprintf("the claim of cluster %s is broken: %s had it since %s; whoever waits for it goes on by itself", cluster, r.Owner, dash(stamp(r.Since)))
	})
}

// changed is a record that a person's word ended.
type changed struct {
	Message string `json:"message"`
	ID      string `json:"id"`
	Actor   string `json:"actor"`
	Reason  string `json:"reason"`
	Was     held   `json:"was"`
	Into    string `json:"into,omitempty"` // of versions that are left out there too: the name of what ends that
}

func (p printer) done(recs []workflows.Record, m rollout.Message, word string, text func(workflows.Record) string) error {
	if len(recs) != 1 {
		return failed(fmt.Errorf("the answer holds %s, want one", many(len(recs), "record")))
	}
	return p.result(changed{Message: word, ID: m.ID, Actor: m.Actor, Reason: m.Reason, Was: heldOf(recs[0]), Into: recs[0].Into}, func() { fmt.Fprintln(p.w, text(recs[0])) })
}

// named is what commands about one record begin with.
func (d *desk) named(c *cli.Context, what string) (p printer, inv inventory.Inventory, name string, err error) {
	if p, err = d.printer(c); err != nil {
		return p, inv, "", err
	}
	if name, err = argument(c, what); err != nil {
		return p, inv, "", err
	}
	if err = errors.Join(checkName(name), checkName(c.String("id"))); err != nil {
		return p, inv, "", err
	}
	inv, err = d.readInventory(c.Path("inventory"))
	return p, inv, name, err
}

// listRecords asks every Consul of the inventory.
func (d *desk) listRecords(c *cli.Context) ([]workflows.Record, error) {
	if err := atMost(c, 0); err != nil {
		return nil, err
	}
	inv, err := d.readInventory(c.Path("inventory"))
	if err != nil {
		return nil, err
	}
	all, err := d.records(c, d.newID(), plan.Reach(inv), workflows.RecordsInput{Word: workflows.RecordsList})
	return all, unanswered(c, err, "nothing was changed; ask again with: rollpatch "+called(c)+inventoryOf(c))
}

// changeRecord has one record changed, on a person's word.
func (d *desk) changeRecord(c *cli.Context, m rollout.Message, parts []plan.Part, in workflows.RecordsInput) ([]workflows.Record, error) {
	in.Message, in.Elsewhere = m, c.Bool("elsewhere")
	recs, err := d.records(c, m.ID, parts, in)
	if refused := (*refusal)(nil); errors.As(err, &refused) {
		return nil, failed(err)
	}
	how := flagOf(in.How)
	if in.How == workflows.Versions {
		how = "" // their name says it
	}
	switch in.Scope {
	case "":
	case rollout.Everywhere:
		how = " --all"
	default:
		how = " --cluster " + in.Scope
	}
	if in.Elsewhere {
		how += " --elsewhere"
	}
	again := fmt.Sprintf("rollpatch %s %s%s%s --reason %q --id %s", called(c), in.Name, how, inventoryOf(c), m.Reason, m.ID)
	if err != nil && c.Context.Err() != nil {
		d.note("what was asked for goes on without this command; the same again says what came of it, and does nothing twice: %s", again)
	}
	return recs, unanswered(c, err, "the same again says what came of it, and does nothing twice: "+again)
}

// unanswered says of a request that was not answered how it is made again; what never got as far as to be asked says so itself.
func unanswered(c *cli.Context, err error, again string) error {
	switch known := (*problem)(nil); {
	case err == nil || errors.As(err, &known) || c.Context.Err() != nil:
		return err
	case errors.Is(err, status.ErrNoWorker):
		return failed(err, "a worker is started with: rollpatch worker", again)
	}
	return failed(err, again)
}

// inventoryOf is the inventory as it was named.
func inventoryOf(c *cli.Context) string {
	if !c.IsSet("inventory") {
		return ""
	}
	return " -i " + c.Path("inventory")
}

// records puts the parts where workers find them, and asks.
func (d *desk) records(c *cli.Context, id string, parts []plan.Part, in workflows.RecordsInput) ([]workflows.Record, error) {
	path, err := d.storeFolder(c.Path("store"))
	if err != nil {
		return nil, err
	}
	srv, err := d.connect(c)
	if err != nil {
		return nil, err
	}
	defer srv.Close()
	folder, err := store.NewFolder(path)
	if err != nil {
		return nil, err
	}
	in.Segments = map[string]string{}
	for _, p := range parts {
		digest, err := folder.Put(c.Context, plan.Body(p))
		if err != nil {
			return nil, err
		}
		in.Parts = append(in.Parts, digest)
		in.Segments[digest] = p.Segment()
	}
	return srv.Records(c.Context, id, in)
}
