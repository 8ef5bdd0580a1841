package activities

import (
	"context"
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/rollpatch/rollpatch/inventory/campaign"
)

// Fetch works out the transaction, downloads it while the member still serves, and secures every old package. The canary takes
// what is pending and wanted; a peer takes the intersection of the manifest with what it has, plus the manifest's new
// dependencies (P4).
func (a *Activities) Fetch(ctx context.Context, in StepInput) (StepResult, error) {
	return a.step(ctx, in, func(ctx context.Context, s scene, r *StepResult) error {
		f, osID, err := a.facts(ctx, s)
		if err != nil {
			return r.orUnknown(ctx, err)
		}
		if other := f.other(in.Run); other != "" {
			r.unknown(other)
			return nil
		}
		st, err := a.standing(ctx, s, in)
		if err != nil {
			return r.orUnknown(ctx, err)
		}
		if r.Ours = st.ours; r.Ours {
			r.pass("it is drained by this instance already")
			return nil
		}
		q, err := a.inQuarantine(ctx, s, f, in.Instance)
		if err != nil {
			return r.orUnknown(ctx, err)
		}
		var manifest *Manifest
		var files []PackageFile
		if in.Manifest != "" {
			manifest = &Manifest{}
			if err := a.load(ctx, in.Manifest, manifest); err != nil {
				return err
			}
			hand, err := a.otherHand(ctx, in, *manifest, f)
			if err != nil {
				return err
			}
			if hand != "" {
				r.fail(hand)
				r.OtherHand = true
				return nil
			}
			files = manifest.soaked(wanted(*manifest, f.Versions))
		}
		had, err := a.ahead(ctx, s)
		if err != nil {
			return r.orUnknown(ctx, err)
		}
		var want, left string
		var not []Change
		var lacks []PackageFile
		there := had.taken(manifest, files)
		if there {
			want = had.want
		} else if want, left, not, lacks, err = a.pending(ctx, s, osID, q, files); err != nil { // it also reads the repositories anew
			return r.orFail(ctx, err)
		}
		if manifest != nil {
			if manifest.OS != f.OS || manifest.Release != f.Release || manifest.Arch != f.Arch {
				r.fail(fmt.Sprintf("its platform %s %s %s is not the canary's %s %s %s: nothing soaked for it", f.OS, f.Release, f.Arch, manifest.OS, manifest.Release, manifest.Arch))
				return nil
			}
			all := want
			want = wanted(*manifest, f.Versions)
			if left = debt(all, want); there {
				left = ""
			}
		} else if !there {
			var alone string
			want, alone = s.planned(f, want)
			left += alone
		}
		switch {
		case there:
			left += ", as it was fetched ahead"
		case had.lost != "":
			left += "; " + had.lost + ", which was fetched ahead, is not there any more or not what it was"
		}
		want, more := q.without(want)
		for _, v := range more {
			if !slices.Contains(not, v) {
				not = append(not, v)
			}
		}
		var release string
		if r.LeftOut, release = q.told(not); r.LeftOut != "" {
			left += "; " + r.LeftOut
		}
		known := false
		if want == "" {
			// A server that was put back to an older copy has forgotten what this instance did here. What its host keeps of the
			// fetch holds then: the member is not one that nothing was done to, and its soak is owed.
			if known, err = a.Runner.Begun(ctx, s.target, in.Run); err != nil {
				return r.orUnknown(ctx, err)
			}
		}
		if want == "" && !known {
			if r.pass("nothing to do" + left); release != "" {
				r.Reason += "; end that with: " + release
			}
			r.Nothing = true
			return nil
		}
		script, err := s.script(a, osID, "fetch")
		if err != nil {
			return err
		}
		env := map[string]string{"ROLLPATCH_WANT": want, "ROLLPATCH_LEDGER": in.Instance}
		if len(q) > 0 {
			env["ROLLPATCH_LEAVE_OUT"] = q.lines()
		}
		if manifest == nil && there {
			env["ROLLPATCH_FILES"] = fileLines(had.files)
		}
		if manifest != nil {
			files = manifest.soaked(want)
			env["ROLLPATCH_FILES"] = fileLines(files)
			_, missing, err := a.bring(ctx, s, *manifest, both(lacks, files))
			if err != nil {
				return r.orUnknown(ctx, err)
			}
			if missing != "" {
				r.unknown(missing)
				return nil
			}
		}
		out, err := a.run(ctx, s, in, script, env, time.Duration(s.part.Policy.Timeouts.Fetch), r)
		if passing(out) || r.Interrupted {
			r.again() // it changes no package, and the member serves
		}
		if err == nil && manifest != nil && gone(out) {
			// The repository lists it, and does not have it, or has another one: the very file that soaked is with the canary.
			if err := a.fetchAgain(ctx, s, *manifest, files, r); err != nil {
				return r.orUnknown(ctx, err)
			}
		}
		if err != nil || r.Verdict != "" {
			return err
		}
		changes := parseChanges(out.Stdout, "change")
		switch problem, name := refuse(changes, manifest, s.part.Packages, out.Stdout); {
		case problem != "":
			r.fail(problem)
			r.Blame = blamePackage(name)
			return nil
		case q.meets(changes) != "":
			r.fail(q.meets(changes))
			return nil
		case len(changes) == 0:
			r.pass("nothing to do" + left)
			r.Nothing = true
			return nil
		}
		if manifest == nil {
			widens, drift, newer := s.drifted(f, changes)
			r.Newer = newer
			if left += drift; widens != "" {
				r.fail(widens)
				r.Widens = true
				return nil
			}
			behind, err := a.notFinished(ctx, s, f, changes, out.Stdout)
			if err != nil {
				return r.orUnknown(ctx, err)
			}
			if behind != "" {
				r.fail(behind)
				r.Widens = true
				return nil
			}
		}
		sort.Slice(changes, func(i, j int) bool { return changes[i].Name < changes[j].Name })
		if r.Changes, err = a.save(ctx, changes); err != nil {
			return err
		}
		if manifest == nil {
			files, err := parseFiles(out.Stdout)
			if err != nil {
				r.fail(err.Error())
				return nil
			}
			other, err := a.unplanned(ctx, s, f, files)
			if err != nil {
				return r.orUnknown(ctx, err)
			}
			if other != "" {
				r.fail(other)
				r.Widens = true
				return nil
			}
			if r.Manifest, err = a.save(ctx, Manifest{OS: f.OS, Release: f.Release, Arch: f.Arch, Changes: changes, Host: s.host.Name, Files: files}); err != nil {
				return err
			}
		}
		r.MemberResult.Changes = len(changes)
		r.pass(fmt.Sprintf("%d packages fetched, every former version secured%s", len(changes), left))
		return nil
	})
}

// pending asks what the host would upgrade and keeps what the campaign wants of it; left tells what it does not touch, and not lists
// what it would but for the quarantine. lacks are those of the files that it can have neither from a repository nor from its ledger.
func (a *Activities) pending(ctx context.Context, s scene, osID string, q shut, files []PackageFile) (want, left string, not []Change, lacks []PackageFile, err error) {
	script, err := s.script(a, osID, "pending")
	if err != nil {
		return "", "", nil, nil, err
	}
	env := map[string]string{}
	if len(q) > 0 {
		env["ROLLPATCH_LEAVE_OUT"] = q.lines()
	}
	if len(files) > 0 {
		env["ROLLPATCH_FILES"], env["ROLLPATCH_LEDGER"] = fileLines(files), s.who
	}
	out, err := a.Runner.Query(ctx, s.target, script, env)
	if err != nil {
		return "", "", nil, nil, err
	}
	table := rows(out)
	if why := s.untold(table); why != "" {
		return "", "", nil, nil, errNoSecurity(why)
	}
	var b strings.Builder
	skipped, held := 0, 0
	for _, r := range table {
		switch {
		case r[0] == "upgrade" && len(r) >= 4 && s.wants(r):
			fmt.Fprintf(&b, "%s\t%s\n", r[1], r[3])
		case r[0] == "upgrade":
			skipped++
		case r[0] == "held":
			held++
		case r[0] == "left" && len(r) >= 4 && s.wants(r):
			not = append(not, Change{Name: r[1], New: r[3]})
		}
	}
	if skipped > 0 {
		left += fmt.Sprintf(", %d pending ones left alone by the campaign's packages", skipped)
	}
	if held > 0 {
		left += fmt.Sprintf(", %d held on the host", held)
	}
	return b.String(), left, not, absent(out, files), nil
}

// wanted is the manifest as one peer gets it: what it has and does not have in that version, and new dependencies marked +.
func wanted(m Manifest, has map[string]string) string {
	var b strings.Builder
	for _, c := range m.Changes {
		now, here := has[c.Name]
		switch {
		case c.New == "" || now == c.New:
		case here:
			fmt.Fprintf(&b, "%s\t%s\n", c.Name, c.New)
		case c.Old == "":
			fmt.Fprintf(&b, "+%s\t%s\n", c.Name, c.New)
		}
	}
	return b.String()
}

// debt tells what the peer has pending and does not get, because it did not soak.
func debt(pending, want string) string {
	got := map[string]bool{}
	for _, line := range strings.Split(want, "\n") {
		got[line] = true
	}
	n := 0
	for _, line := range strings.Split(pending, "\n") {
		if line != "" && !got[line] {
			n++
		}
	}
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(", %d pending ones did not soak and are left alone", n)
}

// refuse says why a simulated transaction must not happen, and for which package, or "".
func refuse(changes []Change, m *Manifest, p campaign.Packages, out []byte) (why, name string) {
	back := map[string]bool{}
	for _, r := range rows(out) {
		if r[0] == "back" && len(r) >= 4 {
			back[r[1]+" "+r[2]] = r[3] != "missing"
		}
	}
	listed := campaign.Packages{Exclude: p.Exclude} // what include leaves out may still be needed by what it names
	for _, c := range changes {
		if c.New == "" {
			return fmt.Sprintf("the transaction would remove %s %s, which the plan does not list", c.Name, c.Old), c.Name
		}
		if !listed.Match(c.Name) {
			return fmt.Sprintf("the transaction would bring %s %s, which the campaign excludes", c.Name, c.New), c.Name
		}
		if c.Old != "" && !back[c.Name+" "+c.Old] { // not told is no way back either
			return fmt.Sprintf("no way back: %s %s is neither in a repository nor in a cache", c.Name, c.Old), c.Name
		}
		if m == nil {
			continue
		}
		soaked := false
		for _, k := range m.Changes {
			soaked = soaked || k.Name == c.Name && k.New == c.New
		}
		if !soaked {
			return fmt.Sprintf("the transaction would bring %s %s, which did not soak on the canary", c.Name, c.New), c.Name
		}
	}
	return "", ""
}
