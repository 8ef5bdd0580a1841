// Package file reads the two YAML files that people write, strictly, and says everything that is wrong with them at once, with file, line and path.
// It must not know how files are found or opened: it takes their bytes, and touches neither disk, network, environment nor clock.
package file

import (
	"slices"

	"github.com/rollpatch/rollpatch/inventory"
	"github.com/rollpatch/rollpatch/inventory/campaign"
)

// Source is a file's content, and the name that findings call it by.
type Source struct {
	Name string
	Raw  []byte
}

// Document is a value read from files, together with where each part of it was written.
type Document[T any] struct {
	// Value is sound if the document came without an error; with one it is only what could be read.
	Value  T
	ledger *ledger
}

// Where is the file and line of what a path of the value points at (clusters[0].members), or of the nearest value around it.
func (d Document[T]) Where(path string) (name string, line int) {
	at := d.ledger.places.of(path)
	return d.ledger.sources[at.file], at.line
}

// At is where a path of the value points, in the spelling of the file that it is in, as a finding that says nothing yet.
func (d Document[T]) At(path string) Finding {
	at := d.ledger.places.of(path)
	return Finding{File: d.ledger.sources[at.file], Line: at.line, Path: at.path}
}

// ParseInventory reads an inventory from one or more files, whose hosts, clusters and accepted findings are put together in the order
// given: inventory.yaml first, then those of inventory.d. Everything else belongs in one of them. An error is [Findings].
func ParseInventory(sources ...Source) (Document[inventory.Inventory], error) {
	l := newLedger(sources...)
	var inv inventory.Inventory
	for i, source := range sources {
		var part inventory.Inventory
		r := reader{ledger: l, file: i, offset: map[string]int{"hosts": len(inv.Hosts), "clusters": len(inv.Clusters), "accept": len(inv.Accept)}}
		r.once = []string{"access", "consul", "approvers", "zone", "windows", "freezes"}
		r.read(source.Raw, &part)
		if part.Access != (inventory.Access{}) {
			inv.Access = part.Access
		}
		if given(part.Consul) {
			inv.Consul = part.Consul
		}
		if part.Zone != "" {
			inv.Zone = part.Zone
		}
		if part.Windows != nil {
			inv.Windows = part.Windows
		}
		if part.Freezes != nil {
			inv.Freezes = part.Freezes
		}
		if part.Emergency != nil {
			inv.Emergency = part.Emergency
		}
		if part.Approvers != nil {
			inv.Approvers = part.Approvers
		}
		inv.Hosts = append(inv.Hosts, part.Hosts...)
		inv.Clusters = append(inv.Clusters, part.Clusters...)
		inv.Accept = append(inv.Accept, part.Accept...)
	}
	l.problems(inv.Validate())
	return Document[inventory.Inventory]{Value: inv, ledger: l}, l.err()
}

// ReadScripts fills in what is in the scripts that an inventory names; read opens a path, ~ is home, and relative paths start at dir, the
// folder of the inventory file. An error is [Findings]: everything that is wrong with the inventory, what ParseInventory found included, so
// that one that came with an error may be given too and all is said at once.
func ReadScripts(d Document[inventory.Inventory], dir, home string, read func(path string) ([]byte, error)) (Document[inventory.Inventory], error) {
	l := *d.ledger
	l.found = slices.Clone(l.found)
	inv, problems := d.Value.WithScripts(dir, home, read)
	l.problems(problems)
	return Document[inventory.Inventory]{Value: inv, ledger: &l}, l.err()
}

func given(c inventory.Consul) bool {
	return c.Via != "" || c.Address != "" || c.Hosts != nil || c.Token != nil || c.DNSTTL != nil
}

// ParseCampaign reads a campaign. An error is [Findings].
func ParseCampaign(source Source) (Document[campaign.Campaign], error) {
	l := newLedger(source)
	var c campaign.Campaign
	(&reader{ledger: l}).read(source.Raw, &c)
	l.problems(c.Validate())
	return Document[campaign.Campaign]{Value: c, ledger: l}, l.err()
}

// CheckCampaign holds a campaign against a sound inventory. An error is [Findings]: everything that is wrong with the campaign's file, what
// ParseCampaign found included, so that one that came with an error may be checked too and all is said at once.
func CheckCampaign(c Document[campaign.Campaign], inv inventory.Inventory) error {
	l := *c.ledger
	l.found = slices.Clone(l.found)
	l.problems(c.Value.Check(inv))
	return l.err()
}

func newLedger(sources ...Source) *ledger {
	l := &ledger{places: places{"": {line: 1}}}
	for _, s := range sources {
		l.sources = append(l.sources, s.Name)
	}
	return l
}
