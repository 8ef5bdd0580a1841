package approval

import (
	"slices"
	"time"
)

// Requested says whether s asks for this instance of this plan, or why it does not: the error is a *Refusal. Who signed it is the requester.
func Requested(campaign, instance, plan string, s Statement, by Signer, now time.Time) error {
	switch {
	case s.Check() != nil:
		return refuse(CauseForm, "%v", s.Check())
	case s.Decision != Request:
		return refuse(CauseGate, "it says %s, and a request to run says %s", s.Decision, Request)
	case !slices.Contains(s.Gates, GateRun):
		return Gate{ID: GateRun}.elsewhere(s.Gates)
	case s.Campaign != campaign:
		return refuse(CauseInstance, "it is for campaign %q, and this is %q", s.Campaign, campaign)
	case s.Instance != "" && s.Instance != instance:
		return refuse(CauseInstance, "it is for instance %q, and this is %q", s.Instance, instance)
	case s.Plan != plan:
		return refuse(CausePlan, "it is for plan %s, and this instance's plan is %s", s.Plan, plan)
	case by.nobody() && by.Signed():
		return refuse(CauseUnknownKey, "nobody is known to have key %s", by.Key)
	case by.nobody():
		return refuse(CauseUnsigned, "it is not signed, and does not say who says so")
	case s.At.After(now.Add(Skew)):
		return refuse(CauseFuture, "it is dated %s, and it is %s: set the clock of whoever says so", stamp(s.At), stamp(now))
	case !s.Expires.After(now):
		return refuse(CauseExpired, "it expired at %s: say it again", stamp(s.Expires))
	}
	return nil
}
