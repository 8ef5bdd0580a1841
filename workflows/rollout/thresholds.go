package rollout

import (
	"slices"
	"strconv"
	"strings"
)

// Blamed is what something failed for, a check or a package, and how often.
type Blamed struct {
	What  string `json:"what"`
	Times int    `json:"times"`
}

// blamedKept is how many causes of a cluster its campaign hears of: the most frequent ones.
const blamedKept = 2

// Excused is what a person had seen failed when the campaign was resumed: nobody is asked for it twice.
type Excused struct {
	Failed int      `json:"failed,omitempty"`
	Blames []Blamed `json:"blames,omitempty"`
}

// failures counts what failed in the cluster: members that failed for good, and its soak, each once however often it was tried. It is read
// from the State, so that a report that comes twice counts once.
func (c Cluster) failures() (failed int, most [blamedKept]Blamed) {
	var blames []Blamed
	for _, m := range c.Members {
		if m.Failed {
			failed++
			blames = append(blames, Blamed{m.Blame, 1})
		}
	}
	if c.SoakFailed {
		failed++
		blames = append(blames, Blamed{c.SoakBlame, 1})
	}
	copy(most[:], ranked(blames))
	return failed, most
}

// ranked adds up what is known of causes, the most frequent one first.
func ranked(blames []Blamed) []Blamed {
	blames = slices.Clone(blames)
	slices.SortFunc(blames, func(a, b Blamed) int { return strings.Compare(a.What, b.What) })
	var all []Blamed
	for _, b := range blames {
		switch last := len(all) - 1; {
		case b.What == "":
		case last >= 0 && all[last].What == b.What:
			all[last].Times += b.Times
		default:
			all = append(all, b)
		}
	}
	slices.SortStableFunc(all, func(a, b Blamed) int { return b.Times - a.Times })
	return all
}

// failures of the stage, in all and by cause.
func (c Campaign) failures() (failed int, blames []Blamed) {
	for _, r := range c.Clusters {
		if r.Stage == c.Stage && r.Failed > 0 {
			failed += r.Failed
			blames = append(blames, r.Blames[:]...)
		}
	}
	return failed, ranked(blames)
}

// limit stops a stage in which too much failed: the same often enough, or anything.
func (c Campaign) limit() Campaign {
	if c.Limited || c.Tripped != "" || c.Outcome != "" || c.AbortFor != "" || c.BackoutFor != "" || !c.stoppable() {
		return c
	}
	failed, blames := c.failures()
	most, stage := 0, "stage "+c.Stages[c.Stage]+": "
	if c.Stage < len(c.StopAny) {
		most = c.StopAny[c.Stage]
	}
	for _, b := range c.Excused.Blames {
		blames = append(blames, Blamed{b.What, -b.Times})
	}
	if same := ranked(blames); c.StopSame > 0 && len(same) > 0 && same[0].Times >= c.StopSame {
		return c.limited(stage + strconv.Itoa(same[0].Times) + one(same[0].Times, " failure", " failures") + " by the same " + same[0].What + ": " + c.blaming(c.failedFor(same[0].What)))
	}
	if failed -= c.Excused.Failed; most > 0 && failed >= most {
		return c.limited(stage + strconv.Itoa(failed) + one(failed, " failure: ", " failures: ") + c.blaming(c.failedFor("")))
	}
	return c
}

// limited lets nothing further begin. A person decides how it goes on; unattended there is none, and it ends.
func (c Campaign) limited(why string) Campaign {
	c.Limited = true
	return c.halt(why)
}

// stoppable says that something could still begin: what is giving back its claim ends anyway.
func (c Campaign) stoppable() bool {
	for _, r := range c.Clusters {
		if r.Outcome == "" && r.Phase != PhaseRelease {
			return true
		}
	}
	return false
}

// excuse takes note of what a person has seen.
func (c Campaign) excuse() Campaign {
	c.Limited = false
	c.Excused.Failed, c.Excused.Blames = c.failures()
	return c
}

// failedFor names the clusters of the stage in which something failed for that cause, or for any.
func (c Campaign) failedFor(what string) []string {
	var names []string
	for _, r := range c.Clusters {
		if r.Stage != c.Stage || r.Failed == 0 {
			continue
		}
		hit := what == ""
		for _, b := range r.Blames {
			hit = hit || b.What == what
		}
		if hit {
			names = append(names, r.Name)
		}
	}
	return names
}

// blaming names clusters, each with what it failed for most.
func (c Campaign) blaming(names []string) string {
	said := make([]string, len(names))
	for i, name := range names {
		said[i] = name
		if r, _ := c.find(name); r.Blames[0].What != "" {
			said[i] += " (" + r.Blames[0].What + ")"
		}
	}
	return few(said)
}

// blame is a cause as it is kept: it is counted by its text, and a State has no room for an essay.
func blame(what string) string {
	const longest = 64
	if len(what) > longest {
		return strings.ToValidUTF8(what[:longest], "")
	}
	return what
}
