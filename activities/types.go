package activities

import (
	"time"

	"github.com/rollpatch/rollpatch/workflows/audit"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

// StepInput is what every step of a member is given. Bodies are digests of the store.
type StepInput struct {
	Instance string `json:"instance"`
	Part     string `json:"part"`
	Host     string `json:"host"`
	// Server is the one that the instance ran on, where that is another one, which is gone for good.
	Server string `json:"server,omitempty"`
	// Run and Seq name the run on the host, for steps that start one.
	Run    string `json:"run,omitempty"`
	Seq    int64  `json:"seq,omitempty"`
	Repair bool   `json:"repair,omitempty"` // an earlier attempt was cut short
	// Gated: this begins on the gate's word only, while that is new.
	Gated bool `json:"gated,omitempty"`
	// Attach: the gate's word is used up. What has begun goes on, and nothing begins.
	Attach bool `json:"attach,omitempty"`
	// Ask is what is asked of windows and freezes, for a canary or a peer, in this mode; Spent is how much of its time is behind it (gate).
	Ask    rollout.Ask   `json:"ask,omitempty"`
	Canary bool          `json:"canary,omitempty"`
	Mode   rollout.Mode  `json:"mode,omitempty"`
	Spent  time.Duration `json:"spent,omitempty"`
	// Broken are the freezes that their approvers broke for this instance (gate).
	Broken []rollout.Broken `json:"broken,omitempty"`
	// Manifest is what the canary got; empty for the canary itself.
	Manifest string `json:"manifest,omitempty"`
	// Before is what every member had when automatic updates were turned off.
	Before string `json:"before,omitempty"`
	// Changes is the transaction, once fetch has worked it out.
	Changes string `json:"changes,omitempty"`
	// Boot is the boot id before the reboot.
	Boot string `json:"boot,omitempty"`
	// Print is how the host looked before its patch: a digest (check).
	Print string `json:"print,omitempty"`
	// By is when an answer is wanted at the latest (reboot).
	By time.Time `json:"by,omitzero"`
	// Peers are members that were not patched, for comparison.
	Peers []string `json:"peers,omitempty"`
	// Why is told with a quarantine, and Plan names who is told of it.
	Why    string      `json:"why,omitempty"`
	Plan   string      `json:"plan,omitempty"` // goes on record with the drain
	Intent audit.Entry `json:"intent"`
}

// StepResult is what a step of a member came to.
type StepResult struct {
	rollout.MemberResult
	Boot     string `json:"boot,omitempty"`        // boot id seen (inspect, patch, backout, reboot)
	Seq      int64  `json:"seq,omitempty"`         // the highest number of its runs, on whatever host (inspect, check)
	Changes  string `json:"transaction,omitempty"` // digest (fetch)
	Manifest string `json:"manifest,omitempty"`    // digest (fetch of a canary)
	Platform string `json:"platform,omitempty"`    // in words (inspect)
	Print    string `json:"print,omitempty"`       // how the host looks before its patch: a digest (inspect)
	// TookMilli is how long the step took; 0: an attempt of it was lost with its worker.
	TookMilli int64 `json:"took_milli,omitempty"`
	// Scripted: its drain and undrain run scripts, on whatever hosts (inspect, check).
	Scripted bool `json:"scripted,omitempty"`
	// Spent: the run has ended by a cause that clears itself, or what it did may be undone since: asking again needs another run.
	Spent bool       `json:"spent,omitempty"`
	Tail  string     `json:"tail,omitempty"` // of the output, at most 4 KiB
	Kept  string     `json:"kept,omitempty"` // where the whole output is
	Audit audit.Head `json:"audit"`
}

// Change is one package of a transaction. An empty Old means that it was not installed, an empty New that it goes.
type Change struct {
	Name string `json:"name"`
	Old  string `json:"old,omitempty"`
	New  string `json:"new,omitempty"`
}

// Manifest is the names and exact versions that a cluster's canary got, dependencies included.
type Manifest struct {
	OS      string   `json:"os"`
	Release string   `json:"release"`
	Arch    string   `json:"arch"`
	Changes []Change `json:"changes"` // Old is the canary's
	// Host is the canary, and Files what its packages were installed from: a peer gets the very same.
	Host  string        `json:"host,omitempty"`
	Files []PackageFile `json:"files,omitempty"`
}

// BeginInput asks for the state in which a cluster begins.
type BeginInput struct {
	Instance   string `json:"instance"`
	Part       string `json:"part"`
	Unattended bool   `json:"unattended,omitempty"`
}

// BeginResult is that state, the rules of its members, and where and how long their activities run.
type BeginResult struct {
	Cluster  rollout.Cluster                `json:"cluster"`
	Member   rollout.MemberPolicy           `json:"member"`
	Segments map[string]string              `json:"segments"` // by host
	Limits   map[rollout.Step]time.Duration `json:"limits"`
	Owner    string                         `json:"owner,omitempty"` // of the cluster
}

// ClaimInput claims or releases a cluster, with every cluster that shares a host with it.
type ClaimInput struct {
	Instance string `json:"instance"`
	Part     string `json:"part"`
	Plan     string `json:"plan,omitempty"`
	Reason   string `json:"reason,omitempty"`
	// Workflow is who claims: an emergency asks it to hand over. Emergency: it takes what others hand over. YieldTo is who is handed the claim over.
	Workflow  string      `json:"workflow,omitempty"`
	Emergency bool        `json:"emergency,omitempty"`
	YieldTo   string      `json:"yield_to,omitempty"`
	Intent    audit.Entry `json:"intent"`
	// Finished is what soaked and passed: it is on record before the claim is given back (release).
	Finished *rollout.Finished `json:"finished,omitempty"`
	// Took is how long members took: it is on record after that (release).
	Took []rollout.MemberTook `json:"took,omitempty"`
}

// EvidenceInput puts the versions of a transaction that failed into quarantine.
type EvidenceInput struct {
	ClaimInput
	Evidence rollout.Evidence `json:"evidence"`
}

// ClaimResult says whether it is ours, and if not, who has it, or what keeps us from knowing.
type ClaimResult struct {
	rollout.ClaimResult
	Before string     `json:"before,omitempty"` // digest of the packages that every member has (updaters off)
	Audit  audit.Head `json:"audit"`
}

// WatchInput samples the checks of patched members until the verdict or what it rests on changes, or an hour has gone.
type WatchInput struct {
	Instance string          `json:"instance"`
	Part     string          `json:"part"`
	Patched  []string        `json:"patched"`
	Peers    []string        `json:"peers,omitempty"`
	Verdict  rollout.Verdict `json:"verdict,omitempty"` // as it was last told
	Reason   string          `json:"reason,omitempty"`
	Passes   int             `json:"passes"` // in a row so far
	// Pulses are those that the patched members told last, by host.
	Pulses map[string]rollout.Pulse `json:"pulses,omitempty"`
	Intent audit.Entry              `json:"intent"`
}

// WatchResult is what the samples came to.
type WatchResult struct {
	rollout.WatchResult
	Audit audit.Head `json:"audit"`
}

// TellInput is one notice for the people that the plan names, or for one of them.
type TellInput struct {
	Plan     string `json:"plan"`
	Receiver string `json:"receiver,omitempty"`
	Notice   Notice `json:"notice"`
}

// AskInput asks what became of a workflow whose report may be lost.
type AskInput struct {
	WorkflowID string `json:"workflow_id"`
	RunID      string `json:"run_id,omitempty"`
}

// NotFound is the status of a workflow that the server does not know.
const NotFound = "not found"

// AskResult says whether the workflow still runs, and what it reported if it ended by itself.
type AskResult struct {
	Running bool   `json:"running"`
	Status  string `json:"status"`
	Result  []byte `json:"result,omitempty"` // JSON: its result, or the report that it failed with
	// Instance is the one that it works for.
	Instance string `json:"instance,omitempty"`
	// EndedFromOutside: it was terminated or timed out, and the sweeper takes it up.
	EndedFromOutside bool `json:"ended_from_outside,omitempty"`
}

// RecordInput is entries for the audit chain that no activity of their own writes.
type RecordInput struct {
	Entries []audit.Entry `json:"entries"`
}
