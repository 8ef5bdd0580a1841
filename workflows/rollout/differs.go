package rollout

import "strings"

// Difference is one thing about a host that is not as it was before its patch: gone, new, or one in place of the other.
type Difference struct {
	Item  string `json:"item"`
	Gone  string `json:"gone,omitempty"`
	New   string `json:"new,omitempty"`
	Fails bool   `json:"fails,omitempty"`
}

// Lines are the difference as a diff shows it.
func (d Difference) Lines() (all []string) {
	if d.Gone != "" {
		all = append(all, "- "+d.Item+" "+d.Gone)
	}
	if d.New != "" {
		all = append(all, "+ "+d.Item+" "+d.New)
	}
	return all
}

// Differs is how a host differs from before its patch, in a size that a State can hold.
type Differs struct {
	First []Difference `json:"first,omitempty"` // those that fail first
	More  int          `json:"more,omitempty"`  // beside them
}

// Differences that a State holds of one member, and how long each side of one is at most.
const (
	mostDifferences = 5
	longestRow      = 100
)

// Add keeps a difference, as far as there is room.
func (d *Differs) Add(one Difference) {
	if len(d.First) == mostDifferences {
		d.More++
		return
	}
	one.Gone, one.New = shortRow(one.Gone), shortRow(one.New)
	d.First = append(d.First[:len(d.First):len(d.First)], one)
}

func shortRow(s string) string {
	if len(s) > longestRow {
		s = strings.ToValidUTF8(s[:longestRow], "") + "..."
	}
	return s
}

// Lines are the differences as a diff shows them.
func (d Differs) Lines() (all []string) {
	for _, one := range d.First {
		all = append(all, one.Lines()...)
	}
	if d.More > 0 {
		all = append(all, "and "+itoa(d.More)+" more")
	}
	return all
}

func (d Differs) String() string { return strings.Join(d.Lines(), ", ") }

// IsZero reports that it looks as before.
func (d Differs) IsZero() bool { return len(d.First) == 0 }

// looked keeps what a check found: of the patch, or of what its way back did not restore.
func (m Member) looked(r MemberResult) Member {
	if m.Step != StepCheck || !m.Touched {
		return m
	}
	if m.BackOut {
		m.Remains = r.Differs
	} else {
		m.Differs = r.Differs
	}
	return m
}

// Looks is how it differs at its end from before its patch.
func (m Member) Looks() Differs {
	if m.BackOut {
		return m.Remains
	}
	return m.Differs
}

// remains is told at the end of a member that its way back has not brought back as it was.
func (m Member) remains(why string) string {
	if m.Remains.IsZero() {
		return why
	}
	return strings.TrimPrefix(why+"; its way back did not restore: "+m.Remains.String(), "; ")
}

// differs is told of a member that is patched and looks different.
func (m Member) differs(why string) string {
	if m.Differs.IsZero() {
		return why
	}
	return strings.TrimPrefix(why+"; not as before its patch: "+m.Differs.String(), "; ")
}
