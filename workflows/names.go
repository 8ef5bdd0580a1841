package workflows

import "github.com/rollpatch/rollpatch/workflows/rollout"

// Queue is the task queue of the workflows themselves.
const Queue = "rollpatch"

// SegmentQueue is the task queue of everything that touches a host of the segment, or its Consul.
func SegmentQueue(segment string) string {
	return Queue + "." + segmentName(segment)
}

// The names under which the workflows are registered.
const (
	CampaignType = "Campaign"
	ClusterType  = "Cluster"
	MemberType   = "Member"
	NoticeType   = "Notice"
	SweeperType  = "Sweeper"
	FreezeType   = "Freeze"
	RecordsType  = "Records"
	PlanType     = "Plan"
	FiringType   = "Firing"
	StandingType = "Standing"
)

// QueryState returns a workflow's whole State.
const QueryState = "state"

// The messages that people send, as Updates.
const (
	UpdateApprove = "approve"
	UpdateReject  = "reject"
	UpdateBackout = "backout"
	UpdateHold    = "hold"
	UpdateResume  = "resume"
	UpdateRetry   = "retry"
	UpdateSkip    = "skip"
	UpdateExtend  = "extend"
	UpdateAbort   = "abort"
)

// The signals between workflows.
const (
	signalHold = "hold"
	// signalUnpause is what a campaign's resume is to its clusters: it ends the hold that the campaign's hold began, and tries no
	// failed member again.
	signalUnpause = "unpause"
	signalAbort   = "abort"
	// signalBackout is a campaign's backout.
	signalBackout = "backout"
	signalMember  = "member-ended"
	signalWaits   = "waits"  // a member tells the freeze that it waits for its end
	signalThawed  = "thawed" // and the freeze tells it that it has ended
	// signalHolds is what a member tells its cluster when it begins to hold, and when it goes on; signalWord what a person says to it.
	signalHolds  = "member-holds"
	signalWord   = "word"
	signalReport = "cluster-report"
	signalMay    = "backout-word" // a campaign's word on automatic backouts
	signalYield  = "yield"        // an emergency's cluster asks whoever has its claim to hand it over
	signalBroken = "broken"       // which freezes are broken for an instance, as its campaign tells clusters, and these members
	signalVote   = "vote"         // a word for soaks of many clusters, which their campaign hands on
)

// The types of the errors that workflows end with, as the Temporal UI shows them.
const (
	ErrHalted      = "Halted"
	ErrQuarantined = "Quarantined"
	ErrNotStarted  = "NotStarted" // an instance of a schedule that never began
)

// CampaignID is the workflow id of an instance.
func CampaignID(instance string) string { return "campaign/" + instance }

// ClusterID is the workflow id of a cluster of an instance.
func ClusterID(instance, cluster string) string { return "cluster/" + instance + "/" + cluster }

// MemberID is the workflow id of whoever works on a host: a second guard that no two do.
func MemberID(host string) string { return "host/" + host }

// RecordsID is the workflow id of one request about the records in Consul.
func RecordsID(request string) string { return "records/" + request }

// PlanID is the workflow id of one making of a plan.
func PlanID(name, stamp string) string { return "plan/" + name + "-" + stamp }

// stepActivity maps a step to the name of its activity.
var stepActivity = map[rollout.Step]string{
	rollout.StepInspect: "Inspect", rollout.StepFetch: "Fetch", rollout.StepGate: "Gate", rollout.StepDrain: "Drain", rollout.StepPatch: "Patch",
	rollout.StepReboot: "Reboot", rollout.StepPower: "Power", rollout.StepCheck: "Check", rollout.StepUndrain: "Undrain", rollout.StepBackout: "Backout",
	rollout.StepQuarantine: "Quarantine",
}
