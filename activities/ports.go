package activities

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/rollpatch/rollpatch/inventory"
	"github.com/rollpatch/rollpatch/inventory/campaign"
	"github.com/rollpatch/rollpatch/workflows/audit"
	"github.com/rollpatch/rollpatch/workflows/calendar"
	"github.com/rollpatch/rollpatch/workflows/staging"
)

// Target is how one host is reached. Keys are references: the file's content never leaves the worker.
type Target struct {
	Host   string           `json:"host"`
	Addr   string           `json:"addr"` // address:port
	Access inventory.Access `json:"access"`
}

// Run is one step on one host that must happen once. See sshrun for how the host keeps that promise.
type Run struct {
	ID       string            // <instance>.<host>.<step>.<attempt>
	Seq      int64             // the host's next number; lower ones are refused
	Step     string            // operator word, for messages
	Lane     string            // whose numbers these are, "<cluster>/<member>", where the run is for a member of a drain by command; empty: the host's own
	Script   []byte            // POSIX sh
	Env      map[string]string // the script's arguments; never secrets
	Deadline time.Duration     // after which the host itself ends the script
	BeginBy  time.Time         // after it nothing is started, and Run does what Attach does; zero: whenever
	Prune    *Prune            // what the host may forget when it starts it; nil: nothing
}

// RunState says how far a run came, as the host tells it.
type RunState string

// The states of a run. Anything that cannot be told is an error, never one of these.
const (
	RunRunning     RunState = "running"
	RunExited      RunState = "exited"      // Exit holds the status
	RunInterrupted RunState = "interrupted" // the host went down, or the unit died, before it wrote a status
	RunAbsent      RunState = "absent"      // it had not begun, and never will
	RunStale       RunState = "stale"       // refused: the host has seen a higher number, or the id with another script
)

// RunOutcome is what the host recorded of a run.
type RunOutcome struct {
	State   RunState
	Exit    int
	Reason  string // why it was refused or interrupted
	BootID  string // of the boot it was started in
	Stdout  []byte // whole, for the worker only: never put it into a result
	Stderr  []byte
	Kept    string // where the whole output is kept on the host
	Started time.Time
	Ended   time.Time
}

// Runner starts and follows runs on hosts.
type Runner interface {
	// Run starts the run, or attaches to it when the host already knows its id, and follows it to its end. An error
	// means that nothing is known (connection, host key, authentication): ask again. seen is called whenever something was
	// heard of the run, at least every few seconds.
	Run(ctx context.Context, t Target, r Run, seen func(RunOutcome)) (RunOutcome, error)
	// Attach starts nothing. If a run of this id has begun, whatever its script, it is followed as Run does. If it has not, it never
	// will: RunAbsent, and a run of its own with the next number may take its place. If a higher number has come, or the number is
	// another run's, it is refused (RunStale).
	Attach(ctx context.Context, t Target, r Run, seen func(RunOutcome)) (RunOutcome, error)
	// Begun tells whether the host knows a run of this id that has begun. It starts nothing, and keeps none from beginning.
	Begun(ctx context.Context, t Target, id string) (bool, error)
	// BootID reads the host's boot id over a new connection; anything but a valid one is an error. A changed host key is an error
	// with a method HostKeyChanged() bool.
	BootID(ctx context.Context, t Target) (string, error)
	// Query runs a read-only script to its end and returns its output; a status other than 0 is an error with a method
	// ExitStatus() int.
	Query(ctx context.Context, t Target, script []byte, env map[string]string) ([]byte, error)
}

// Dialer opens a connection to an address as seen from a host, through the SSH connection.
type Dialer interface {
	// Dial's errors may have a method Trouble() (what, mend string): what is wrong, in words that are the same at each attempt and for
	// every host with that trouble, and what to type for this one.
	Dial(ctx context.Context, t Target, network, addr string) (net.Conn, error)
}

// Instance is one service instance as the Consul servers list it.
type Instance struct {
	Node        string   `json:"node"`
	Address     string   `json:"address"`
	Service     string   `json:"service"`
	ServiceID   string   `json:"service_id"`
	Status      string   `json:"status"`                // passing, warning, critical: the worst of node and service checks
	Maintenance []string `json:"maintenance,omitempty"` // reasons of service maintenance on it
	NodeMaint   string   `json:"node_maint,omitempty"`  // reason of node maintenance, always somebody else's
}

// Catalog reads the servers (consistent, never stale) and sets service maintenance through a member's own agent.
type Catalog interface {
	// Instances lists every instance of the services, read with ?consistent from another host's agent.
	Instances(ctx context.Context, c ConsulAccess, services []string) ([]Instance, error)
	// Enter puts each of the member's services into maintenance with the reason, through the member's own agent. Existing
	// maintenance is read first and is never overwritten: it is returned as *ForeignError.
	Enter(ctx context.Context, c ConsulAccess, member Target, services []string, reason string) error
	// Leave removes maintenance whose reason is exactly ours, and nothing else.
	Leave(ctx context.Context, c ConsulAccess, member Target, services []string, reason string) error
	// Marked lists the instances of any service that are in service maintenance with a reason that begins with the prefix, and of their
	// maintenance only that: what the inventory does not know is among them.
	Marked(ctx context.Context, c ConsulAccess, prefix string) ([]Instance, error)
}

// ConsulAccess is how a cluster's Consul is reached: through hosts in order, or directly.
type ConsulAccess struct {
	Consul inventory.Consul `json:"consul"`
	Via    []Target         `json:"via,omitempty"` // never the member being worked on
}

// Claim is the record that locks a cluster for an instance, and the record of a drained or quarantined member, or of quarantined versions.
type Claim struct {
	Key    string    `json:"key"`   // "cluster/web", "drain/web-1", "quarantine/web-1", "versions/web/3f2a9c1b7d20"
	Owner  string    `json:"owner"` // the instance
	Since  time.Time `json:"since"`
	Reason string    `json:"reason"`
	Server string    `json:"server,omitempty"` // the id of the Temporal namespace in which the instance runs: only its sweeper may mend it
	Plan   string    `json:"plan,omitempty"`   // the instance's plan in the store: who is told of what is left of it

	Told     *Told     `json:"told,omitempty"`     // of a quarantine
	Suspects *Suspects `json:"suspects,omitempty"` // of a quarantine of versions
	Widened  *Widened  `json:"widened,omitempty"`  // of one that a person made of another

	Workflow  string `json:"workflow,omitempty"`  // of a cluster's claim: who works on it, and can be asked to hand it over
	Emergency bool   `json:"emergency,omitempty"` // of a cluster's claim: it takes over what others hand over
	Yields    string `json:"yields,omitempty"`    // of a cluster's claim: the emergency that it is handed over to; any emergency may take it, and nobody else

	// Had are others whose updates were still off on the host when this owner adopted their record: it brings back theirs as well. Names with a
	// space between them.
	Had string `json:"had,omitempty"`
	// Adopts is of no record, but of a wish: with the record at this key its own, the owner takes over what another one left.
	Adopts string `json:"-"`

	Broken string `json:"broken,omitempty"` // why what stands at the key cannot be read; then nothing else is known of it
}

// Adopted is the record once its new owner has taken it over from the one that it names.
func (c Claim) Adopted(from Claim) Claim {
	had := c.Former()
	for _, name := range append(from.Former(), from.Owner) {
		if name != c.Owner && !slices.Contains(had, name) {
			had = append(had, name)
		}
	}
	c.Had = strings.Join(had, " ")
	return c
}

// Former are the owners that it had.
func (c Claim) Former() []string { return strings.Fields(c.Had) }

// UnreadableError names records that cannot be read: whose they are nobody knows. The others are listed beside it.
type UnreadableError struct {
	Records []Claim // with Key and Broken
}

func (e *UnreadableError) Error() string {
	var all []string
	for _, c := range e.Records {
		all = append(all, c.Broken)
	}
	return strings.Join(all, "; ")
}

// Owner is whose a record is: an instance of one server. Two servers on one Consul give the same name to instances of the same campaign
// that begin in the same second.
type Owner struct {
	Instance string `json:"instance"`
	Server   string `json:"server,omitempty"`
}

// By is whose the record is.
func (c Claim) By() Owner { return Owner{Instance: c.Owner, Server: c.Server} }

// name is a record's owner for those who read it here, on this owner's server.
func (o Owner) name(c Claim) string {
	if c.Server != o.Server {
		return c.Owner + " of another rollpatch"
	}
	return c.Owner
}

// Claims keeps records in Consul KV by check-and-set. They never expire.
type Claims interface {
	// Take claims all keys or none. Taking what the owner already has is success, and so it is for an emergency to take what is handed over. held
	// names who has one of them.
	Take(ctx context.Context, c ConsulAccess, claims []Claim) (held []Claim, err error)
	// Release removes records of this owner; others' stay.
	Release(ctx context.Context, c ConsulAccess, owner Owner, keys []string) error
	// Yield lets an emergency take what the owner has of these keys, and says which of them are still his. To is told to those who look.
	Yield(ctx context.Context, c ConsulAccess, owner Owner, keys []string, to string) (left []string, err error)
	// List returns all records under a prefix ("cluster/", ""). Those that cannot be read are an *UnreadableError beside the others.
	List(ctx context.Context, c ConsulAccess, prefix string) ([]Claim, error)
}

// Stagings keeps in Consul KV which versions have finished in which stage, beyond the instance that brought them there.
type Stagings interface {
	// Keep puts the records of one cluster there; one that stands already stays as it is. Those of this stage and cluster from before forget go.
	Keep(ctx context.Context, c ConsulAccess, records []staging.Record, forget time.Time) error
	// Kept returns every record of a stage. One that cannot be read is an error.
	Kept(ctx context.Context, c ConsulAccess, stage string) ([]staging.Record, error)
}

// Measurements keeps in Consul KV how long members took, beyond the instances they took it in, in records of bounded size.
type Measurements interface {
	// Add puts runs into the record at the key, each once, by check-and-set, and prunes it.
	Add(ctx context.Context, c ConsulAccess, key string, runs []calendar.Run, now time.Time) error
	// Measured returns the record at the key; where there is none, an empty one.
	Measured(ctx context.Context, c ConsulAccess, key string) (calendar.Record, error)
}

// Prober runs one check once, against a host, through its SSH connection.
type Prober interface {
	// Probe returns ok and a short reason; an error means that the check could not be asked (unknown, not failed).
	Probe(ctx context.Context, t Target, c inventory.Check) (ok bool, reason string, err error)
	// Connections counts the established connections to these ports of the host.
	Connections(ctx context.Context, t Target, ports []int) (int, error)
}

// Notice is what a person is told.
type Notice struct {
	Event    string `json:"event"` // hold fail backout quarantine gate halted done
	Instance string `json:"instance"`
	Cluster  string `json:"cluster,omitempty"`
	Host     string `json:"host,omitempty"`
	Text     string `json:"text"`
	Next     string `json:"next,omitempty"` // the command to type
	Time     string `json:"time"`
}

// Notifier delivers a notice to one channel; an error is retried.
type Notifier interface {
	Notify(ctx context.Context, ch campaign.Notify, n Notice) error
}

// Changes are whoever keeps changes. The number is for an open; who is told twice with the same key answers as before. A *RefusedError is a no;
// any other error means that nobody can tell, and is retried with the same key.
type Changes interface {
	Change(ctx context.Context, hook campaign.Change, n ChangeNotice) (number string, err error)
}

// Store keeps content-addressed bodies: plans, ledgers, manifests, whole outputs.
type Store interface {
	// Put keeps body under its own digest ("sha256:<hex>") and returns that.
	Put(ctx context.Context, body []byte) (digest string, err error)
	// Get returns the body; a body that does not match its digest is an error.
	Get(ctx context.Context, digest string) ([]byte, error)
}

// AuditSink writes entries so that they are on disk before it returns.
type AuditSink interface {
	Append(ctx context.Context, e audit.Entry) error
}

// ForeignError is maintenance that somebody else set. It is never overwritten and never removed.
type ForeignError struct {
	Node    string
	Service string // empty for node maintenance
	Reason  string
	Cluster string // it is out of service there, as the cluster's scripts say, and no record of ours stands
}

func (e *ForeignError) Error() string {
	if e.Cluster != "" {
		return fmt.Sprintf("%s is out of service in cluster %q by somebody else: the state script says out, and there is no record of ours", e.Node, e.Cluster)
	}
	if e.Service == "" {
		return fmt.Sprintf("node %s is in maintenance by somebody else: %q", e.Node, e.Reason)
	}
	return fmt.Sprintf("service %s on %s is in maintenance by somebody else: %q", e.Service, e.Node, e.Reason)
}
