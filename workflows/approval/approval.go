// Package approval decides who agreed. It holds what people sign, which words count at which gate, and whether a gate is open. It knows
// nothing of keys, files, clocks or Temporal: who signed something is found out elsewhere and comes in as a [Signer].
//
// The way of a word: [Parse] the statement, find out who signed it, [Gate.Admit] it, keep the [Vote], ask [Judge]. Judge trusts no list
// of votes: what Admit would refuse does not count there either.
package approval

import (
	"strconv"
	"strings"
	"time"
)

// Namespace is the namespace of every signature: one made for something else is none here.
const Namespace = "approval@rollpatch"

// Decision is what a person says.
type Decision string

// The decisions.
const (
	Approve Decision = "approve"
	Reject  Decision = "reject"
	Request Decision = "request" // to run: who signs it is the requester
)

// Role is why somebody's word counts.
type Role string

// The roles. An owner is one for the clusters that are his.
const (
	Peer    Role = "peer"
	Manager Role = "manager"
	Owner   Role = "owner"
	// Urgent is the role of those who may have an emergency begin.
	Urgent Role = "emergency approver"
)

// OnExpiry is what becomes of a gate that nobody opened in time. It never goes on.
type OnExpiry string

// What an expired gate does.
const (
	ExpiryHolds  OnExpiry = "hold"
	ExpiryAborts OnExpiry = "abort"
)

// The names of gate instances.
const (
	GateStart = "start"
	// GateEmergency is before an emergency begins.
	GateEmergency = "emergency"
	GateRun       = "run" // the request to run: nobody approves it, its signer is the requester
)

// GateStage names the gate before a stage.
func GateStage(stage string) string { return "stage/" + stage }

// GateSoak names the gate at the end of one soak of a cluster.
func GateSoak(cluster string, number int) string {
	return "soak/" + cluster + "/" + strconv.Itoa(number)
}

// soakOf takes the name of a soak's gate apart.
func soakOf(gate string) (cluster, number string, ok bool) {
	rest, ok := strings.CutPrefix(gate, "soak/")
	if !ok {
		return "", "", false
	}
	return strings.Cut(rest, "/")
}

// Rule is what a gate asks for.
type Rule struct {
	// Quorum is how many different people must agree.
	Quorum int `json:"quorum"`
	// Roles are those that must be among the people who agree; where there are any, only their holders count. Owner means the owner of each
	// cluster behind the gate.
	Roles []Role `json:"roles,omitempty"`
	// Unsigned: words that nobody signed count as well, marked as claimed.
	Unsigned bool `json:"unsigned,omitempty"`
	// AnyRequester: who asked for the instance may agree to it, and need not have signed that.
	AnyRequester bool `json:"any_requester,omitempty"`
	// Expiry is how long the gate waits from Gate.Since; 0: for ever.
	Expiry time.Duration `json:"expiry,omitempty"`
	// OnExpiry is what comes then; empty: hold.
	OnExpiry OnExpiry `json:"on_expiry,omitempty"`
	// Approvers are the people with roles. Without any, everybody whose key is known counts.
	Approvers []Approver `json:"approvers,omitempty"`
}

// Approver is a person with roles.
type Approver struct {
	Principal string `json:"principal"` // as the keys' file has it
	Roles     []Role `json:"roles,omitempty"`
	// Owns are owners of clusters, as the inventory writes them, for whom he speaks. He always speaks for the owner that is written like him.
	Owns []string `json:"owns,omitempty"`
}

// Gate is one gate instance: what must be agreed to, by whom, and how things stand.
type Gate struct {
	ID       string `json:"id"` // start, stage/<name>, soak/<cluster>/<number>
	Campaign string `json:"campaign"`
	Instance string `json:"instance"`
	Plan     string `json:"plan"` // digest
	Rule     Rule   `json:"rule"`
	// Owners are those of the clusters behind the gate, each once; Unowned are the clusters that have none.
	Owners  []string `json:"owners,omitempty"`
	Unowned []string `json:"unowned,omitempty"`
	// Requester asked for the instance.
	Requester Signer `json:"requester"`
	// Since is when people could first agree to what there is: the expiry counts from here.
	Since time.Time `json:"since,omitzero"`
	// Ripe: what the gate is about has come to pass, such as a soak that passed. It does not open before, and only a word with WhenPass is
	// taken before.
	Ripe bool `json:"ripe,omitempty"`
	// Schedule is the one that made the instance by itself, and Files the digest of what its files said; empty: standing approvals count for nothing.
	Schedule string `json:"schedule,omitempty"`
	Files    string `json:"files,omitempty"`
	// Finding is what a soak that passed showed all the same; words with WhenPass do not count then.
	Finding string `json:"finding,omitempty"`
}

// Signer is who said something, as far as that is known.
type Signer struct {
	// Names are the principals that the key stands for, or the one name that was given.
	Names []string `json:"names,omitempty"`
	// Key is the fingerprint of the key that signed; empty: the name is claimed.
	Key string `json:"key,omitempty"`
}

// Signed says that the name was proven.
func (s Signer) Signed() bool { return s.Key != "" }

// Name is the name that people read.
func (s Signer) Name() string {
	if len(s.Names) == 0 {
		return "nobody"
	}
	return s.Names[0]
}

// nobody says that there is no name.
func (s Signer) nobody() bool { return len(s.Names) == 0 || s.Names[0] == "" }

// String is the name, and that it is claimed where it is.
func (s Signer) String() string {
	if s.Signed() {
		return s.Name()
	}
	return s.Name() + " (claimed)"
}

// Claimed is who says to be called so.
func Claimed(name string) Signer { return Signer{Names: []string{name}} }

// Is says that both are one person: they share a name or a key.
func (s Signer) Is(other Signer) bool {
	if s.Key != "" && s.Key == other.Key {
		return true
	}
	for _, a := range s.Names {
		for _, b := range other.Names {
			if a == b {
				return true
			}
		}
	}
	return false
}

// Vote is a person's word at one gate, as it was found to be.
type Vote struct {
	Gate     string    `json:"gate"`
	Decision Decision  `json:"decision"`
	By       Signer    `json:"by"`
	Roles    []Role    `json:"roles,omitempty"` // that he holds at this gate, for those who read
	Campaign string    `json:"campaign"`
	Instance string    `json:"instance,omitempty"` // empty: given ahead of the start
	Plan     string    `json:"plan"`
	WhenPass bool      `json:"when_pass,omitempty"`
	Reason   string    `json:"reason"`
	At       time.Time `json:"at"` // when he said it, by himself
	Expires  time.Time `json:"expires"`
	Nonce    string    `json:"nonce"`
	// Statement is the digest of what was signed.
	Statement string    `json:"statement,omitempty"`
	Taken     time.Time `json:"taken"` // when it was admitted
	// Standing is the name of the standing approval that it comes from; empty: he said it of this plan himself.
	Standing string `json:"standing,omitempty"`
}

// Verdict is how a gate stands.
type Verdict struct {
	Open     bool   `json:"open,omitempty"`
	Rejected string `json:"rejected,omitempty"` // by whom, and why
	// Expired is what becomes of it, when nobody opened it in time.
	Expired OnExpiry `json:"expired,omitempty"`
	Agreed  []string `json:"agreed,omitempty"`  // the people who count, each once
	Missing []string `json:"missing,omitempty"` // what it still waits for
	Why     string   `json:"why"`               // all of it in one line, for people
	// Again is when the verdict may change although nobody says anything; zero: never.
	Again time.Time `json:"again,omitzero"`
}
