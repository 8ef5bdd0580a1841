package estate

import "time"

// Status is what `rollpatch status --output json` prints, as far as tests and the demo read it: from outside, as any other
// program would.
type Status struct {
	Instance string        `json:"instance"`
	State    string        `json:"state"`
	Reason   string        `json:"reason"`
	Stages   []StageStatus `json:"stages"`
}

// StageStatus is one stage of it.
type StageStatus struct {
	Name     string          `json:"name"`
	Clusters []ClusterStatus `json:"clusters"`
}

// ClusterStatus is one cluster of it.
type ClusterStatus struct {
	Name    string         `json:"name"`
	State   string         `json:"state"`
	Reason  string         `json:"reason"`
	Soak    SoakStatus     `json:"soak"`
	Members []MemberStatus `json:"members"`
}

// SoakStatus is its last soak, if it had any.
type SoakStatus struct {
	Number int       `json:"number"`
	Ends   time.Time `json:"ends"`
}

// MemberStatus is one member of it.
type MemberStatus struct {
	Host       string    `json:"host"`
	Outcome    string    `json:"outcome"`
	Step       string    `json:"step"`
	Count      int       `json:"count"`
	Packages   []Package `json:"packages"`
	BootOld    string    `json:"boot_old"`
	BootNew    string    `json:"boot_new"`
	OutSeconds float64   `json:"out_seconds"`
	Reason     string    `json:"reason"`
}

// Package is one package of a member's transaction.
type Package struct {
	Name string `json:"name"`
	Old  string `json:"old"`
	New  string `json:"new"`
}
