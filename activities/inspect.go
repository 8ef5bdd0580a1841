package activities

import (
	"context"
	"fmt"
	"strings"

	"github.com/rollpatch/rollpatch/inventory"
	"github.com/rollpatch/rollpatch/workflows/plan"
	"github.com/rollpatch/rollpatch/workflows/preflight"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

// Inspect reads the host's facts and packages, its boot id and number, and whether somebody else took it out of service,
// and what stands against patching it. It changes nothing.
func (a *Activities) Inspect(ctx context.Context, in StepInput) (StepResult, error) {
	return a.step(ctx, in, func(ctx context.Context, s scene, r *StepResult) error {
		f, osID, err := a.facts(ctx, s)
		if err != nil {
			return r.orUnknown(ctx, err)
		}
		r.Boot, r.Seq = f.Boot, f.Seq
		r.Platform = plan.Platform{OS: f.OS, Release: f.Release, Arch: f.Arch}.String()
		if other := f.other(in.Run); other != "" {
			r.unknown(other)
			return nil
		}
		q, shut, err := a.record(ctx, s.consul(), quarantineKey(s.host.Name))
		if err != nil {
			return r.orUnknown(ctx, err)
		}
		if shut {
			r.fail(fmt.Sprintf("in quarantine since %s by %s: %s", q.Since.UTC().Format("2006-01-02 15:04"), q.Owner, q.Reason))
			r.Foreign = true
			return nil
		}
		st, err := a.standing(ctx, s, in)
		if err != nil {
			return r.orUnknown(ctx, err)
		}
		r.Ours = st.ours
		if st.foreign != "" {
			r.fail(st.foreign)
			r.Foreign = true
			return nil
		}
		if st.unsure != "" && !st.ours {
			r.unknown(st.unsure)
			return nil
		}
		r.Scripted = s.drains(inventory.DrainCommand)
		if r.Seq, err = a.highest(ctx, s, f.Seq); err != nil {
			return r.orUnknown(ctx, err)
		}
		if f.Dirty {
			r.fail("its package database is not clean: run dpkg --configure -a there, or apt-get --fix-broken install")
			return nil
		}
		untold := ""
		if in.Mode == rollout.ModePatch && !r.Ours {
			told, found, err := a.preflight(ctx, s, osID, preflight.Need{})
			if err != nil {
				return r.orUnknown(ctx, err)
			}
			if why := preflight.Refusal(found); why != "" {
				r.fail(clip("preflight: " + why))
				return nil
			}
			r.Accepted = lived(found)
			if r.Print, untold, err = a.printBefore(ctx, s, osID, told); err != nil {
				return r.orUnknown(ctx, err)
			}
		}
		if in.Mode == rollout.ModeBackout && !r.Ours {
			// Days may have passed since its patch, in which others changed what is theirs. What cannot be read now keeps no host from its way
			// back: then it is held against how it looked before its patch.
			if told, _, err := a.preflight(ctx, s, osID, preflight.Need{}); err == nil {
				r.Print, untold, _ = a.printBefore(ctx, s, osID, told)
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
		}
		r.pass(fmt.Sprintf("%s %s, kernel %s, %d packages%s", f.OS, f.Release, f.Kernel, len(f.Versions), untold))
		return nil
	})
}

// facts asks the host for its facts; osID is remembered by the playbook's choice, which needs it first.
func (a *Activities) facts(ctx context.Context, s scene) (facts, string, error) {
	osID, err := a.osID(ctx, s)
	if err != nil {
		return facts{}, "", err
	}
	script, err := s.script(a, osID, "facts")
	if err != nil {
		return facts{}, osID, err
	}
	out, err := a.Runner.Query(ctx, s.target, script, nil)
	if err != nil {
		return facts{}, osID, err
	}
	f, err := parseFacts(out)
	return f, osID, err
}

// other says that a run goes on there which is not the step's own: nothing is judged, and nothing begins, beside it.
func (f facts) other(own string) string {
	for _, id := range f.Runs {
		if id != own {
			return "the run " + id + " still goes on there"
		}
	}
	return ""
}

// osRelease prints the id that chooses a playbook.
const osRelease = `. "${ROLLPATCH_ROOT:-}/etc/os-release" && printf '%s\n' "$ID"`

func (a *Activities) osID(ctx context.Context, s scene) (string, error) {
	if s.host.Playbook != "" {
		return "", nil
	}
	out, err := a.Runner.Query(ctx, s.target, []byte(osRelease), nil)
	return strings.TrimSpace(string(out)), err
}

// is says whether a catalog entry is this host's.
func (s scene) is(i Instance) bool { return i.Node == s.host.Name || i.Address == s.host.Address }
