package campaign

import (
	"time"

	"github.com/rollpatch/rollpatch/inventory"
)

// DefaultLead is how long before a firing's begin its plan is made, when nothing else is said.
const DefaultLead = 5 * 24 * time.Hour

// Schedule is when instances begin by themselves, by exactly one of rrule, cron and nth.
type Schedule struct {
	// RRule is a recurrence rule of RFC 5545, such as FREQ=MONTHLY;BYDAY=2TU.
	RRule string `json:"rrule,omitempty" yaml:"rrule,omitempty"`
	// Cron is the five fields of crontab(5), such as "0 22 * * 2".
	Cron string `json:"cron,omitempty" yaml:"cron,omitempty"`
	// Nth is the nth weekday of every month, or so many days after it.
	Nth *inventory.Nth `json:"nth,omitempty" yaml:"nth,omitempty"`
	// At is the time of day of rrule and nth, such as "22:00".
	At string `json:"at,omitempty" yaml:"at,omitempty"`
	// Start is the day that an rrule counts from, where it counts.
	Start string `json:"start,omitempty" yaml:"start,omitempty"`
	// Zone says whose clocks are meant, such as Europe/Berlin or UTC; default the file's zone.
	Zone string `json:"zone,omitempty" yaml:"zone,omitempty"`
	// Lead is how long before that the plan is made and its gates wait for people; default 5d.
	Lead *inventory.Duration `json:"lead,omitempty" yaml:"lead,omitempty"`
}

// Before is how long before a begin its plan is made.
func (s Schedule) Before() time.Duration {
	if s.Lead == nil {
		return DefaultLead
	}
	return time.Duration(*s.Lead)
}

// Scheduled is the campaign's schedule with its zone; nil: it has none.
func (c Campaign) Scheduled() *Schedule {
	if c.Schedule == nil {
		return nil
	}
	s := *c.Schedule
	if s.Zone == "" {
		s.Zone = c.Zone
	}
	return &s
}

// moment is how long a begin lasts as a window: rules are followed as those of windows are.
const moment = inventory.Duration(time.Minute)

// Window is the schedule's rule as one of windows: each of them begins when an instance does.
func (s Schedule) Window() inventory.Window {
	length := moment
	return inventory.Window{Name: "schedule", RRule: s.RRule, Cron: s.Cron, Nth: s.Nth, At: s.At, Start: s.Start, Zone: s.Zone, Duration: &length}
}

func (c Campaign) validateSchedule(p *inventory.Problems) {
	s := c.Schedule
	if s == nil {
		return
	}
	p.Recurs("schedule", s.Window().When(), c.Zone)
	if s.Lead != nil && *s.Lead < moment {
		p.Add("schedule.lead", "%s is too short: write 1m or more", s.Lead)
	}
	if len(c.Notify) == 0 {
		p.Add("schedule", "needs somebody who is told: nobody watches what begins by itself. Name one under notify, such as {name: mail, command: [/usr/local/bin/patch-mail]}")
	}
}
