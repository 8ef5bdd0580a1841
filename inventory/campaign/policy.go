package campaign

import (
	"time"

	"github.com/rollpatch/rollpatch/inventory"
)

// Policy is how carefully a cluster is worked on, with every value given.
type Policy struct {
	Soak         inventory.Duration `json:"soak"`
	SoakInterval inventory.Duration `json:"soak_interval"`
	SoakPasses   int                `json:"soak_passes"`
	SoakApproval bool               `json:"soak_approval"`
	Settle       inventory.Duration `json:"settle"`
	Parallel     int                `json:"parallel"`
	Ramp         []int              `json:"ramp"`
	Breaker      inventory.Limit    `json:"breaker"`
	StopAfter    StopAfter          `json:"stop_after"`
	Reboot       Reboot             `json:"reboot"`
	Drain        Drain              `json:"drain"`
	Checks       Checks             `json:"checks"`
	WaitMax      inventory.Duration `json:"wait_max"`
	HoldMax      inventory.Duration `json:"hold_max"`
	OnTimeout    OnTimeout          `json:"on_timeout"`
	OnFailure    OnFailure          `json:"on_failure"`
	Retries      int                `json:"retries"`
	Failures     int                `json:"failures"`
	Review       inventory.Duration `json:"review"`
	Timeouts     Timeouts           `json:"timeouts"`
	PowerAfter   inventory.Duration `json:"power_after,omitempty"` // 0: never
	Estimate     Estimate           `json:"estimate"`
	MaxMixed     inventory.Duration `json:"max_mixed"`
	AtCutoff     AtCutoff           `json:"at_cutoff"`
	SoakOnFail   SoakOnFail         `json:"soak_on_fail"`
	Fetch        Fetch              `json:"fetch"`
	Preflight    Preflight          `json:"preflight"`
	// Fingerprint is what files say of its items; FingerprintRules has all of them.
	Fingerprint map[string]FingerprintRule `json:"fingerprint,omitempty"`
}

// StopAfter is how many failures stop a stage.
type StopAfter struct {
	Same int             `json:"same"`
	Any  inventory.Limit `json:"any"`
}

// Drain is when a member counts as drained, and what to do when it does not get there.
type Drain struct {
	Timeout     inventory.Duration `json:"timeout"`
	Connections int                `json:"connections"`
	Leftover    Leftover           `json:"leftover"`
}

// Checks is when a member counts as healthy.
type Checks struct {
	Passes   int                `json:"passes"`
	Interval inventory.Duration `json:"interval"`
	Timeout  inventory.Duration `json:"timeout"`
}

// Timeouts are how long single steps may take.
type Timeouts struct {
	Patch  inventory.Duration `json:"patch"`
	Reboot inventory.Duration `json:"reboot"`
	Fetch  inventory.Duration `json:"fetch"`
}

// Override is a policy as a file gives it: what is absent is left as it was.
type Override struct {
	// Soak is how long a wave is watched before its peers are touched; default 24h.
	Soak *inventory.Duration `json:"soak,omitempty" yaml:"soak,omitempty"`
	// SoakInterval is how often it is looked at in the soak; default 5m.
	SoakInterval *inventory.Duration `json:"soak_interval,omitempty" yaml:"soak_interval,omitempty"`
	// SoakPasses is how many looks in a row must pass at the soak's end; default 3.
	SoakPasses *int `json:"soak_passes,omitempty" yaml:"soak_passes,omitempty" jsonschema:"minimum=1"`
	// SoakApproval asks a person to approve the soak's end; default true, or false when unattended and gates.soak is absent.
	SoakApproval *bool `json:"soak_approval,omitempty" yaml:"soak_approval,omitempty"`
	// Settle is how long checks must pass between two members of a wave; default 10m.
	Settle *inventory.Duration `json:"settle,omitempty" yaml:"settle,omitempty"`
	// Parallel is how many clusters of a stage go at the same time; default 5. It is the whole campaign's and cannot be given per cluster.
	Parallel *int `json:"parallel,omitempty" yaml:"parallel,omitempty" jsonschema:"minimum=1"`
	// Ramp is how many clusters of a stage begin in each step, then the rest; default [1, 5, 25]. An empty list is no ramp.
	Ramp *[]int `json:"ramp,omitempty" yaml:"ramp,omitempty" jsonschema:"minimum=1"`
	// Breaker is how many clusters, or what percent of them, may be backed out by themselves within 15 minutes; default 3 or 5%.
	Breaker *inventory.Limit `json:"breaker,omitempty" yaml:"breaker,omitempty"`
	// StopAfter overrides how many failures stop a stage.
	StopAfter StopAfterOverride `json:"stop_after,omitzero" yaml:"stop_after,omitempty"`
	// Reboot is always (default), if-needed or never.
	Reboot *Reboot `json:"reboot,omitempty" yaml:"reboot,omitempty"`
	// Drain overrides when a member counts as drained.
	Drain DrainOverride `json:"drain,omitzero" yaml:"drain,omitempty"`
	// Checks overrides when a member counts as healthy.
	Checks ChecksOverride `json:"checks,omitzero" yaml:"checks,omitempty"`
	// WaitMax is how long a cause that can clear itself is waited for before a person is asked; default 30m.
	WaitMax *inventory.Duration `json:"wait_max,omitempty" yaml:"wait_max,omitempty"`
	// HoldMax is how long a hold may keep a member out of service before on_timeout takes effect; default 4h.
	HoldMax *inventory.Duration `json:"hold_max,omitempty" yaml:"hold_max,omitempty"`
	// OnTimeout is what becomes of a member whose hold lasted hold_max: safest (default), or hold, which waits for a person for ever.
	OnTimeout *OnTimeout `json:"on_timeout,omitempty" yaml:"on_timeout,omitempty"`
	// OnFailure is what a cluster does when a member failed: stop-cluster (default), skip-member, stop-campaign or backout-cluster.
	OnFailure *OnFailure `json:"on_failure,omitempty" yaml:"on_failure,omitempty"`
	// Retries is how often a member that failed and is safe again is tried once more before that; default 0.
	Retries *int `json:"retries,omitempty" yaml:"retries,omitempty" jsonschema:"minimum=0"`
	// Failures is how many members of a cluster skip-member may leave as they are; one more stops the cluster; default 1.
	Failures *int `json:"failures,omitempty" yaml:"failures,omitempty" jsonschema:"minimum=1"`
	// Review is how long versions that failed are in quarantine before somebody should look at them; default 30d.
	Review *inventory.Duration `json:"review,omitempty" yaml:"review,omitempty"`
	// Timeouts overrides how long single steps may take.
	Timeouts TimeoutsOverride `json:"timeouts,omitzero" yaml:"timeouts,omitempty"`
	// PowerAfter is how long after its reboot the power of a host that went down, and does not come back, is cycled; default never.
	PowerAfter *inventory.Duration `json:"power_after,omitempty" yaml:"power_after,omitempty"`
	// Estimate overrides how long a host takes; one begins only when so much is left of its window.
	Estimate EstimateOverride `json:"estimate,omitzero" yaml:"estimate,omitempty"`
	// MaxMixed is how long peers may wait for what their canary has; default 7d.
	MaxMixed *inventory.Duration `json:"max_mixed,omitempty" yaml:"max_mixed,omitempty"`
	// AtCutoff is what becomes of a member that is drained and unchanged when its window closes: return (default), or finish.
	AtCutoff *AtCutoff `json:"at_cutoff,omitempty" yaml:"at_cutoff,omitempty"`
	// SoakOnFail is what becomes of patched members whose soak fails while no window is open: drain (default) takes them out of service as far as
	// their peers allow, wait leaves them; they are backed out in the next window, or on a person's word.
	SoakOnFail *SoakOnFail `json:"soak_on_fail,omitempty" yaml:"soak_on_fail,omitempty"`
	// Fetch is when packages of a plan that hosts answered are fetched: approved (default), ahead of the window, or window, when a member's turn comes.
	Fetch *Fetch `json:"fetch,omitempty" yaml:"fetch,omitempty"`
	// Preflight is on (default): a member with a severe finding that nobody accepts is not drained. Off is refused, and says how a finding is accepted.
	Preflight *Preflight `json:"preflight,omitempty" yaml:"preflight,omitempty"`
	// Fingerprint says for single items what is done when a host does not look as before its patch; docs/fingerprint.md has them with their defaults.
	Fingerprint map[string]FingerprintRule `json:"fingerprint,omitempty" yaml:"fingerprint,omitempty"`
}

// StopAfterOverride is a StopAfter as a file gives it.
type StopAfterOverride struct {
	// Same is how many failures with the same package or failed check stop a stage; default 2.
	Same *int `json:"same,omitempty" yaml:"same,omitempty" jsonschema:"minimum=1"`
	// Any is how many failures of any kind, or of what percent of the stage's members, stop it; default 2 or 5%.
	Any *inventory.Limit `json:"any,omitempty" yaml:"any,omitempty"`
}

// DrainOverride is a Drain as a file gives it.
type DrainOverride struct {
	// Timeout is how long a member may take to drain; default 15m.
	Timeout *inventory.Duration `json:"timeout,omitempty" yaml:"timeout,omitempty"`
	// Connections is how many established connections count as drained; default 0.
	Connections *int `json:"connections,omitempty" yaml:"connections,omitempty" jsonschema:"minimum=0"`
	// Leftover says what happens when more are left at the timeout: hold (default), undrain or proceed.
	Leftover *Leftover `json:"leftover,omitempty" yaml:"leftover,omitempty"`
}

// ChecksOverride is a Checks as a file gives it.
type ChecksOverride struct {
	// Passes is how many times in a row all checks must pass; default 3.
	Passes *int `json:"passes,omitempty" yaml:"passes,omitempty" jsonschema:"minimum=1"`
	// Interval between two rounds; default 5s.
	Interval *inventory.Duration `json:"interval,omitempty" yaml:"interval,omitempty"`
	// Timeout is how long the passes may take to come about; default 5m.
	Timeout *inventory.Duration `json:"timeout,omitempty" yaml:"timeout,omitempty"`
}

// TimeoutsOverride is a Timeouts as a file gives it.
type TimeoutsOverride struct {
	// Patch is how long the package transaction may take; default 1h.
	Patch *inventory.Duration `json:"patch,omitempty" yaml:"patch,omitempty"`
	// Reboot is how long a reboot may take before a person is told; default 15m.
	Reboot *inventory.Duration `json:"reboot,omitempty" yaml:"reboot,omitempty"`
	// Fetch is how long the download may take; default 30m.
	Fetch *inventory.Duration `json:"fetch,omitempty" yaml:"fetch,omitempty"`
}

// Reboot is when a patched member is rebooted.
type Reboot string

// When to reboot.
const (
	RebootAlways   Reboot = "always"
	RebootIfNeeded Reboot = "if-needed"
	RebootNever    Reboot = "never"
)

// Values lists what may be written.
func (Reboot) Values() []string {
	return []string{string(RebootAlways), string(RebootIfNeeded), string(RebootNever)}
}

// OnFailure is what a cluster does when a member could not be patched and is safe again.
type OnFailure string

// What to do about a member that failed.
const (
	FailStopCluster    OnFailure = "stop-cluster"
	FailSkipMember     OnFailure = "skip-member"
	FailStopCampaign   OnFailure = "stop-campaign"
	FailBackoutCluster OnFailure = "backout-cluster"
)

// Values lists what may be written.
func (OnFailure) Values() []string {
	return []string{string(FailStopCluster), string(FailSkipMember), string(FailStopCampaign), string(FailBackoutCluster)}
}

// OnTimeout is what becomes of a member that a hold has kept out of service for too long.
type OnTimeout string

// What to do when a hold lasts too long. The safest exit: unchanged it is undrained; patched it is undrained when its checks pass;
// else it stays out, in quarantine.
const (
	TimeoutSafest OnTimeout = "safest"
	TimeoutHold   OnTimeout = "hold"
)

// Values lists what may be written.
func (OnTimeout) Values() []string { return []string{string(TimeoutSafest), string(TimeoutHold)} }

// AtCutoff is what becomes of a member that is out of service and unchanged when its window closes.
type AtCutoff string

// What to do when a window closes between a member's drain and its patch. One that is patched already is finished in any case.
const (
	CutoffReturn AtCutoff = "return"
	CutoffFinish AtCutoff = "finish"
)

// Values lists what may be written.
func (AtCutoff) Values() []string { return []string{string(CutoffReturn), string(CutoffFinish)} }

// SoakOnFail is what becomes of patched members whose soak fails while no window is open.
type SoakOnFail string

// What to do with them until the window in which they are backed out.
const (
	SoakDrain SoakOnFail = "drain"
	SoakWait  SoakOnFail = "wait"
)

// Values lists what may be written.
func (SoakOnFail) Values() []string { return []string{string(SoakDrain), string(SoakWait)} }

// Fetch is when the packages of an approved plan are brought onto its hosts.
type Fetch string

// When to fetch. Either way the member's own fetch says what it gets.
const (
	FetchApproved Fetch = "approved"
	FetchWindow   Fetch = "window"
)

// Values lists what may be written.
func (Fetch) Values() []string { return []string{string(FetchApproved), string(FetchWindow)} }

// Preflight is that a member is looked at before it is drained.
type Preflight string

// Severe findings keep a member in service, unchanged. Off would be every check of every host at once, without a reason and without an end.
const (
	PreflightOn  Preflight = "on"
	PreflightOff Preflight = "off"
)

// Values lists what may be written.
func (Preflight) Values() []string { return []string{string(PreflightOn)} }

// Leftover is what happens to a member that still has connections when its drain times out.
type Leftover string

// What to do with leftover connections.
const (
	LeftoverHold    Leftover = "hold"
	LeftoverUndrain Leftover = "undrain"
	LeftoverProceed Leftover = "proceed"
)

// Values lists what may be written.
func (Leftover) Values() []string {
	return []string{string(LeftoverHold), string(LeftoverUndrain), string(LeftoverProceed)}
}

// Default is the policy of a campaign that gives none.
func Default(unattended bool) Policy {
	of := func(d time.Duration) inventory.Duration { return inventory.Duration(d) }
	return Policy{
		Soak: of(24 * time.Hour), SoakInterval: of(5 * time.Minute), SoakPasses: 3, SoakApproval: !unattended,
		Settle:    of(10 * time.Minute),
		Parallel:  5,
		Ramp:      []int{1, 5, 25},
		Breaker:   inventory.Limit{Number: 3, Percent: 5},
		StopAfter: StopAfter{Same: 2, Any: inventory.Limit{Number: 2, Percent: 5}},
		Reboot:    RebootAlways,
		Drain:     Drain{Timeout: of(15 * time.Minute), Connections: 0, Leftover: LeftoverHold},
		Checks:    Checks{Passes: 3, Interval: of(5 * time.Second), Timeout: of(5 * time.Minute)},
		WaitMax:   of(30 * time.Minute), HoldMax: of(4 * time.Hour), OnTimeout: TimeoutSafest, OnFailure: FailStopCluster, Failures: 1, Review: of(30 * 24 * time.Hour),
		Timeouts: Timeouts{Patch: of(time.Hour), Reboot: of(15 * time.Minute), Fetch: of(30 * time.Minute)},
		Estimate: Estimate{Work: of(25 * time.Minute), Backout: of(15 * time.Minute)}, MaxMixed: of(7 * 24 * time.Hour),
		AtCutoff: CutoffReturn, SoakOnFail: SoakDrain, Fetch: FetchApproved, Preflight: PreflightOn,
	}
}

// Apply returns p with what o gives in place of what p had.
func (p Policy) Apply(o Override) Policy {
	set(&p.Soak, o.Soak)
	set(&p.SoakInterval, o.SoakInterval)
	set(&p.SoakPasses, o.SoakPasses)
	set(&p.SoakApproval, o.SoakApproval)
	set(&p.Settle, o.Settle)
	set(&p.Parallel, o.Parallel)
	set(&p.Ramp, o.Ramp)
	set(&p.Breaker, o.Breaker)
	set(&p.StopAfter.Same, o.StopAfter.Same)
	set(&p.StopAfter.Any, o.StopAfter.Any)
	set(&p.Reboot, o.Reboot)
	set(&p.Drain.Timeout, o.Drain.Timeout)
	set(&p.Drain.Connections, o.Drain.Connections)
	set(&p.Drain.Leftover, o.Drain.Leftover)
	set(&p.Checks.Passes, o.Checks.Passes)
	set(&p.Checks.Interval, o.Checks.Interval)
	set(&p.Checks.Timeout, o.Checks.Timeout)
	set(&p.WaitMax, o.WaitMax)
	set(&p.HoldMax, o.HoldMax)
	set(&p.OnTimeout, o.OnTimeout)
	set(&p.OnFailure, o.OnFailure)
	set(&p.Retries, o.Retries)
	set(&p.PowerAfter, o.PowerAfter)
	set(&p.Failures, o.Failures)
	set(&p.Review, o.Review)
	set(&p.Estimate.Work, o.Estimate.Work)
	set(&p.Estimate.Backout, o.Estimate.Backout)
	set(&p.MaxMixed, o.MaxMixed)
	set(&p.AtCutoff, o.AtCutoff)
	set(&p.SoakOnFail, o.SoakOnFail)
	set(&p.Fetch, o.Fetch)
	set(&p.Preflight, o.Preflight)
	p.Fingerprint = overrideFingerprint(p.Fingerprint, o.Fingerprint)
	set(&p.Timeouts.Patch, o.Timeouts.Patch)
	set(&p.Timeouts.Reboot, o.Timeouts.Reboot)
	set(&p.Timeouts.Fetch, o.Timeouts.Fetch)
	return p
}

func set[T any](value *T, given *T) {
	if given != nil {
		*value = *given
	}
}

// Base is the policy of every cluster that the campaign overrides nothing for, and where the campaign's Parallel is.
func (c Campaign) Base() Policy {
	base := Default(c.Unattended)
	base.SoakApproval = base.SoakApproval || c.Gates.Soak != nil
	return base.Apply(c.Policy)
}

// PolicyOf is the policy of one cluster: the defaults, overridden by the campaign's policy, overridden by the cluster's own.
func (c Campaign) PolicyOf(cluster string) Policy { return c.Base().Apply(c.Clusters[cluster]) }
