package plan

import (
	"time"

	"github.com/rollpatch/rollpatch/workflows/calendar"
)

// Timed says that the plan has dates to be laid: windows, freezes, a schedule, or an end that is asked for.
func (p Plan) Timed(parts map[string]Part) bool {
	for _, part := range parts {
		if part.Windowed() {
			return true
		}
	}
	return p.FinishBy != "" || p.Schedule != nil
}

// Course is the plan as far as it takes time. The calendars of canaries and peers are asked for once a stage, with the part of one of its
// clusters. An end that the plan does not ask for is the next instance's begin. What hosts said has how long they took in former instances.
func (p Plan) Course(parts map[string]Part, answers []Answer, start, finishBy time.Time, calendars func(part Part, canary bool) calendar.Calendar) calendar.Course {
	estimates := p.Estimates(parts, answers)
	c := calendar.Course{Start: start, FinishBy: finishBy, Again: p.FinishBy == "" && !finishBy.IsZero(), Parallel: p.Parallel}
	for _, s := range p.Stages {
		stage := calendar.Stage{Name: s.Name, Steps: s.Steps}
		if s.Requires != nil {
			stage.Behind, stage.Aged = s.Requires.Stage, time.Duration(s.Requires.MinAge)
		}
		for i, cl := range s.Clusters {
			part := parts[cl.Name]
			if i == 0 {
				stage.Canary, stage.Peers = calendars(part, true), calendars(part, false)
			}
			pol, e := part.Policy, estimates[cl.Name]
			stage.Clusters = append(stage.Clusters, calendar.Cluster{
				Name: cl.Name, Waves: cl.Waves, Settle: time.Duration(pol.Settle), Soak: time.Duration(pol.Soak), MaxMixed: time.Duration(pol.MaxMixed),
				Need: e.Need, Says: e.String(), Measured: e.Measured(), Shares: cl.Shares, Last: len(cl.House) > 0, SoaksLast: len(part.Only) > 0,
			})
		}
		c.Stages = append(c.Stages, stage)
	}
	return c
}
