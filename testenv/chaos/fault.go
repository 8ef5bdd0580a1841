package chaos

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/rollpatch/rollpatch/testenv"
	"github.com/rollpatch/rollpatch/testenv/chaos/oracle"
	"github.com/rollpatch/rollpatch/testenv/estate"
)

// Fault is one kind of thing that goes wrong, and what must hold although it does.
type Fault struct {
	ID    string // of the list of faults
	Name  string
	Steps []Step // where it can hit
	Hosts string // estate.Real or "", which is simulated ones
	Often Step   // the one of them in which every run of the tests has it; none: it is in the whole list only

	Whole   bool   // its campaign goes to its end also where others are cut short, since what it is about comes after the canary
	Version string // of lab-web that is offered, default 1.4: one that needs a reboot
	Workers bool   // a worker of its own, beside a rollpatchd without one
	Another bool   // another build of rollpatch is at hand
	Leaves  bool   // work for its rollpatchd after its end, which the next run must not meet
	Setup   func(*scene) error
	Begin   func(*scene) error // how the campaign starts, default by a command that only starts it
	Inject  func(*scene) error
	// Lasts is how long it lasts; Until, where given, waits for a condition instead. Then Clear ends it. A fault without Clear is not
	// ended by anybody.
	Lasts time.Duration
	Until func(*scene) error
	Clear func(*scene) error

	End    func(*scene) error // how its end is found, default by what the campaign says
	Ends   []string           // how the campaign may end, default done
	Return time.Duration      // how soon a member is back that its peers need; 0: nobody asks
	Within time.Duration      // after which the work goes on at the latest; 0: as long as it takes
	Loses  losses             // whether requests may be lost
	Limit  time.Duration      // for the whole run, default 2 min
	Holds  func(*scene, []oracle.Event) []string
}

// losses say when a fault may cost requests: those that are answered by a member which dies while it serves.
type losses int

const (
	none    losses = iota // its peers live
	serving               // it hits the canary, and costs what is lost while that serves
	always                // it hits who serves in every step
)

// out are the steps in which the canary is out of service: nothing that hits it can cost a request.
var out = []Step{patching, patch, unpack, configure, patched, rebooting, reboot, down}

// loses tells whether requests may be lost in a step.
func (f Fault) loses(step Step) bool {
	return f.Loses == always || f.Loses == serving && !slices.ContainsFunc(out, func(s Step) bool { return s.Name == step.Name })
}

func (f Fault) hosts() string {
	if f.Hosts != "" {
		return f.Hosts
	}
	return estate.Sim
}

// short says that a campaign ends once its canary soaks: what its peers would show of the fault is shown by another step of it, or by
// the same fault on other hosts. Without that the whole list would take twice its time.
func (f Fault) short(step Step) bool {
	switch {
	case f.Whole, f.End != nil, f.Begin != nil, !f.mayEnd("done"), step.Name == f.Often.Name:
		return false
	}
	return !slices.ContainsFunc([]Step{inSoak, onPeer, settling}, func(late Step) bool { return late.Name == step.Name })
}

// defaultLimit is for a run: twice the longest wait of the product's own, a worker's heartbeat, and the campaign itself.
const defaultLimit = 2 * time.Minute

func (f Fault) limit() time.Duration {
	switch {
	case f.Limit > 0:
		return f.Limit
	case f.hosts() == estate.Real:
		return 2 * defaultLimit
	}
	return defaultLimit
}

func (f Fault) version() string {
	if f.Version != "" {
		return f.Version
	}
	return "1.4"
}

func (f Fault) mayEnd(outcome string) bool {
	if len(f.Ends) == 0 {
		return outcome == "done"
	}
	return slices.Contains(f.Ends, outcome)
}

// choose are the faults of both lists that the words name, all without any: on these hosts, or on all that can be had. lacking is why
// there are no real ones.
func choose(words, kind string) (chosen []Fault, lacking string, err error) {
	var all []Fault
	if kind != estate.Real {
		all = Faults()
	}
	if kind != estate.Sim {
		if lacking = testenv.Missing(); lacking == "" || kind == estate.Real {
			all = append(RealFaults(), all...)
		}
	}
	if strings.TrimSpace(words) == "" {
		return all, lacking, nil
	}
	for _, w := range strings.FieldsFunc(words, func(r rune) bool { return r == ',' || r == ' ' }) {
		id, step, _ := strings.Cut(w, "/")
		found := false
		for _, f := range all {
			if !strings.EqualFold(f.ID, id) {
				continue
			}
			if step != "" {
				f.Steps = slices.DeleteFunc(slices.Clone(f.Steps), func(s Step) bool { return s.Name != step })
			}
			if len(f.Steps) > 0 {
				found, chosen = true, append(chosen, f)
			}
		}
		if !found {
			return nil, lacking, fmt.Errorf("CHAOS=%s: no fault %q (F16 is one, F16/patch one of its steps); known: %s", words, w, strings.Join(ids(all), ", "))
		}
	}
	return chosen, lacking, nil
}

func ids(list []Fault) (all []string) {
	for _, f := range list {
		if !slices.Contains(all, f.ID) {
			all = append(all, f.ID)
		}
	}
	return all
}
