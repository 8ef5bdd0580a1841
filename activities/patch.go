package activities

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// Patch installs exactly the transaction that was fetched, proves the versions, and says whether a reboot is needed.
func (a *Activities) Patch(ctx context.Context, in StepInput) (StepResult, error) {
	return a.transact(ctx, in, "apply", func(c Change) string { return c.New })
}

// Backout brings exactly the former versions back, from what was secured before the patch.
func (a *Activities) Backout(ctx context.Context, in StepInput) (StepResult, error) {
	return a.transact(ctx, in, "backout", func(c Change) string { return c.Old })
}

func (a *Activities) transact(ctx context.Context, in StepInput, name string, want func(Change) string) (StepResult, error) {
	return a.step(ctx, in, func(ctx context.Context, s scene, r *StepResult) error {
		var changes []Change
		if err := a.load(ctx, in.Changes, &changes); err != nil {
			return err
		}
		osID, err := a.osID(ctx, s)
		if err != nil {
			return r.orUnknown(ctx, err)
		}
		script, err := s.script(a, osID, name)
		if err != nil {
			return err
		}
		env := map[string]string{"ROLLPATCH_CHANGES": changeLines(changes), "ROLLPATCH_LEDGER": in.Instance}
		if in.Repair {
			env["ROLLPATCH_REPAIR"] = "1"
		}
		out, err := a.run(ctx, s, in, script, env, time.Duration(s.part.Policy.Timeouts.Patch), r)
		if name == "backout" && passing(out) {
			r.again() // the way back is owed; a patch is not, and its member is better back in service than waiting out of it
		}
		if err != nil || r.Verdict != "" {
			return err
		}
		r.Boot = out.BootID // a power cut on the way may have changed it since the inspect: a reboot must differ from this one
		wrong, first, err := a.differ(ctx, s, osID, changes, want)
		if err != nil {
			return r.orUnknown(ctx, err)
		}
		if wrong != "" {
			r.fail(wrong)
			r.Blame = first
			return nil
		}
		reasons, err := a.rebootReasons(ctx, s, osID)
		if err != nil {
			return r.orUnknown(ctx, err) // it is no word on the patch
		}
		r.NeedsReboot = len(reasons) > 0
		text := fmt.Sprintf("%d packages", len(changes))
		if r.NeedsReboot {
			text += ", a reboot is needed: " + strings.Join(reasons, ", ")
		}
		r.pass(text)
		return nil
	})
}

// differ names the packages whose version is not the wanted one, or "", and the first of them to blame.
func (a *Activities) differ(ctx context.Context, s scene, osID string, changes []Change, want func(Change) string) (text, first string, err error) {
	script, err := s.script(a, osID, "verify")
	if err != nil {
		return "", "", err
	}
	var names []string
	for _, c := range changes {
		names = append(names, c.Name)
	}
	out, err := a.Runner.Query(ctx, s.target, script, map[string]string{"ROLLPATCH_NAMES": strings.Join(names, "\n")})
	if err != nil {
		return "", "", err
	}
	have, clean := installed(out)
	var wrong []string
	for _, c := range changes {
		if have[c.Name] != want(c) {
			if first == "" {
				first = blamePackage(c.Name)
			}
			wrong = append(wrong, fmt.Sprintf("%s is %s, not %s", c.Name, dash(have[c.Name]), dash(want(c))))
		}
	}
	if !clean {
		wrong = append(wrong, "the package database is not clean")
	}
	return strings.Join(wrong, "; "), first, nil
}

func (a *Activities) rebootReasons(ctx context.Context, s scene, osID string) ([]string, error) {
	script, err := s.script(a, osID, "reboot-needed")
	if err != nil {
		return nil, err
	}
	out, err := a.Runner.Query(ctx, s.target, script, nil)
	if err != nil {
		return nil, err
	}
	var reasons []string
	for _, r := range rows(out) {
		if r[0] == "reason" && len(r) >= 2 {
			reasons = append(reasons, r[1])
		}
	}
	return reasons, nil
}
