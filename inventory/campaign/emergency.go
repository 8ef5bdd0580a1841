package campaign

import (
	"fmt"
	"maps"
	"path"
	"strings"

	"github.com/rollpatch/rollpatch/inventory"
)

// EmergencyIn is who may have an emergency begin: the inventory's, or where that names none, the campaign's; nil: nobody.
func (c Campaign) EmergencyIn(inv inventory.Inventory) *inventory.Emergency {
	if inv.Emergency != nil {
		return inv.Emergency
	}
	return c.Emergency
}

// UrgentName is what an emergency of the campaign is called, so that a word for one is none for the other.
func (c Campaign) UrgentName() string { return c.Name + "-emergency" }

// Urgent is the campaign as it brings these packages in an emergency. It waits for no window and for no other stage, and it soaks for a shorter time without
// asking anybody. What fails stays out of service as it is. Freezes, redundancy, order and checks are what they are.
func (c Campaign) Urgent(inv inventory.Inventory, packages []string) (Campaign, inventory.Inventory, error) {
	e := c.EmergencyIn(inv)
	if e == nil {
		return c, inv, fmt.Errorf("nobody may have an emergency begin: name people in the inventory, such as emergency: {approvers: [ann@example.org]}")
	}
	if most := 63; len(c.UrgentName()) > most {
		return c, inv, fmt.Errorf("the emergency would be called %s, which is longer than %d characters: run it from a file with a shorter name", c.UrgentName(), most)
	}
	for _, glob := range packages {
		if _, err := path.Match(glob, ""); err != nil || strings.TrimSpace(glob) == "" {
			return c, inv, fmt.Errorf("--package %q is no glob over names of packages: write * for any letters, such as openssl or 'libssl*'", glob)
		}
		if anyGlob(c.Packages.Exclude, glob) {
			return c, inv, fmt.Errorf("--package %s: the campaign's packages.exclude leaves it out", glob)
		}
	}
	soak, no, drain, stop := e.Soaks(), false, SoakDrain, FailStopCluster
	calm := func(o Override) Override {
		o.Soak, o.SoakApproval, o.SoakOnFail, o.OnFailure = nil, nil, nil, nil
		return o
	}
	c.Policy = calm(c.Policy)
	c.Policy.Soak, c.Policy.SoakApproval, c.Policy.SoakOnFail, c.Policy.OnFailure = &soak, &no, &drain, &stop
	c.Clusters = maps.Clone(c.Clusters)
	for name, o := range c.Clusters {
		c.Clusters[name] = calm(o)
	}
	c.Name, c.Unattended, c.FinishBy, c.Schedule = c.UrgentName(), false, "", nil
	c.Packages = Packages{Include: packages, Exclude: c.Packages.Exclude}
	c.Windows, inv.Windows = Windows{}, nil
	c.Stages = append([]Stage(nil), c.Stages...)
	for i := range c.Stages {
		c.Stages[i].Windows, c.Stages[i].Requires = Windows{}, nil
	}
	return c, inv, nil
}
