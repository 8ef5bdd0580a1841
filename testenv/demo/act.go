package demo

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/rollpatch/rollpatch/testenv/load"
)

// rate of the traffic, in requests per second.
const rate = 200

// tellEvery is how often the traffic gets a line.
const tellEvery = 5 * time.Second

// cluster is one of the lab's, with the Consul service that its members offer.
type cluster struct{ name, service string }

var (
	web   = cluster{"web", "web"}
	cache = cluster{"cache", "redis"}
)

// labweb is the package that every web host has, updates or not.
const labweb = "lab-web"

// Act is one campaign and what it did to the lab.
type Act struct {
	Campaign Campaign `json:"campaign"`
	Members  []Member `json:"members"`
	Sent     int      `json:"sent"`
	Failed   int      `json:"failed"`
	// Rate is what was achieved, in requests per second; Seconds is how long the traffic flowed.
	Rate    float64        `json:"rate"`
	Seconds float64        `json:"seconds"`
	Errors  map[string]int `json:"errors,omitempty"` // the failed requests by reason
}

// Campaign is how an instance ended.
type Campaign struct {
	Instance string `json:"instance"`
	State    string `json:"state"`
	Reason   string `json:"reason,omitempty"`
	Exit     int    `json:"exit"` // of the command that ran it
}

// Member is one host as it was found before and after a campaign.
type Member struct {
	Host    string `json:"host"`
	Cluster string `json:"cluster"`
	// Only packages that changed; Compared is how many were looked at.
	VersionsBefore map[string]string `json:"versions_before"`
	VersionsAfter  map[string]string `json:"versions_after"`
	Compared       int               `json:"compared"`
	BootBefore     string            `json:"boot_before"`
	BootAfter      string            `json:"boot_after"`
	// SecondsOut is how long Consul did not list the member as passing.
	SecondsOut float64 `json:"seconds_out"`
	// DpkgLines is how many lines the campaign added to the host's dpkg log.
	DpkgLines int `json:"dpkg_lines"`

	labwebBefore, labwebAfter string
}

// found is a host at one moment.
type found struct {
	versions map[string]string
	boot     string
	dpkg     int
}

func (d *demo) find(ctx context.Context, host string) (f found, err error) {
	if f.versions, err = d.Versions(ctx, host); err != nil {
		return f, err
	}
	if f.boot, err = d.BootID(ctx, host); err != nil {
		return f, err
	}
	log, err := d.DpkgLog(ctx, host)
	f.dpkg = strings.Count(log, "\n")
	return f, err
}

// act runs a campaign under traffic and looks at its members before and after.
func (d *demo) act(ctx context.Context, file string, clusters []cluster) (a Act, err error) {
	consul := registry{d.ConsulAddr()}
	before := map[string]found{}
	for _, c := range clusters {
		hosts, err := consul.members(ctx, c.service)
		if err != nil {
			return a, err
		}
		for _, h := range hosts {
			if before[h], err = d.find(ctx, h); err != nil {
				return a, fmt.Errorf("host %q: %w", h, err)
			}
			a.Members = append(a.Members, Member{Host: h, Cluster: c.name})
		}
	}
	watching := watch(ctx, consul, clusters)
	traffic := load.Start(ctx, d.WebURL(), rate)
	d.print("\n")
	d.sayf("traffic: %d requests/s to %s", rate, d.WebURL())
	telling := d.tell(traffic)
	a.Campaign.Exit, err = d.rollpatch(ctx, "run", "-i", d.InventoryFile(), file)
	close(telling)
	r := traffic.Stop()
	out := watching.stop()
	a.Sent, a.Failed, a.Rate, a.Seconds, a.Errors = r.Sent, r.Failed, milli(r.Rate), milli(r.Seconds), r.Errors
	if err != nil || ctx.Err() != nil {
		return a, errors.Join(err, ctx.Err())
	}
	for i := range a.Members {
		m := &a.Members[i]
		after, err := d.find(ctx, m.Host)
		if err != nil {
			return a, fmt.Errorf("host %q: %w", m.Host, err)
		}
		m.compare(before[m.Host], after)
		m.SecondsOut = milli(out[m.Host].Seconds())
	}
	return a, d.ask(ctx, &a.Campaign)
}

// tell prints how the traffic goes until its channel is closed.
func (d *demo) tell(traffic *load.Load) chan<- struct{} {
	end := make(chan struct{})
	go func() {
		tick := time.NewTicker(tellEvery)
		defer tick.Stop()
		for {
			select {
			case <-end:
				return
			case <-tick.C:
			}
			r := traffic.Snapshot()
			d.sayf("traffic: %d sent, %d failed, %.1f/s", r.Sent, r.Failed, r.Rate)
		}
	}()
	return end
}

// ask has the CLI say how the latest instance ended.
func (d *demo) ask(ctx context.Context, c *Campaign) error {
	r, err := d.Rollpatch(ctx, nil, "status", "--output", "json")
	if err != nil {
		return err
	}
	if r.Code != 0 {
		return fmt.Errorf("rollpatch status: exit status %d: %s", r.Code, strings.TrimSpace(r.Stderr))
	}
	if err := json.Unmarshal([]byte(r.Stdout), c); err != nil {
		return fmt.Errorf("rollpatch status: %w", err)
	}
	return nil
}

// milli leaves out digits that mean nothing.
func milli(x float64) float64 { return math.Round(x*1000) / 1000 }

func (m *Member) compare(before, after found) {
	m.BootBefore, m.BootAfter = before.boot, after.boot
	m.DpkgLines = after.dpkg - before.dpkg
	m.labwebBefore, m.labwebAfter = before.versions[labweb], after.versions[labweb]
	m.VersionsBefore, m.VersionsAfter = map[string]string{}, map[string]string{}
	all := maps.Clone(before.versions)
	maps.Copy(all, after.versions)
	m.Compared = len(all)
	for name := range all {
		was, had := before.versions[name]
		is, has := after.versions[name]
		if had && was != is {
			m.VersionsBefore[name] = was
		}
		if has && was != is {
			m.VersionsAfter[name] = is
		}
	}
}

// changed counts packages that are not as they were.
func (m *Member) changed() int {
	all := maps.Clone(m.VersionsBefore)
	maps.Copy(all, m.VersionsAfter)
	return len(all)
}

// wanted says what is not as it should be: how the campaign ended, or that anybody noticed it.
func (a Act) wanted(state string, exit int) error {
	var all error
	if a.Campaign.State != state || a.Campaign.Exit != exit {
		all = fmt.Errorf("campaign %s is %s with exit status %d, want %s with %d", cmp.Or(a.Campaign.Instance, "(none)"), cmp.Or(a.Campaign.State, "unknown"), a.Campaign.Exit, state, exit)
	}
	if a.Failed > 0 || a.Sent == 0 {
		all = errors.Join(all, fmt.Errorf("%d of %d requests failed (%s)", a.Failed, a.Sent, strings.Join(slices.Sorted(maps.Keys(a.Errors)), ", ")))
	}
	return all
}

// backedOut says what is left of an update that should have been taken back from its canary and never have reached a peer.
func (a Act) backedOut() error {
	var all error
	touched := 0
	for _, m := range a.Members {
		if n := m.changed(); n > 0 {
			all = errors.Join(all, fmt.Errorf("host %q: packages that are not as they were: %d", m.Host, n))
		}
		if m.DpkgLines > 0 {
			touched++
		}
	}
	if touched != 1 {
		all = errors.Join(all, fmt.Errorf("the update was on %d hosts, want 1", touched))
	}
	return all
}
