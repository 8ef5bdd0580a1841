package activities

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/rollpatch/rollpatch/inventory/campaign"
	"github.com/rollpatch/rollpatch/workflows/audit"
	"github.com/rollpatch/rollpatch/workflows/calendar"
	"github.com/rollpatch/rollpatch/workflows/plan"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

// AheadInput has the packages that are planned for a cluster fetched before its turn.
type AheadInput struct {
	Instance string `json:"instance"`
	Part     string `json:"part"`
	// Broken are the freezes that their approvers broke for this instance.
	Broken []rollout.Broken `json:"broken,omitempty"`
	Intent audit.Entry      `json:"intent"`
}

// AheadResult says whether every member has them, and if not, why.
type AheadResult struct {
	rollout.AheadResult
	Audit audit.Head `json:"audit"`
}

// aheadHosts is how many members of a cluster download at the same time.
const aheadHosts = 4

// FetchAhead brings what is planned for a cluster onto the members that are worked on: package files and the ways back, into their ledgers. It installs nothing, and needs neither
// a window nor a claim; in a freeze it leaves them alone. What a member lacks afterwards its own fetch brings, or says what is wrong with it.
func (a *Activities) FetchAhead(ctx context.Context, in AheadInput) (AheadResult, error) {
	var r AheadResult
	p, err := a.part(ctx, in.Part)
	if err != nil {
		return r, err
	}
	r.Audit, err = a.auditedOn(ctx, in.Intent, p.Worked(), func(ctx context.Context) (string, string, error) {
		lacks, others := map[string]error{}, map[string]string{}
		switch closed, next := a.frozen(ctx, p, in.Broken); {
		case ctx.Err() != nil:
			return "", "", ctx.Err()
		case closed != "":
			r.Why, r.Again = clip(closed), next
			return "left alone: " + r.Why, "", nil
		}
		members, left, err := a.outOfQuarantine(ctx, p)
		if err != nil {
			r.Why = clip(fmt.Sprintf("whether its members are in quarantine: %v", err))
			return "left alone: " + r.Why, "", ctx.Err()
		}
		var mu sync.Mutex
		onEach(members, aheadHosts, func(name string) {
			other, err := a.aheadOf(ctx, in, name)
			mu.Lock()
			defer mu.Unlock()
			if other != "" {
				others[name] = other
			}
			if err != nil {
				lacks[name] = err
			}
		})
		if ctx.Err() != nil {
			return "", "", ctx.Err() // another attempt follows, and fetches nothing twice
		}
		if len(lacks) > 0 {
			r.Why = clip(listFailed(lacks))
		}
		for _, name := range slices.Sorted(maps.Keys(others)) {
			if r.Other == "" {
				r.Other = clip(name + ": " + others[name])
			}
		}
		text := fmt.Sprintf("%d of %d members have what is planned for them", len(members)-len(lacks), len(members))
		if r.Left = clip(strings.Join(left, ", ")); r.Left != "" {
			text += ", without those in quarantine: " + r.Left
		}
		return text + because(r.Why), "", nil
	})
	return r, err
}

// outOfQuarantine are the members that are worked on, and those of them that are in quarantine: these are not touched.
func (a *Activities) outOfQuarantine(ctx context.Context, p plan.Part) (members, left []string, err error) {
	shut, err := readable(a.Claims.List(ctx, consulOf(p, p.Cluster.Consul, ""), rollout.QuarantineRecord))
	if err != nil {
		return nil, nil, err
	}
	for _, name := range p.Worked() {
		if _, in := at(shut, quarantineKey(name)); in {
			left = append(left, name)
		} else {
			members = append(members, name)
		}
	}
	return members, left, nil
}

func because(why string) string {
	if why == "" {
		return ""
	}
	return ": " + why
}

// frozen says why nothing is fetched ahead now, and until when.
func (a *Activities) frozen(ctx context.Context, p plan.Part, broken []rollout.Broken) (why string, next time.Time) {
	typed, err := a.Workflows.Frozen(ctx)
	switch {
	case err != nil:
		return fmt.Sprintf("whether the estate is frozen: %v", err), time.Time{}
	case typed != "":
		return typed, time.Time{}
	case !p.Windowed():
		return "", time.Time{}
	}
	says, err := a.timing(ctx, p, true, rollout.AskFreeze, calendar.Need{}, broken)
	if err != nil {
		return err.Error(), time.Time{}
	}
	return says.freeze, says.next
}

// aheadOf does that for one member. other is what it was given in place of a planned file.
func (a *Activities) aheadOf(ctx context.Context, in AheadInput, name string) (other string, err error) {
	s, err := a.scene(ctx, in.Part, name)
	if err != nil {
		return "", err
	}
	s.who = in.Instance
	own, cancel := context.WithTimeout(ctx, time.Duration(s.part.Policy.Timeouts.Fetch))
	defer cancel()
	f, osID, err := a.facts(own, s)
	if err != nil {
		return "", err
	}
	want, err := s.exact(f)
	switch {
	case err != nil || want == "":
		return "", err
	case f.Dirty:
		return "", errors.New("its package database is not clean")
	case f.other("") != "":
		return "", errors.New(f.other(""))
	}
	if had, err := a.ahead(own, s); err != nil || len(had.files) > 0 && had.lost == "" {
		return "", err
	}
	q, err := a.inQuarantine(own, s, f, in.Instance)
	if err != nil {
		return "", err
	}
	if want, _ = q.without(want); want == "" {
		return "", nil
	}
	env := []string{"ROLLPATCH_WANT", want, "ROLLPATCH_LEDGER", s.who}
	var leave []string
	if len(q) > 0 {
		leave = []string{"ROLLPATCH_LEAVE_OUT", q.lines()}
	}
	out, err := a.planScript(own, s, osID, "fetch", append(env, leave...)...)
	if stale := exitStatus(err); stale == exitVersion || stale == exitSource { // its package lists are older than the plan
		if _, again := a.planScript(own, s, osID, "pending", leave...); again != nil {
			return "", again
		}
		out, err = a.planScript(own, s, osID, "fetch", append(env, leave...)...)
	}
	if err != nil {
		return "", err
	}
	changes := parseChanges(out, "change")
	if problem, _ := refuse(changes, nil, s.part.Packages, out); problem != "" {
		return "", errors.New(problem)
	}
	if meets := q.meets(changes); meets != "" {
		return "", errors.New(meets)
	}
	if widens, _, _ := s.drifted(f, changes); widens != "" {
		return "", errors.New(widens)
	}
	files, err := parseFiles(out)
	if err != nil || len(changes) == 0 {
		return "", err
	}
	switch other, err = a.unplanned(own, s, f, files); {
	case err != nil:
		return "", err
	case other != "":
		return other, errors.New(other)
	}
	return "", a.list(own, s, changes, files)
}

// exact is what is planned for the member's platform, as fetch is given it.
func (s scene) exact(f facts) (want string, err error) {
	if s.part.Planned == nil {
		return "", nil
	}
	if _, known := s.part.Planned.On(f.platform()); !known {
		return "", fmt.Errorf("its platform %s is not in the plan", f.platform())
	}
	exact, several := s.part.Planned.Exact(f.platform())
	if len(several) > 0 {
		return "", fmt.Errorf("members of its platform said several versions of %s when the plan was made: its own fetch takes the one that is pending then", some(several))
	}
	for _, v := range exact {
		want += v.Name + "\t" + v.Version + "\n"
	}
	return want, nil
}

// unplanned says which file is not the one that was planned under its name and version, and takes it out of the ledger: asked again, the repository may have the
// right one.
func (a *Activities) unplanned(ctx context.Context, s scene, f facts, files []PackageFile) (other string, err error) {
	if s.part.Planned == nil {
		return "", nil
	}
	var got []plan.Brought
	for _, k := range files {
		got = append(got, plan.Brought{Version: plan.Version{Name: k.Name, Version: k.Version, SHA256: k.SHA256}, File: k.File})
	}
	for _, o := range s.part.Planned.Other(f.platform(), got) {
		if _, err := a.Runner.Query(ctx, s.target, []byte(dropSoaked), map[string]string{"ROLLPATCH_LEDGER": s.who, "ROLLPATCH_FILE": o.File}); err != nil {
			return "", err
		}
		if other == "" {
			other = fmt.Sprintf("widens: the repository has another file than the planned one as %s %s: its sha256 is %s, and the plan that was approved says another; find out why, and when the repository is right again: rollpatch retry %s --reason \"...\"", o.Name, o.Version.Version, o.SHA256, s.who)
		}
	}
	return other, nil
}

// What was fetched ahead for a cluster is listed beside the files: name (+name for one that was not installed), version, digest, size, file.
const (
	aheadList = `set -eu
folder=${ROLLPATCH_ROOT:-}/var/lib/rollpatch/ledger/$ROLLPATCH_LEDGER
list=$folder/ahead.$ROLLPATCH_CLUSTER
`
	// readAhead prints it, and names files that are not what they were.
	readAhead = aheadList + `[ -s "$list" ] || exit 0
while IFS="$(printf '\t')" read -r name version digest size file; do
	if [ -s "$folder/new/$file" ] && [ "$(sha256sum "$folder/new/$file" | cut -d ' ' -f 1)" = "$digest" ]; then
		printf 'file\t%s\t%s\t%s\t%s\t%s\n' "$name" "$version" "$digest" "$size" "$file"
	else
		printf 'lost\t%s\n' "$file"
	fi
done <"$list"
`
	writeAhead = aheadList + `body=$ROLLPATCH_BODY
unset ROLLPATCH_BODY # too long for the environment of a command
umask 077
printf '%s\n' "$body" >"$list.part"
sync "$list.part"
mv "$list.part" "$list"
sync "$folder"
`
	dropSoaked = soakedFile + `rm -f "$file"
`
)

// kept is what was fetched ahead for a member.
type kept struct {
	want  string // as fetch is given it
	files []PackageFile
	lost  string // a file that is not there any more, or not as it was
}

// has says that every one of these files is there.
func (k kept) has(files []PackageFile) bool {
	return len(files) > 0 && !slices.ContainsFunc(files, func(f PackageFile) bool { return !slices.Contains(k.files, f) })
}

// taken says that the member's fetch takes just that, and does not ask what is pending: what was approved is here. files is what soaked for a peer.
func (k kept) taken(manifest *Manifest, files []PackageFile) bool {
	if k.lost != "" {
		return false
	}
	return manifest == nil && k.want != "" || manifest != nil && k.has(files)
}

// ahead reads what was fetched ahead for the member, if anything.
func (a *Activities) ahead(ctx context.Context, s scene) (kept, error) {
	var k kept
	if s.part.Planned == nil || s.part.Policy.Fetch != campaign.FetchApproved {
		return k, nil
	}
	out, err := a.Runner.Query(ctx, s.target, []byte(readAhead), map[string]string{"ROLLPATCH_LEDGER": s.who, "ROLLPATCH_CLUSTER": s.part.Cluster.Name})
	if err != nil {
		return k, err
	}
	if k.files, err = parseFiles(out); err != nil {
		return k, err
	}
	for i, f := range k.files {
		k.want += f.Name + "\t" + f.Version + "\n"
		k.files[i].Name = strings.TrimPrefix(f.Name, "+")
	}
	for _, r := range rows(out) {
		if r[0] == "lost" && len(r) >= 2 {
			k.lost = r[1]
		}
	}
	return k, nil
}

// list keeps on the member which files are those of the plan.
func (a *Activities) list(ctx context.Context, s scene, changes []Change, files []PackageFile) error {
	if len(files) == 0 {
		return errors.New("its playbook does not tell which files it keeps")
	}
	var b strings.Builder
	for _, f := range files {
		if slices.ContainsFunc(changes, func(c Change) bool { return c.Name == f.Name && c.Old == "" }) {
			b.WriteByte('+')
		}
		fmt.Fprintf(&b, "%s\t%s\t%s\t%d\t%s\n", f.Name, f.Version, f.SHA256, f.Size, f.File)
	}
	_, err := a.Runner.Query(ctx, s.target, []byte(writeAhead), map[string]string{"ROLLPATCH_LEDGER": s.who, "ROLLPATCH_CLUSTER": s.part.Cluster.Name, "ROLLPATCH_BODY": strings.TrimSuffix(b.String(), "\n")})
	return err
}
