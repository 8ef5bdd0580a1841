// Package status is what people and programs read of an instance: one struct, whatever prints it. It knows the States of the
// workflows; it must not know how they are asked for, nor how a terminal looks.
package status

import (
	"context"
	"errors"
	"time"

	"github.com/rollpatch/rollpatch/activities"
	"github.com/rollpatch/rollpatch/workflows"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

// Errors of a Source that a caller branches on.
var (
	// ErrNotFound: the server has no such workflow, or no longer.
	ErrNotFound = errors.New("no such workflow")
	// ErrNoWorker: the server is there, but nobody answers for the workflow. Nothing is lost by it.
	ErrNoWorker = errors.New("no worker answers")
	// ErrUnreachable: the server itself does not answer.
	ErrUnreachable = errors.New("the Temporal server does not answer")
)

// Source is whoever is asked.
type Source interface {
	// State reads the State of a workflow by its query.
	State(ctx context.Context, workflowID string, into any) error
	// Describe reads what the server knows of a workflow's newest run, workers or no workers.
	Describe(ctx context.Context, workflowID string) (Execution, error)
}

// Bodies is where plans and transactions are kept. What it has not is left out.
type Bodies interface {
	Get(ctx context.Context, digest string) ([]byte, error)
}

// Running is the status of an execution that goes on.
const Running = "running"

// Execution is one run of a workflow as the server lists it.
type Execution struct {
	ID      string     `json:"id"`
	Status  string     `json:"status"` // running, completed, failed, canceled, terminated, timed-out
	State   string     `json:"state,omitempty"`
	Started time.Time  `json:"started"`
	Closed  time.Time  `json:"closed,omitzero"`
	Pending []Activity `json:"pending,omitempty"`
}

// Activity is an activity that is scheduled or on its way.
type Activity struct {
	Name    string    `json:"name"`
	Since   time.Time `json:"since"`
	Taken   bool      `json:"taken,omitempty"`   // a worker has it
	Attempt int       `json:"attempt"`           // from 1
	Failure string    `json:"failure,omitempty"` // of the attempt before
}

// Status is one instance.
type Status struct {
	Instance  string    `json:"instance"`
	Campaign  string    `json:"campaign"`
	State     string    `json:"state"` // running, hold, done, halted, aborted; terminated and the like when its workflow was ended from outside
	Reason    string    `json:"reason,omitempty"`
	Why       string    `json:"why,omitempty"` // the campaign file's reason
	Ticket    string    `json:"ticket,omitempty"`
	Emergency string    `json:"emergency,omitempty"` // the packages that it brings; empty: it is none
	Change    string    `json:"change,omitempty"`    // its number, where one was asked for
	Requester string    `json:"requester,omitempty"`
	Plan      string    `json:"plan,omitempty"` // digest
	Started   time.Time `json:"started,omitzero"`
	Ended     time.Time `json:"ended,omitzero"`
	Stages    []Stage   `json:"stages"`
	Awaits    []Await   `json:"awaits,omitempty"`

	Overrides []Override `json:"overrides,omitempty"` // those that were used

	Advisories []rollout.Advisory `json:"advisories,omitempty"` // by which an emergency brings some of its packages
}

// Stage is the clusters that may go at the same time.
type Stage struct {
	Name     string    `json:"name"`
	Clusters []Cluster `json:"clusters"`
}

// Cluster is one cluster of the instance.
type Cluster struct {
	Name    string    `json:"name"`
	State   string    `json:"state"` // not-begun, its phase, or its outcome
	Reason  string    `json:"reason,omitempty"`
	Since   time.Time `json:"since,omitzero"` // of the state
	Owner   string    `json:"owner,omitempty"`
	Contact string    `json:"contact,omitempty"`
	Done    int       `json:"done"`
	Total   int       `json:"total"`
	Soak    *Soak     `json:"soak,omitempty"`
	Members []Member  `json:"members,omitempty"`
	ended   bool
	paused  string           // why a person holds it from its next border on
	stuck   rollout.Phase    // where it cannot ask for what it waits for
	trouble string           // and why
	open    []string         // what a person may say to it now, where it holds or one of its members does
	untaken Activity         // one that no worker has taken for too long
	gate    string           // who has agreed to its soak, and who is missing
	asksFor string           // why it would be brought back, if its campaign lets it
	closed  string           // the window, or the freeze, that it waits for
	frozen  bool             // which a person typed
	stands  []rollout.Freeze // the freezes that keep it waiting
	claims  []Await          // what the owners of the claims wait for that it waits for
	rules   []Override       // that somebody had not apply
	later   bool             // its way back waits for a window, and a person may have it begin now
}

// Soak is the soak that goes on, or was the last.
type Soak struct {
	Number  int       `json:"number"`
	Ends    time.Time `json:"ends"`
	Verdict string    `json:"verdict,omitempty"`
	Passes  int       `json:"passes"` // in a row
	Watched string    `json:"watched,omitempty"`
}

// Member is one member of a cluster.
type Member struct {
	Host       string              `json:"host"`
	State      string              `json:"state"` // waiting, on-its-way, not-touched, not-tried-again, or its outcome
	Outcome    string              `json:"outcome,omitempty"`
	Mode       string              `json:"mode,omitempty"` // patch or backout
	Step       string              `json:"step,omitempty"` // while it is on its way
	Since      time.Time           `json:"since,omitzero"` // of the step, or of what it waits for
	Canary     bool                `json:"canary,omitempty"`
	Held       bool                `json:"held,omitempty"`
	Count      int                 `json:"count,omitempty"`   // packages of its transaction
	Changes    string              `json:"changes,omitempty"` // digest of its transaction
	Packages   []activities.Change `json:"packages,omitempty"`
	BootOld    string              `json:"boot_old,omitempty"`
	BootNew    string              `json:"boot_new,omitempty"`
	Rebooted   bool                `json:"rebooted,omitempty"`
	OutSeconds float64             `json:"out_seconds,omitempty"` // out of service
	Reason     string              `json:"reason,omitempty"`
	Differs    []string            `json:"differs,omitempty"` // how it looks, against before its patch, as a diff
	waitFor    string
	frozen     bool             // it waits for the end of a freeze that a person typed
	stands     []rollout.Freeze // the freezes of files and calendars that it waits for
	closed     bool             // it waits for its window, or for the end of a calendar's freeze
	own        string           // the reason without what the State cannot say
	untaken    Activity         // one that no worker has taken for too long
}

// The states that are not words of the rules.
const (
	NotBegun = "not-begun"
	Waiting  = "waiting"
	OnItsWay = "on-its-way"
	// NotTouched and NotTriedAgain are members whose turn does not come any more.
	NotTouched    = workflows.NotTouched
	NotTriedAgain = workflows.NotTriedAgain
)

// Await is something that the instance waits for.
type Await struct {
	Cluster string    `json:"cluster,omitempty"`
	Host    string    `json:"host,omitempty"`
	For     string    `json:"for"`
	Since   time.Time `json:"since,omitzero"`
	Person  bool      `json:"person,omitempty"` // it does not come by itself
	Mend    bool      `json:"mend,omitempty"`   // somebody has to end its cause; it goes on by itself then
	Type    []string  `json:"type,omitempty"`   // commands, each as it is typed
}

// Cluster finds a cluster by name.
func (s Status) Cluster(name string) (Cluster, bool) {
	for _, st := range s.Stages {
		for _, c := range st.Clusters {
			if c.Name == name {
				return c, true
			}
		}
	}
	return Cluster{}, false
}

// Over says that the instance has ended, whichever way.
func (s Status) Over() bool { return s.State != Running && s.State != Hold }

// Ended says that the cluster's work is over.
func (c Cluster) Ended() bool { return c.ended }

// Member finds a member by its host.
func (c Cluster) Member(host string) (Member, bool) {
	for _, m := range c.Members {
		if m.Host == host {
			return m, true
		}
	}
	return Member{}, false
}
