package calendar

import "time"

// Course is a campaign as far as it takes time.
type Course struct {
	Start    time.Time     // when the instance begins
	Parallel int           // how many clusters are on their way at the same time
	FinishBy time.Time     // zero: no end is asked for
	MaxMixed time.Duration // how long peers may wait for what their canary has; zero: DefaultMaxMixed
	Stages   []Stage
}

// DefaultMaxMixed is how long a cluster may stay mixed when nothing else is said.
const DefaultMaxMixed = 7 * 24 * time.Hour

// Stage is the clusters that may go at the same time, in order, and when: canaries by one calendar, peers by another.
type Stage struct {
	Name     string
	Canary   Calendar
	Peers    Calendar
	Steps    []int // of its ramp
	Clusters []Cluster
}

// Cluster is one cluster as far as it takes time. Its members go one after the other.
type Cluster struct {
	Name   string
	Waves  []int // the first one is the canary
	Need   Need  // of each member
	Settle time.Duration
	Soak   time.Duration
	Shares []string // clusters that cannot be on their way beside it
	Last   bool     // after every other of its stage
}

// Dates is a course laid over its calendars, as it goes when nothing fails and everybody approves at once.
type Dates struct {
	Start    time.Time `json:"start"`
	End      time.Time `json:"end,omitzero"` // zero: it does not end within what is known
	Stages   []Laid    `json:"stages"`
	Refusals []Refusal `json:"refusals,omitempty"`
}

// Laid is a stage with its dates.
type Laid struct {
	Stage    string        `json:"stage"`
	Start    time.Time     `json:"start,omitzero"`
	End      time.Time     `json:"end,omitzero"`
	Clusters []LaidCluster `json:"clusters"`
}

// LaidCluster is a cluster with its dates; those that cannot be said are zero.
type LaidCluster struct {
	Cluster string    `json:"cluster"`
	Canary  time.Time `json:"canary,omitzero"` // its canary begins
	Soak    time.Time `json:"soak,omitzero"`   // its canary is back, and soaks
	Gate    time.Time `json:"gate,omitzero"`   // the soak is over, and people are asked
	Peers   time.Time `json:"peers,omitzero"`  // the first peer begins
	Done    time.Time `json:"done,omitzero"`   // the last one is back
}

// Refusal is why a campaign must not begin as things stand.
type Refusal struct {
	Stage   string `json:"stage,omitempty"`
	Cluster string `json:"cluster,omitempty"` // empty: the stage, or the whole campaign
	Why     string `json:"why"`
	Remedy  string `json:"remedy"`
}

// Lay lays a course over its calendars.
func Lay(c Course) Dates {
	return Dates{Start: c.Start}
}
