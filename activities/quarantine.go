package activities

import "context"

// Quarantine records that the member is not touched again, and why: it stays in or out of service as it is. Only a person ends it.
func (a *Activities) Quarantine(ctx context.Context, in StepInput) (StepResult, error) {
	return a.step(ctx, in, func(ctx context.Context, s scene, r *StepResult) error {
		me, err := in.owner(ctx, a)
		if err != nil {
			return r.orUnknown(ctx, err)
		}
		record := Claim{Key: quarantineKey(s.host.Name), Owner: in.Instance, Since: in.Intent.Time, Reason: in.Why, Server: me.Server, Plan: in.Plan, Told: toldOf(s.part)}
		if _, err := a.Claims.Take(ctx, s.consul(), []Claim{record}); err != nil {
			return r.orUnknown(ctx, err)
		}
		r.pass("in quarantine: " + in.Why)
		return nil
	})
}
