package campaign

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/rollpatch/rollpatch/inventory"
)

// Validate names every rule that the campaign breaks by itself, whatever the inventory, in no special order.
func (c Campaign) Validate() []inventory.Problem {
	var p inventory.Problems
	p.Name("name", c.Name, "monthly")
	if strings.TrimSpace(c.Reason) == "" {
		p.Add("reason", "is missing: say why this is done, for those who approve it and those who ask later")
	}
	c.validateStages(&p)
	c.validateRequires(&p)
	for _, list := range []struct {
		path  string
		globs []string
	}{{"packages.include", c.Packages.Include}, {"packages.exclude", c.Packages.Exclude}} {
		for i, glob := range list.globs {
			if _, err := path.Match(glob, ""); err != nil {
				p.Add(fmt.Sprintf("%s[%d]", list.path, i), "%q is no glob: write * for any letters, ? for one and [a-z] for one of several", glob)
			}
		}
	}
	validateOverride(&p, "policy", c.Policy, Default(c.Unattended))
	for _, name := range slices.Sorted(maps.Keys(c.Clusters)) {
		at := "clusters" + inventory.Key(name)
		for _, whole := range c.Clusters[name].ofCampaign() {
			p.Add(at+"."+whole, "is the whole campaign's: give it under policy")
		}
		validateOverride(&p, at, c.Clusters[name], c.Base())
	}
	for _, name := range slices.Sorted(maps.Keys(c.AcceptImpact)) {
		at := "accept_impact" + inventory.Key(name)
		if strings.TrimSpace(c.AcceptImpact[name].Reason) == "" {
			p.Add(at+".reason", "is missing: say who accepted the outage, and why")
		}
		if c.AcceptImpact[name].Until == "" {
			p.Add(at+".until", "is missing: say until which day the outage is accepted, such as 2027-01-31")
		}
		p.Day(at+".until", c.AcceptImpact[name].Until)
	}
	c.validateGates(&p)
	c.validateChange(&p)
	c.validateNotify(&p)
	c.validateWindows(&p)
	c.validateSchedule(&p)
	return p
}

func (c Campaign) validateStages(p *inventory.Problems) {
	if len(c.Stages) == 0 {
		p.Add("stages", "is missing or empty: list at least one stage, such as {name: production, clusters: [web]}")
	}
	names, clusters := map[string]string{}, map[string]string{}
	for i, s := range c.Stages {
		at := fmt.Sprintf("stages[%d]", i)
		p.Name(at+".name", s.Name, "production")
		p.Once(names, s.Name, at+".name", "%q is already used", s.Name)
		if len(s.Clusters) == 0 && s.Selector == nil {
			p.Add(at, "has no clusters: name them under clusters, or match them with selector: {labels: {env: production}}")
		}
		if s.Selector != nil && len(s.Selector.Labels) == 0 {
			p.Add(at+".selector.labels", "is missing or empty: give at least one label, such as {env: production}")
		}
		for j, name := range s.Clusters {
			p.Once(clusters, name, fmt.Sprintf("%s.clusters[%d]", at, j), "%q is already in a stage", name)
		}
	}
}

// validateOverride checks what o gives. What it leaves as it was is judged together with it, and only with it: a wrong value is named where
// it is written, not in every cluster that inherits it.
func validateOverride(p *inventory.Problems, at string, o Override, under Policy) {
	for _, wait := range []struct {
		key   string
		given *inventory.Duration
	}{
		{"soak", o.Soak}, {"soak_interval", o.SoakInterval}, {"settle", o.Settle}, {"wait_max", o.WaitMax}, {"hold_max", o.HoldMax}, {"power_after", o.PowerAfter}, {"review", o.Review}, {"max_mixed", o.MaxMixed}, {"estimate.work", o.Estimate.Work}, {"estimate.backout", o.Estimate.Backout},
		{"drain.timeout", o.Drain.Timeout}, {"checks.interval", o.Checks.Interval}, {"checks.timeout", o.Checks.Timeout},
		{"timeouts.patch", o.Timeouts.Patch}, {"timeouts.reboot", o.Timeouts.Reboot}, {"timeouts.fetch", o.Timeouts.Fetch},
	} {
		if wait.given != nil && *wait.given < inventory.Duration(time.Second) {
			p.Add(at+"."+wait.key, "%s is too short: a wait is at least 1s", wait.given)
		}
	}
	for _, count := range []struct {
		key   string
		given *int
		least int
	}{
		{"soak_passes", o.SoakPasses, 1}, {"parallel", o.Parallel, 1}, {"checks.passes", o.Checks.Passes, 1}, {"drain.connections", o.Drain.Connections, 0}, {"retries", o.Retries, 0}, {"failures", o.Failures, 1},
		{"stop_after.same", o.StopAfter.Same, 1},
	} {
		if count.given != nil && *count.given < count.least {
			p.Add(at+"."+count.key, "%d is too few: write a number from %d", *count.given, count.least)
		}
	}
	if o.Ramp != nil {
		for i, n := range *o.Ramp {
			if n < 1 {
				p.Add(fmt.Sprintf("%s.ramp[%d]", at, i), "%d is too few: write a number from 1, or an empty list for no ramp", n)
			}
		}
	}
	for _, limit := range []struct {
		key   string
		given *inventory.Limit
	}{{"breaker", o.Breaker}, {"stop_after.any", o.StopAfter.Any}} {
		if limit.given != nil && limit.given.IsZero() {
			p.Add(at+"."+limit.key, "0 is too few: write a number from 1, a percent such as 5%%, or both, such as 3 or 5%%")
		}
	}
	if o.Reboot != nil {
		inventory.OneOf(p, at+".reboot", *o.Reboot)
	}
	if o.OnFailure != nil {
		inventory.OneOf(p, at+".on_failure", *o.OnFailure)
	}
	if o.AtCutoff != nil {
		inventory.OneOf(p, at+".at_cutoff", *o.AtCutoff)
	}
	if o.SoakOnFail != nil {
		inventory.OneOf(p, at+".soak_on_fail", *o.SoakOnFail)
	}
	if o.Fetch != nil {
		inventory.OneOf(p, at+".fetch", *o.Fetch)
	}
	if o.Preflight != nil && *o.Preflight == PreflightOff {
		p.Add(at+".preflight", "off looks at nothing, on any host, and has no end: accept single findings in the inventory instead, such as "+
			"accept: [{check: backup, cluster: db, reason: holds no data, until: 2027-01-31}]")
	} else if o.Preflight != nil {
		inventory.OneOf(p, at+".preflight", *o.Preflight)
	}
	validateFingerprint(p, at, o.Fingerprint)
	if o.OnTimeout != nil {
		inventory.OneOf(p, at+".on_timeout", *o.OnTimeout)
	}
	if o.Drain.Leftover != nil {
		inventory.OneOf(p, at+".drain.leftover", *o.Drain.Leftover)
	}
	if all := under.Apply(o); (o.PowerAfter != nil || o.Timeouts.Reboot != nil) && all.PowerAfter > 0 && all.PowerAfter < all.Timeouts.Reboot {
		p.Add(at+".power_after", "%s comes before a reboot is late at all, which is after %s (timeouts.reboot)", all.PowerAfter, all.Timeouts.Reboot)
	}
	if checks := under.Apply(o).Checks; o.Checks != (ChecksOverride{}) && !checks.fit() {
		p.Add(at+".checks", "%d passes %s apart never fit into a timeout of %s", checks.Passes, checks.Interval, checks.Timeout)
	}
}

// ofCampaign names the keys that o gives and that no cluster can have for itself.
func (o Override) ofCampaign() []string {
	var keys []string
	for _, key := range []struct {
		name  string
		given bool
	}{
		{"parallel", o.Parallel != nil}, {"ramp", o.Ramp != nil}, {"breaker", o.Breaker != nil}, {"stop_after", o.StopAfter != StopAfterOverride{}},
	} {
		if key.given {
			keys = append(keys, key.name)
		}
	}
	return keys
}

// fit reports whether the passes can come about within the timeout; float64, because the product of two large values that a file may give
// overflows.
func (c Checks) fit() bool {
	return c.Passes <= 1 || float64(c.Passes-1)*float64(c.Interval) < float64(c.Timeout)
}

func (c Campaign) validateNotify(p *inventory.Problems) {
	names := map[string]string{}
	for i, n := range c.Notify {
		at := fmt.Sprintf("notify[%d]", i)
		p.Name(at+".name", n.Name, "pager")
		p.Once(names, n.Name, at+".name", "%q is already used", n.Name)
		if (len(n.Command) > 0) == (n.Webhook != nil) {
			p.Add(at, "needs exactly one of command and webhook")
		}
		p.Argv(at+".command", n.Command)
		if n.Webhook != nil {
			p.Secret(at+".webhook.url", &n.Webhook.URL)
		}
		seen := map[string]string{}
		for j, e := range n.Events {
			path := fmt.Sprintf("%s.events[%d]", at, j)
			inventory.OneOf(p, path, e)
			p.Once(seen, string(e), path, "%q is already listed", e)
		}
	}
}

// Check names every rule that the campaign breaks with that inventory: clusters that are not there, selectors that match nothing, clusters
// that two stages claim, and words about clusters that no stage works on.
func (c Campaign) Check(inv inventory.Inventory) []inventory.Problem {
	var p inventory.Problems
	known := make([]string, len(inv.Clusters))
	for i, cluster := range inv.Clusters {
		known[i] = cluster.Name
	}
	unknown := func(path, name string, among []string) bool {
		if name == "" || slices.Contains(known, name) {
			return false
		}
		p.Add(path, "%q is no cluster of the inventory%s", name, inventory.DidYouMean(name, known, among...))
		return true
	}
	var inStages []string // a cluster is in one stage only
	for _, s := range c.Stages {
		inStages = append(inStages, s.Clusters...)
	}

	staged := map[string]string{}
	for i, s := range c.Stages {
		at := fmt.Sprintf("stages[%d]", i)
		for j, name := range s.Clusters {
			unknown(fmt.Sprintf("%s.clusters[%d]", at, j), name, inStages)
		}
		if s.Selector != nil && len(s.Selector.Labels) > 0 && len(Stage{Selector: s.Selector}.In(inv)) == 0 {
			p.Add(at+".selector", "matches no cluster of the inventory: all of its labels must be among a cluster's own labels")
		}
		for _, name := range s.In(inv) {
			here := at + ".selector"
			if j := slices.Index(s.Clusters, name); j >= 0 {
				here = fmt.Sprintf("%s.clusters[%d]", at, j)
			}
			if before, ok := staged[name]; !ok {
				staged[name] = here
			} else if here == at+".selector" || strings.HasSuffix(before, ".selector") {
				// Two stages that both name the cluster are told of by Validate already.
				p.Clash(here, before, "cluster %q is already in a stage", name)
			}
		}
	}
	c.checkFreezes(&p, inv)
	touched := beside(inv, staged)
	for _, cl := range inv.Clusters {
		if name := cl.Name; cl.Drain == inventory.DrainNone && touched[name] != "" && c.AcceptImpact[name] == (Impact{}) {
			p.Add(touched[name], "cluster %q has drain: none: its members are patched and rebooted while they serve. Accept that by name: %s", name, Accepting(name))
		}
	}
	about := func(path, name string, among []string) {
		if !unknown(path, name, among) && staged[name] == "" && len(c.Stages) > 0 {
			p = append(p, inventory.Problem{Path: path, Msg: fmt.Sprintf("cluster %q is in no stage of this campaign", name), Unless: "stages"})
		}
	}
	overridden, accepted := slices.Sorted(maps.Keys(c.Clusters)), slices.Sorted(maps.Keys(c.AcceptImpact))
	for _, name := range overridden {
		about("clusters"+inventory.Key(name), name, overridden)
	}
	for _, name := range accepted {
		if touched[name] == "" {
			about("accept_impact"+inventory.Key(name), name, accepted)
		}
	}
	c.checkGates(&p, inv)
	c.checkRequires(&p, inv)
	return p
}

// Accepting is what a person writes to accept the outage of a cluster by name.
func Accepting(cluster string) string {
	return fmt.Sprintf("accept_impact: {%s: {reason: \"<reason>\", until: <day>}}", cluster)
}

// beside finds the clusters that members of the staged ones belong to, themselves included, each with the place in the file that brings it in.
func beside(inv inventory.Inventory, staged map[string]string) map[string]string {
	found, hosts := maps.Clone(staged), map[string]string{}
	for _, cl := range inv.Clusters {
		for _, m := range cl.Members {
			if at := staged[cl.Name]; at != "" && hosts[m] == "" {
				hosts[m] = at
			}
		}
	}
	for _, cl := range inv.Clusters {
		for _, m := range cl.Members {
			if at := hosts[m]; at != "" && found[cl.Name] == "" {
				found[cl.Name] = at
			}
		}
	}
	return found
}
