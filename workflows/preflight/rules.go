package preflight

import (
	"fmt"
	"strings"
	"time"
)

// Need is what the facts are held against.
type Need struct {
	Now      time.Time // by the clock of whoever asks
	Download int64     // bytes of the packages that would come; 0: none, or not known
	Kernel   bool      // a kernel is among them
	Backup   *BackupRule
}

// BackupRule is how old a backup may be, and when a restore of it was last proven; zero: never.
type BackupRule struct {
	MaxAge time.Duration
	Proven time.Time
}

const (
	// leastFree and leastInodes are what no transaction of any size can do without.
	leastFree   = 16 << 10 // KiB
	leastInodes = 200
	// clockOff is how far a clock may be off: the answer takes its time, too.
	clockOff = time.Minute
	// provenFor is how long a proof that a backup can be restored counts.
	provenFor = 365 * 24 * time.Hour
)

// Judge says what the facts of a host mean.
func Judge(host string, f Facts, n Need) []Finding {
	var all []Finding
	add := func(check string, s Severity, what, remedy string) {
		all = append(all, Finding{Check: check, Host: host, Severity: s, What: what, Remedy: remedy})
	}
	f.space(n, add)
	f.kernels(add)
	f.rest(n, add)
	f.backup(n, add)
	f.unsaved(add)
	order(all)
	return all
}

type adder func(check string, s Severity, what, remedy string)

func (f Facts) space(n Need, add adder) {
	for _, d := range f.Disks {
		least, why := int64(leastFree), "no transaction can do with less"
		if need := n.Download/1024 + leastFree; d.Dir == "/var" && n.Download > 0 {
			least, why = need, "for the download"
		}
		switch {
		case d.ReadOnly:
			add(Space, Severe, d.Dir+" is mounted read-only", "look for its cause (dmesg), mend it, then: mount -o remount,rw "+d.Dir)
			continue
		case d.Free < least && d.Dir != "/boot":
			add(Space, Severe, fmt.Sprintf("%s has %s free, and %s is needed: %s", d.Dir, mib(d.Free), mib(least), why), "make room there: apt-get clean; journalctl --vacuum-size=100M")
		case d.Dir == "/boot" && f.Initrd > 0 && d.Free < f.Initrd:
			s := Warning
			if n.Kernel {
				s = Severe
			}
			add(Space, s, fmt.Sprintf("/boot has %s free, and one more kernel takes %s with its two initrds", mib(d.Free), mib(f.Initrd)), "remove kernels that are not booted any more: apt-get autoremove --purge")
		}
		if d.Counts > 0 && d.Inodes < leastInodes {
			add(Space, Severe, fmt.Sprintf("%s has %d inodes free of %d", d.Dir, d.Inodes, d.Counts), "remove what made so many small files; where they are: du --inodes -x -d 3 "+d.Dir)
		}
	}
}

func mib(kib int64) string { return fmt.Sprintf("%d MiB", (kib+1023)/1024) }

func (f Facts) kernels(add adder) {
	if f.Boots != "" && f.Newest != "" && f.Boots != f.Newest {
		add(Kernel, Warning, fmt.Sprintf("kernel %s is the newest, and %s would be booted", f.Newest, f.Boots), "have the newest booted: GRUB_DEFAULT=0 in /etc/default/grub, then: update-grub")
	}
	if f.Newest != "" && f.Newest != f.Running {
		add(Kernel, Note, fmt.Sprintf("kernel %s is installed, and %s runs", f.Newest, f.Running), "a reboot boots it: policy.reboot of the campaign")
	}
}

func (f Facts) rest(n Need, add adder) {
	if off := f.Clock.Sub(n.Now); off > clockOff || off < -clockOff {
		add(Clock, Warning, fmt.Sprintf("its clock is off by %s", off.Round(time.Second)), "have it set: timedatectl set-ntp true, and look at timedatectl timesync-status")
	} else if f.Synced == "no" {
		add(Clock, Note, "its clock is right, and nothing keeps it so", "have it set: timedatectl set-ntp true")
	}
	if f.Reboot {
		what := "a reboot is asked for"
		if f.RebootFor != "" {
			what += " by " + f.RebootFor
		}
		add(Reboot, Note, what, "policy.reboot of the campaign reboots it, or do so in its window")
	}
	if len(f.Held) > 0 {
		add(Holds, Note, "held, and not patched: "+few(f.Held), "if nobody needs that any more: apt-mark unhold PACKAGE")
	}
	if len(f.Updaters) > 0 {
		add(Updaters, Warning, "something else patches it by itself: "+few(f.Updaters), "turn that off, or have it leave packages alone: rollpatch turns off Debian's own only")
	}
	if len(f.Failed) > 0 {
		add(Units, Warning, "failed: "+few(f.Failed), "look at it: systemctl status "+f.Failed[0]+"; what is over: systemctl reset-failed "+f.Failed[0])
	}
}

func (f Facts) backup(n Need, add adder) {
	if n.Backup == nil {
		return
	}
	const make = "make one, or see why none was made, before this host is changed"
	switch b := f.Backup; {
	case b == nil:
		add(BackupAge, Severe, "the inventory asks for a backup, and the host said nothing of one", "its playbook must print a row backup")
	case b.Unknown != "":
		add(BackupAge, Severe, "no backup is known: "+b.Unknown, make)
	case n.Now.Sub(b.Made) > n.Backup.MaxAge:
		add(BackupAge, Severe, fmt.Sprintf("its last backup is of %s, %s ago, and max_age is %s", b.Made.Format("2006-01-02 15:04"), span(n.Now.Sub(b.Made)), span(n.Backup.MaxAge)), make)
	}
	const prove = "restore one somewhere, and write the day under backup.restore_proven"
	switch p := n.Backup.Proven; {
	case p.IsZero():
		add(Restore, Note, "nobody has written down that its backup can be restored", prove)
	case n.Now.Sub(p) > provenFor:
		add(Restore, Warning, "that its backup can be restored was last proven on "+p.Format(time.DateOnly), prove)
	}
}

// span is a length of time in the unit that people would say it in.
func span(d time.Duration) string {
	if d < 48*time.Hour {
		return strings.TrimSuffix(d.Truncate(time.Minute).String(), "0s")
	}
	return fmt.Sprintf("%dd", int(d/(24*time.Hour)))
}

// unsaved is what runs now, and would be gone after a reboot.
func (f Facts) unsaved(add adder) {
	for _, u := range f.Units {
		if !u.stray() {
			continue
		}
		remedy := "systemctl enable " + u.Name + ", or stop it if nobody needs it"
		if u.State == "transient" {
			remedy = "somebody started it by hand (systemd-run): give it a unit file, or stop it if nobody needs it"
		}
		add(UnitOff, Warning, fmt.Sprintf("%s runs, and would not after a reboot: its unit is %s", u.Name, u.State), remedy)
	}
	for _, m := range f.Mounts {
		if !m.Saved {
			add(MountOff, Warning, fmt.Sprintf("%s is mounted on %s, and would not be after a reboot", m.What, m.Where), "write it into /etc/fstab, or: umount "+m.Where)
		}
	}
	for _, r := range f.Routes {
		if !r.Saved {
			add(RouteOff, Warning, "the route "+r.Text+" stands in no file, and would be gone after a reboot", "write it down where this host's network is configured, or: ip route del "+r.Text)
		}
	}
	for _, s := range f.Sysctls {
		add(SysctlOff, Warning, fmt.Sprintf("%s is %s, and would be %s after a reboot", s.Key, s.Now, s.Saved), fmt.Sprintf("write it into /etc/sysctl.d, or: sysctl -w %s=%q", s.Key, s.Saved))
	}
}
