package activities

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/rollpatch/rollpatch/workflows/plan"
	"github.com/rollpatch/rollpatch/workflows/rollout"
	"github.com/rollpatch/rollpatch/workflows/staging"
)

// StagedKept is how long it stays on record that versions finished in a stage.
const StagedKept = 180 * 24 * time.Hour

// StagedInput asks whether what a member would get has finished in the stage that its own requires.
type StagedInput struct {
	Instance string `json:"instance"`
	Part     string `json:"part"`
	Host     string `json:"host"`
	Manifest string `json:"manifest,omitempty"` // what the canary got; empty: the host is asked
}

// finished puts on record what soaked in a cluster that is done. Asked again, it changes nothing.
func (a *Activities) finished(ctx context.Context, p plan.Part, in ClaimInput) error {
	if p.Stage == "" {
		return nil
	}
	var m Manifest
	if err := a.load(ctx, in.Finished.Manifest, &m); err != nil {
		return err
	}
	var records []staging.Record
	for versions := range slices.Chunk(m.versions(), mostVersions) {
		records = append(records, staging.Record{
			Stage: p.Stage, Cluster: p.Cluster.Name, Instance: in.Instance, At: in.Finished.At.UTC(), Platform: m.platform(), Versions: versions, Emergency: p.Emergency,
		})
	}
	return a.Stagings.Keep(ctx, consulOf(p, p.Cluster.Consul, ""), records, in.Finished.At.Add(-StagedKept))
}

func (m Manifest) platform() staging.Platform {
	return staging.Platform{OS: m.OS, Release: m.Release, Arch: m.Arch}
}

// versions are the manifest's, each with the digest of its file.
func (m Manifest) versions() []staging.Version {
	return versionsOf(m.Changes, m.Files)
}

func versionsOf(changes []Change, files []PackageFile) (all []staging.Version) {
	for _, c := range changes {
		if c.New == "" {
			continue
		}
		v := staging.Version{Name: c.Name, Version: c.New}
		if i := slices.IndexFunc(files, func(f PackageFile) bool { return f.Name == c.Name && f.Version == c.New }); i >= 0 {
			v.SHA256 = files[i].SHA256
		}
		all = append(all, v)
	}
	return all
}

// Staged says whether a member may begin with what it would get: what the canary got, what was fetched ahead for it, or else what the host itself says that it
// would get now.
// It is read only, and on no audit chain; the canary's fetch asks once more.
func (a *Activities) Staged(ctx context.Context, in StagedInput) (rollout.StagedResult, error) {
	ctx, stop := a.beating(ctx)
	defer stop()
	p, err := a.part(ctx, in.Part)
	if err != nil {
		return rollout.StagedResult{}, err
	}
	says, err := a.staged(ctx, p, in)
	switch {
	case ctx.Err() != nil:
		return rollout.StagedResult{}, ctx.Err()
	case err != nil:
		return rollout.StagedResult{Reason: clip(err.Error())}, nil
	case says.Lacks() != "":
		return rollout.StagedResult{Missing: clip(says.Lacks())}, nil
	case says.Waits() != "":
		return rollout.StagedResult{Young: clip(says.Waits()), Until: says.Ready}, nil
	}
	return rollout.StagedResult{OK: true}, nil
}

func (a *Activities) staged(ctx context.Context, p plan.Part, in StagedInput) (staging.Answer, error) {
	if in.Manifest != "" {
		var m Manifest
		if err := a.load(ctx, in.Manifest, &m); err != nil {
			return staging.Answer{}, err
		}
		return a.hold(ctx, p, m.platform(), m.versions())
	}
	own, cancel := context.WithTimeout(ctx, answerFor)
	defer cancel()
	at, here, there, err := a.brought(own, in)
	switch {
	case err != nil:
		return staging.Answer{}, fmt.Errorf("what %s would get is not known: %w", in.Host, err)
	case there:
		return a.hold(ctx, p, at, here)
	}
	answer := plan.Answer{Host: in.Host}
	if err := a.fill(own, plan.Question{}, plan.Asking{Host: in.Host, Part: in.Part}, newRecordsOnce(own, a.Claims), &answer); err != nil {
		return staging.Answer{}, fmt.Errorf("what %s would get is not known: %w", in.Host, err)
	}
	return a.hold(ctx, p, staging.Platform{OS: answer.OS, Release: answer.Release, Arch: answer.Arch}, p.WouldGet(answer))
}

// brought is what a canary's fetch takes of what was fetched ahead for it, whatever its repositories have by now; there: it takes that.
func (a *Activities) brought(ctx context.Context, in StagedInput) (at staging.Platform, here []staging.Version, there bool, err error) {
	s, err := a.scene(ctx, in.Part, in.Host)
	if err != nil {
		return at, nil, false, err
	}
	s.who = in.Instance
	had, err := a.ahead(ctx, s)
	if err != nil || !had.taken(nil, nil) {
		return at, nil, false, err
	}
	f, _, err := a.facts(ctx, s)
	if err != nil {
		return at, nil, false, err
	}
	q, err := a.inQuarantine(ctx, s, f, in.Instance)
	if err != nil {
		return at, nil, false, err
	}
	for _, k := range had.files {
		if _, shut := q[k.Name+" "+k.Version]; !shut && f.Versions[k.Name] != k.Version {
			here = append(here, staging.Version{Name: k.Name, Version: k.Version, SHA256: k.SHA256})
		}
	}
	return staging.Platform{OS: f.OS, Release: f.Release, Arch: f.Arch}, here, true, nil
}

// unfinished adds to an answer what has finished in the stage that goes first, and what has not.
func (a *Activities) unfinished(ctx context.Context, who plan.Asking, answer *plan.Answer) {
	p, err := a.part(ctx, who.Part)
	if err != nil || p.Requires == nil || len(answer.Packages) == 0 {
		return // the answer was worked out with that very part
	}
	says, err := a.hold(ctx, p, staging.Platform{OS: answer.OS, Release: answer.Release, Arch: answer.Arch}, p.WouldGet(*answer))
	if err != nil {
		answer.Unfinished = []string{clip(err.Error())}
		return
	}
	answer.Finished, answer.Unfinished = says.Proven(), says.Open()
}

// notFinished says why a canary's transaction has to wait for the stage that goes first, now that the digests of its files are known; empty:
// it need not.
func (a *Activities) notFinished(ctx context.Context, s scene, f facts, changes []Change, out []byte) (string, error) {
	if s.part.Requires == nil {
		return "", nil
	}
	files, err := parseFiles(out)
	if err != nil {
		return err.Error(), nil
	}
	says, err := a.hold(ctx, s.part, staging.Platform{OS: f.OS, Release: f.Release, Arch: f.Arch}, versionsOf(changes, files))
	if err != nil {
		return "", err
	}
	return strings.TrimSuffix(says.Lacks()+"; "+says.Waits(), "; "), nil
}

// hold holds versions against every record of the stage that goes first, and against what is in quarantine there.
func (a *Activities) hold(ctx context.Context, p plan.Part, at staging.Platform, want []staging.Version) (staging.Answer, error) {
	rule := p.Requires.Rule()
	records, shut, err := a.stagedIn(ctx, *p.Requires)
	if err != nil {
		return staging.Answer{}, fmt.Errorf("what has finished in stage %s is not known: %w", rule.Stage, err)
	}
	return rule.Judge(at, want, records, shut, a.Now().UTC()), nil
}

// stagedIn reads what stands of a stage in every Consul that may have something.
func (a *Activities) stagedIn(ctx context.Context, r plan.Requires) (records []staging.Record, shut []staging.Shut, err error) {
	for _, way := range r.From {
		access := ConsulAccess{Consul: way.Consul}
		for _, h := range way.Via {
			access.Via = append(access.Via, targetOf(h))
		}
		some, err := a.Stagings.Kept(ctx, access, r.Stage)
		if err != nil {
			return nil, nil, err
		}
		records = append(records, some...)
		quarantined, err := a.Claims.List(ctx, access, rollout.VersionsRecord)
		if err != nil {
			return nil, nil, err
		}
		for _, c := range quarantined {
			if c.Suspects == nil || c.Suspects.Stage != r.Stage {
				continue
			}
			for _, v := range c.Suspects.Versions {
				shut = append(shut, staging.Shut{
					Version:  staging.Version{Name: v.Name, Version: v.New},
					Platform: staging.Platform{OS: c.Suspects.OS, Release: c.Suspects.Release, Arch: c.Suspects.Arch}, Name: strings.TrimPrefix(c.Key, rollout.VersionsRecord),
				})
			}
		}
	}
	return records, shut, nil
}
