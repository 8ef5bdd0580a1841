package activities

import (
	"context"
	"errors"
	"strings"

	"github.com/rollpatch/rollpatch/workflows/plan"
	"github.com/rollpatch/rollpatch/workflows/preflight"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

// preflight is what stands against patching a host, by what it says of itself; nothing is changed there. What would come decides how much room
// is needed.
func (a *Activities) preflight(ctx context.Context, s scene, osID string, need preflight.Need) (preflight.Facts, []preflight.Finding, error) {
	backup, rule, _ := s.part.Preflight(s.host.Name)
	var env []string
	if backup != nil {
		env = []string{"ROLLPATCH_BACKUP_FILE", backup.File, "ROLLPATCH_BACKUP_COMMAND", strings.Join(backup.Command, "\n")}
	}
	out, err := a.planScript(ctx, s, osID, "preflight", env...)
	if err != nil {
		return preflight.Facts{}, nil, err
	}
	f, err := preflight.Read(rows(out))
	if err != nil {
		return f, nil, err
	}
	need.Now, need.Backup = a.Now(), rule
	return f, a.accepted(s, preflight.Judge(s.host.Name, f, need)), nil
}

// accepted marks what somebody accepts of a member's findings, and has not been over since.
func (a *Activities) accepted(s scene, findings []preflight.Finding) []preflight.Finding {
	_, _, accept := s.part.Preflight(s.host.Name)
	return preflight.Accept(findings, accept, a.Now())
}

// look asks one host what stands against patching it. What cannot be told is a finding, too.
func (a *Activities) look(ctx context.Context, who plan.Asking, records *recordsOnce) plan.Answer {
	own, cancel := context.WithTimeout(ctx, answerFor)
	defer cancel()
	answer := plan.Answer{Host: who.Host}
	s, err := a.scene(own, who.Part, who.Host)
	if err != nil {
		return plan.Answer{Host: who.Host, Unknown: clip(err.Error())}
	}
	add := func(f ...preflight.Finding) {
		answer.Findings = preflight.Join(answer.Findings, a.accepted(s, f))
	}
	for _, f := range a.consulFindings(own, s, records) {
		add(f)
	}
	f, osID, err := a.facts(own, s)
	if err != nil {
		add(preflight.NoAccess(who.Host, s.target.Access.User, s.host.Address, a.said(own, err)))
		return answer
	}
	answer.OS, answer.Release, answer.Arch, answer.Kernel, answer.Pending = f.OS, f.Release, f.Arch, f.Kernel, f.Reboot
	var need preflight.Need
	if f.Dirty {
		add(preflight.Unclean(who.Host)) // apt would not say more
	} else if out, err := a.planScript(own, s, osID, "pending"); err != nil {
		switch exitStatus(err) {
		case exitLock:
			add(preflight.Locked(who.Host, a.said(own, err)))
		case exitSource:
			add(preflight.NoRepository(who.Host, a.said(own, err)))
		default:
			add(preflight.NoUpgrade(who.Host, a.said(own, err)))
		}
	} else {
		for _, k := range readPending(rows(out), s.wants, &plan.Answer{}).all {
			need.Download += k.Size
		}
		need.Kernel = strings.Contains("\n"+string(out), "\nreboot\tyes\tlinux-image-")
	}
	_, found, err := a.preflight(own, s, osID, need)
	if err != nil {
		add(preflight.NoAccess(who.Host, s.target.Access.User, s.host.Address, a.said(own, err)))
		return answer
	}
	answer.Findings = preflight.Join(answer.Findings, found)
	return answer
}

// consulFindings is what the records and the catalog say of a member, or that they cannot be read.
func (a *Activities) consulFindings(ctx context.Context, s scene, records *recordsOnce) (all []preflight.Finding) {
	host := s.host.Name
	held, err := records.List(ctx, s.consul(), quarantineKey(host))
	if err == nil {
		held, err = readable(held, nil)
	}
	if err != nil {
		all = append(all, preflight.NoConsul(host, a.said(ctx, err)))
	} else if q, ok := at(held, quarantineKey(host)); ok {
		all = append(all, preflight.Shut(host, q.Since.UTC().Format("2006-01-02 15:04"), q.Owner, short(q.Reason)))
	}
	for _, c := range s.clusters() {
		ok, why, err := a.way(c, 0).serves(ctx, s, s.host)
		foreign := (*ForeignError)(nil)
		switch {
		case errors.As(err, &foreign):
			all = append(all, preflight.OutOfService(host, c.Cluster.Name, err.Error()))
		case err != nil && len(all) == 0: // said once
			all = append(all, preflight.NoConsul(host, a.said(ctx, err)))
		case err == nil && !ok:
			all = append(all, preflight.OutOfService(host, c.Cluster.Name, why))
		}
	}
	return all
}

// said is an error for a person, short.
func (a *Activities) said(ctx context.Context, err error) string {
	if ctx.Err() != nil && errors.Is(err, context.DeadlineExceeded) {
		return "no answer within " + answerFor.String()
	}
	return clip(err.Error())
}

// lived is what would have kept a member from its drain, and somebody accepts.
func lived(findings []preflight.Finding) (out []rollout.Accepted) {
	for _, f := range findings {
		if f.Severity == preflight.Severe && f.Accepted != "" {
			out = append(out, rollout.Accepted{Check: f.Check, Reason: f.Accepted, Until: f.Until})
		}
	}
	return out
}
