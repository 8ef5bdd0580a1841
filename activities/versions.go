package activities

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/rollpatch/rollpatch/workflows/plan"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

// Suspects are versions that a patch failed with. Until a person releases them, later instances leave them out on the hosts of that
// cluster: exactly these versions, and what needs them.
type Suspects struct {
	Cluster  string    `json:"cluster"`
	Stage    string    `json:"stage,omitempty"` // of the campaign: what failed there has not finished there
	OS       string    `json:"os,omitempty"`    // the platform; empty where nobody knows: any
	Release  string    `json:"release,omitempty"`
	Arch     string    `json:"arch,omitempty"`
	Host     string    `json:"host"` // whose transaction it was
	Versions []Change  `json:"versions,omitempty"`
	Body     string    `json:"body,omitempty"` // in place of Versions: their digest in the store
	Count    int       `json:"count"`
	Review   time.Time `json:"review"` // when somebody should have looked at them
}

// Told says who is told of a record that only a person ends.
type Told struct {
	Cluster string `json:"cluster"`
	Owner   string `json:"owner,omitempty"` // of the cluster
	Contact string `json:"contact,omitempty"`
}

func toldOf(p plan.Part) *Told {
	return &Told{Cluster: p.Cluster.Name, Owner: p.Cluster.Owner, Contact: p.Cluster.Contact}
}

// versionsKey is the same for the same versions on the same platform: what is quarantined twice is on record once.
func versionsKey(s Suspects) string {
	names := []string{s.OS + " " + s.Release + " " + s.Arch}
	for _, v := range s.Versions {
		names = append(names, v.Name+" "+v.New)
	}
	return rollout.VersionsRecord + s.Cluster + "/" + strings.TrimPrefix(plan.Digest(names), "sha256:")[:12]
}

// mostVersions stand in one record: a value in Consul's KV ends at 512 KiB.
const mostVersions = 2000

// QuarantineVersions puts on record which versions a patch failed with. Asked again, it changes nothing.
func (a *Activities) QuarantineVersions(ctx context.Context, in EvidenceInput) (ClaimResult, error) {
	return a.claims(ctx, in.ClaimInput, func(ctx context.Context, p plan.Part, r *ClaimResult) error {
		var changes []Change
		var m Manifest
		if err := a.load(ctx, in.Evidence.Changes, &changes); err != nil {
			return err
		}
		if in.Evidence.Manifest != "" {
			if err := a.load(ctx, in.Evidence.Manifest, &m); err != nil {
				return err
			}
		}
		me, err := a.owner(ctx, in.Instance)
		if err != nil {
			return err
		}
		changes = slices.DeleteFunc(changes, func(c Change) bool { return c.New == "" })
		for versions := range slices.Chunk(changes, mostVersions) {
			suspects := Suspects{
				Cluster: p.Cluster.Name, Stage: p.Stage, OS: m.OS, Release: m.Release, Arch: m.Arch, Host: in.Evidence.Host, Versions: versions, Count: len(versions),
				Review: in.Evidence.At.Add(time.Duration(p.Policy.Review)),
			}
			record := Claim{
				Key: versionsKey(suspects), Owner: in.Instance, Since: in.Evidence.At, Reason: clip(in.Evidence.Why), Server: me.Server, Plan: in.Plan, Told: toldOf(p),
				Suspects: &suspects,
			}
			// One that another instance has put there says the same of the same versions.
			if _, err := a.Claims.Take(ctx, consulOf(p, p.Cluster.Consul, ""), []Claim{record}); err != nil {
				return err
			}
		}
		r.OK, r.Reason = true, listed(changes)
		return nil
	})
}

// listed names versions, the first ones where there are many.
func listed(versions []Change) string {
	const most = 8
	var names []string
	for i, v := range versions {
		if i == most {
			names = append(names, fmt.Sprintf("and %d more", len(versions)-most))
			break
		}
		names = append(names, v.Name+" "+v.New)
	}
	return strings.Join(names, ", ")
}

// short keeps room for what follows a reason.
func short(s string) string {
	const most = 200
	if len(s) > most {
		s = s[:most] + " ..."
	}
	return strings.ToValidUTF8(s, "?")
}

// shut is the versions in quarantine that count for a host, by name and version.
type shut map[string]Claim

// inQuarantine reads which versions the host does not get: those of every cluster that it is in, but for what this very instance has put
// there while it worked on this cluster, which a person may have it try again.
func (a *Activities) inQuarantine(ctx context.Context, s scene, f facts, instance string) (shut, error) {
	me, err := a.owner(ctx, instance)
	if err != nil {
		return nil, err
	}
	return shutFor(ctx, s, f, me, a.Claims.List)
}

func shutFor(ctx context.Context, s scene, f facts, me Owner, list func(context.Context, ConsulAccess, string) ([]Claim, error)) (shut, error) {
	q := shut{}
	for _, cl := range s.clusters() {
		var records []Claim
		for _, scope := range []string{rollout.Everywhere, cl.Cluster.Name} {
			some, err := list(ctx, s.consulFor(cl.Cluster), rollout.VersionsRecord+scope+"/")
			if err != nil {
				return nil, err
			}
			records = append(records, some...)
		}
		for _, c := range records {
			switch {
			case c.Suspects == nil:
				return nil, fmt.Errorf("the record %s names no versions: nobody knows what to leave out", c.Key)
			case c.By() == me && c.Suspects.Cluster == cl.Cluster.Name && cl.Cluster.Name == s.part.Cluster.Name:
				continue // they failed right here; what a person has widened counts wherever they did not
			case c.Suspects.OS != "" && (c.Suspects.OS != f.OS || c.Suspects.Release != f.Release || c.Suspects.Arch != f.Arch):
				continue
			}
			for _, v := range c.Suspects.Versions {
				q[v.Name+" "+v.New] = c
			}
		}
	}
	return q, nil
}

func (q shut) has(name, version string) bool {
	_, ok := q[name+" "+version]
	return ok
}

// lines is how versions to be left out are given to a script.
func (q shut) lines() string {
	var lines []string
	for v := range q {
		lines = append(lines, strings.Replace(v, " ", "\t", 1)+"\n")
	}
	slices.Sort(lines)
	return strings.Join(lines, "")
}

// without takes them out of a list of wanted versions.
func (q shut) without(want string) (rest string, left []Change) {
	for line := range strings.Lines(want) {
		name, version, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		if name = strings.TrimPrefix(name, "+"); q.has(name, version) {
			left = append(left, Change{Name: name, New: version})
			continue
		}
		rest += line
	}
	return rest, left
}

// meets names a version of a transaction that must not be brought, or "".
func (q shut) meets(changes []Change) string {
	for _, c := range changes {
		if q.has(c.Name, c.New) {
			return fmt.Sprintf("the transaction would bring %s %s, which is in quarantine as %s", c.Name, c.New, strings.TrimPrefix(q[c.Name+" "+c.New].Key, rollout.VersionsRecord))
		}
	}
	return ""
}

// told says what is left out, and why; release is what ends it.
func (q shut) told(left []Change) (text, release string) {
	if len(left) == 0 {
		return "", ""
	}
	var own, needing []Change
	why, names := []string(nil), []string(nil)
	for _, v := range left {
		c, ok := q[v.Name+" "+v.New]
		if !ok {
			needing = append(needing, v)
			continue
		}
		own = append(own, v)
		if name := strings.TrimPrefix(c.Key, rollout.VersionsRecord); !slices.Contains(names, name) {
			names = append(names, name)
			why = append(why, fmt.Sprintf("%s since %s by %s: %s%s", name, c.Since.UTC().Format("2006-01-02"), c.Owner, short(c.Reason), c.Widened.text()))
		}
	}
	var parts []string
	if len(own) > 0 {
		parts = append(parts, listed(own)+" (in quarantine as "+strings.Join(why, "; ")+")")
		release = "rollpatch quarantine release " + names[0] + ` --reason "..."`
	}
	if len(needing) > 0 {
		parts = append(parts, "what goes only with them: "+listed(needing))
	}
	return "left out: " + strings.Join(parts, ", and "), release
}
