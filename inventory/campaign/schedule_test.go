package campaign_test

import (
	"strings"
	"testing"
	"time"

	"github.com/rollpatch/rollpatch/inventory"
	"github.com/rollpatch/rollpatch/inventory/campaign"
)

func TestScheduleIsValidated(t *testing.T) {
	nth := &inventory.Nth{Weekday: "tuesday", N: 2, Offset: duration(24 * time.Hour)}
	for _, row := range []struct {
		name     string
		schedule campaign.Schedule
		zone     string
		silent   bool // nobody is told
		want     string
	}{
		{name: "the day after Patch Tuesday", schedule: campaign.Schedule{Nth: nth, At: "22:00"}, zone: "Europe/Berlin"},
		{name: "a zone of its own", schedule: campaign.Schedule{Cron: "0 22 * * 2", Zone: "UTC", Lead: duration(48 * time.Hour)}},
		{name: "nobody is told", schedule: campaign.Schedule{Nth: nth, At: "22:00"}, zone: "UTC", silent: true, want: "schedule: needs somebody who is told"},
		{name: "no rule", schedule: campaign.Schedule{Zone: "UTC"}, want: "schedule: needs exactly one of rrule, cron and nth"},
		{name: "two rules", schedule: campaign.Schedule{Zone: "UTC", Cron: "0 22 * * 2", Nth: nth, At: "22:00"}, want: "schedule: needs exactly one of rrule, cron and nth"},
		{name: "no time of day", schedule: campaign.Schedule{Nth: nth}, zone: "UTC", want: "schedule.at: is missing"},
		{name: "nobody's clocks", schedule: campaign.Schedule{Nth: nth, At: "22:00"}, want: "schedule.zone: is missing"},
		{name: "no lead", schedule: campaign.Schedule{Nth: nth, At: "22:00", Lead: duration(0)}, zone: "UTC", want: "schedule.lead: 0s is too short"},
		{name: "no rule that can be used", schedule: campaign.Schedule{RRule: "FREQ=HOURLY", At: "22:00"}, zone: "UTC", want: "schedule.rrule:"},
	} {
		c := campaign.Campaign{Name: "monthly", Reason: "security", Zone: row.zone, Stages: []campaign.Stage{{Name: "production", Clusters: []string{"web"}}}, Schedule: &row.schedule}
		if !row.silent {
			c.Notify = []campaign.Notify{{Name: "mail", Command: []string{"mail"}}}
		}
		var all []string
		for _, p := range c.Validate() {
			all = append(all, p.Path+": "+p.Msg)
		}
		if got := strings.Join(all, "\n"); row.want == "" && got != "" || !strings.Contains(got, row.want) {
			t.Errorf("%s: %q, want %q", row.name, got, row.want)
		}
	}
}

func TestScheduleHasTheCampaignsZoneAndALead(t *testing.T) {
	c := campaign.Campaign{Zone: "Europe/Berlin", Schedule: &campaign.Schedule{Cron: "0 22 * * 2"}}
	if s := c.Scheduled(); s.Zone != "Europe/Berlin" || s.Before() != 5*24*time.Hour {
		t.Errorf("zone %q, lead %s", s.Zone, s.Before())
	}
	c.Schedule.Zone, c.Schedule.Lead = "UTC", duration(time.Hour)
	if s := c.Scheduled(); s.Zone != "UTC" || s.Before() != time.Hour {
		t.Errorf("zone %q, lead %s", s.Zone, s.Before())
	}
	if (campaign.Campaign{}).Scheduled() != nil {
		t.Error("a campaign without a schedule has one")
	}
}
