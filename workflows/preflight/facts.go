package preflight

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"
)

// Facts is what a host told of itself.
type Facts struct {
	Disks                  []Disk
	Initrd                 int64 // KiB that one more kernel takes in /boot, with a second initrd while it is made; 0: it has none
	Running, Newest, Boots string
	Reboot                 bool
	RebootFor              string // packages
	Held                   []string
	Updaters               []string
	Failed                 []string
	Units                  []Unit
	Mounts                 []Mount
	Routes                 []Route
	Sysctls                []Sysctl
	Backup                 *Backup
	Clock                  time.Time
	Synced                 string // yes, no or unknown
}

// Disk is a folder's file system.
type Disk struct {
	Dir            string
	Free           int64 // KiB
	Inodes, Counts int64 // free, and there are; it counts none: 0
	ReadOnly       bool
}

// Unit is a service that runs.
type Unit struct {
	Name, State string // State is its file's
	Pulled      bool   // something else starts it
}

// stray says that it runs, and would not after a reboot.
func (u Unit) stray() bool {
	return !u.Pulled && slices.Contains([]string{"disabled", "transient", "masked", "masked-runtime", "linked"}, u.State)
}

// Strays names the units, mounts, routes and settings that would not survive a reboot.
func (f Facts) Strays() (units, mounts, routes, sysctls []string) {
	for _, u := range f.Units {
		if u.stray() {
			units = append(units, u.Name)
		}
	}
	for _, m := range f.Mounts {
		if !m.Saved {
			mounts = append(mounts, m.Where)
		}
	}
	for _, r := range f.Routes {
		if !r.Saved {
			routes = append(routes, r.Text)
		}
	}
	for _, s := range f.Sysctls {
		sysctls = append(sysctls, s.Key)
	}
	return units, mounts, routes, sysctls
}

// Mount is something that somebody mounted.
type Mount struct {
	Where, What string
	Saved       bool
}

// Route is one that no daemon brought.
type Route struct {
	Text  string
	Saved bool
}

// Sysctl is a setting that its own file would set to something else.
type Sysctl struct{ Key, Now, Saved string }

// Backup is when the last one was made, or why nobody knows.
type Backup struct {
	Made    time.Time
	Unknown string
}

// Read reads what the script printed. Words that it does not know are a newer script's.
func Read(rows [][]string) (Facts, error) {
	var f Facts
	for i, r := range rows {
		if err := f.row(r); err != nil {
			return Facts{}, fmt.Errorf("preflight, row %d: %q: %w", i+1, r, err)
		}
	}
	if f.Clock.IsZero() {
		return Facts{}, errors.New("preflight: the last row is missing: it was cut off")
	}
	return f, nil
}

func (f *Facts) row(r []string) error {
	least := map[string]int{"disk": 6, "initrd": 2, "kernel": 4, "held": 3, "reboot": 1, "updater": 2, "failed": 2, "running": 4, "mount": 4, "route": 3, "sysctl": 4, "backup": 2, "clock": 3}
	if len(r) == 0 || len(r) < least[r[0]] {
		return errors.New("has too few columns")
	}
	var bad error
	number := func(s string) int64 {
		n, err := strconv.ParseInt(s, 10, 64)
		bad = errors.Join(bad, err)
		return n
	}
	switch r[0] {
	case "disk":
		f.Disks = append(f.Disks, Disk{Dir: r[1], Free: number(r[2]), Inodes: number(r[3]), Counts: number(r[4]), ReadOnly: r[5] == "ro"})
	case "initrd":
		f.Initrd = number(r[1])
	case "kernel":
		f.Running, f.Newest, f.Boots = r[1], none(r[2]), none(r[3])
	case "held":
		f.Held = append(f.Held, r[1]+" "+r[2])
	case "reboot":
		if f.Reboot = true; len(r) > 1 {
			f.RebootFor = r[1]
		}
	case "updater":
		f.Updaters = append(f.Updaters, r[1])
	case "failed":
		f.Failed = append(f.Failed, r[1])
	case "running":
		f.Units = append(f.Units, Unit{r[1], r[2], r[3] == "yes"})
	case "mount":
		f.Mounts = append(f.Mounts, Mount{r[1], r[2], r[3] == "yes"})
	case "route":
		f.Routes = append(f.Routes, Route{r[1], r[2] == "yes"})
	case "sysctl":
		f.Sysctls = append(f.Sysctls, Sysctl{r[1], r[2], r[3]})
	case "backup":
		f.Backup = &Backup{}
		if r[1] == "-" {
			if f.Backup.Unknown = "nobody knows why"; len(r) > 2 {
				f.Backup.Unknown = r[2]
			}
			break
		}
		f.Backup.Made = time.Unix(number(r[1]), 0).UTC()
	case "clock":
		f.Clock, f.Synced = time.Unix(number(r[1]), 0).UTC(), r[2]
	}
	return bad
}

func none(s string) string {
	if s == "-" {
		return ""
	}
	return s
}
