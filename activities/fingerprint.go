package activities

import (
	"context"
	"fmt"
	"strings"

	"github.com/rollpatch/rollpatch/workflows/fingerprint"
	"github.com/rollpatch/rollpatch/workflows/preflight"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

// printBefore keeps how the host looks before it is patched. What would not survive a reboot is marked: nobody blames its loss on the patch.
// untold says what the host does not tell, so that it cannot be compared.
func (a *Activities) printBefore(ctx context.Context, s scene, osID string, told preflight.Facts) (digest, untold string, err error) {
	var stray fingerprint.Stray
	stray.Units, stray.Mounts, stray.Routes, stray.Sysctls = told.Strays()
	p, err := a.print(ctx, s, osID, stray)
	if err != nil {
		return "", "", err
	}
	if items := p.Untold(s.fingerprintRules()); len(items) > 0 {
		untold = "; not compared later, since it does not tell them: " + strings.Join(items, ", ")
	}
	digest, err = a.save(ctx, p)
	return digest, untold, err
}

func (a *Activities) print(ctx context.Context, s scene, osID string, stray fingerprint.Stray) (fingerprint.Print, error) {
	out, err := a.planScript(ctx, s, osID, "fingerprint")
	if err != nil {
		return fingerprint.Print{}, err
	}
	return fingerprint.Read(rows(out), stray, s.fingerprintRules())
}

// resembles holds how the host looks now against how it looked before its patch. What may still come about, such as a listener, is looked
// at again until the last time; then a difference is a fail, or a warning, as the policy says, and what could not be read is unknown.
func (a *Activities) resembles(ctx context.Context, s scene, before string, last bool, r *StepResult) (done bool, err error) {
	var was fingerprint.Print
	if err := a.load(ctx, before, &was); err != nil {
		return true, err
	}
	osID, err := a.osID(ctx, s)
	if err == nil {
		var now fingerprint.Print
		if now, err = a.print(ctx, s, osID, fingerprint.Stray{}); err == nil {
			return a.judgePrint(fingerprint.Compare(was, now, s.fingerprintRules()), last, r), nil
		}
	}
	if !last && ctx.Err() == nil {
		return false, nil
	}
	r.Verdict = ""
	return true, r.orUnknown(ctx, fmt.Errorf("whether it looks as before its patch is not known: %w", err))
}

// judgePrint says whether that decides the check.
func (a *Activities) judgePrint(c fingerprint.Result, last bool, r *StepResult) (done bool) {
	fails := len(c.Differences) > 0 && c.Differences[0].Fails
	if (fails || len(c.Untold) > 0) && !last {
		return false
	}
	for _, d := range c.Differences {
		r.Differs.Add(rollout.Difference(d))
	}
	switch {
	case fails:
		r.fail("its fingerprint is not what it was before its patch: " + r.Differs.String())
		r.Blame = blameCheck("fingerprint " + c.Differences[0].Item)
	case len(c.Untold) > 0:
		r.unknown("whether it looks as before its patch is not known: it does not tell its " + strings.Join(c.Untold, ", ") + " any more")
	case len(c.Differences) > 0:
		r.Reason += "; not as before: " + r.Differs.String()
	}
	return true
}

// fingerprintRules are the policy's, item by item.
func (s scene) fingerprintRules() map[string]fingerprint.Rule {
	rules := map[string]fingerprint.Rule{}
	for item, rule := range s.part.Policy.FingerprintRules() {
		rules[item] = fingerprint.Rule{Action: fingerprint.Action(rule.Action), Allow: rule.Allow}
	}
	return rules
}
