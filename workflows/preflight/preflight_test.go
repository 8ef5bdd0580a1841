package preflight

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

var now = time.Date(2026, 11, 22, 2, 0, 0, 0, time.UTC)

// healthy is what the script prints on a host that has nothing wrong, at now.
const healthy = `disk	/	9000000	500000	650000	rw
disk	/boot	400000	65000	65536	rw
disk	/var	9000000	500000	650000	rw
initrd	110000
kernel	6.1.0-41-amd64	6.1.0-41-amd64	6.1.0-41-amd64
running	ssh.service	enabled	yes
running	dbus.service	static	yes
running	systemd-hostnamed.service	static	no
running	rpcbind.service	disabled	yes
mount	/srv/data	/dev/vdb1	yes
route	default via 192.0.2.1 dev eth0 onlink	yes
backup	1795302000
clock	1795312800	yes
`

var need = Need{Now: now, Download: 50 << 20, Kernel: true, Backup: &BackupRule{MaxAge: 26 * time.Hour, Proven: now.AddDate(0, -2, 0)}}

func read(t *testing.T, text string) Facts {
	t.Helper()
	var rows [][]string
	for line := range strings.Lines(text) {
		rows = append(rows, strings.Split(strings.TrimSuffix(line, "\n"), "\t"))
	}
	f, err := Read(rows)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestAHealthyHostHasNoFinding(t *testing.T) {
	if got := Judge("web-1", read(t, healthy), need); len(got) > 0 {
		t.Errorf("findings %+v, want none", got)
	}
	if got := Stands(nil); got != Ready {
		t.Errorf("it is %s, want ready", got)
	}
}

// Every finding that a host's own words can provoke, each by one change to what a healthy one says.
func TestFindings(t *testing.T) {
	for _, row := range []struct {
		says, old, with string
		need            func(*Need)
		check           string
		severity        Severity
		what, remedy    string // parts of them
	}{
		{"a full disk", "disk\t/\t9000000", "disk\t/\t16383", nil, Space, Severe, "/ has 16 MiB free, and 16 MiB is needed", "apt-get clean"},
		{"no room for the download", "disk\t/var\t9000000", "disk\t/var\t60000", nil, Space, Severe, "/var has 59 MiB free, and 66 MiB is needed: for the download", "apt-get clean"},
		{"no room for a kernel that comes", "disk\t/boot\t400000", "disk\t/boot\t100000", nil, Space, Severe, "/boot has 98 MiB free, and one more kernel takes 108 MiB with its two initrds", "autoremove"},
		{"no room for one, where none comes", "disk\t/boot\t400000", "disk\t/boot\t100000", func(n *Need) { n.Kernel = false }, Space, Warning, "/boot has 98 MiB", "autoremove"},
		{"no inodes", "disk\t/var\t9000000\t500000", "disk\t/var\t9000000\t10", nil, Space, Severe, "/var has 10 inodes free of 650000", "du --inodes"},
		{"a disk that is read-only", "650000\trw\ndisk\t/boot", "650000\tro\ndisk\t/boot", nil, Space, Severe, "/ is mounted read-only", "remount"},
		{"a clock that is fast", "clock\t1795312800", "clock\t1795313000", nil, Clock, Warning, "its clock is off by 3m20s", "timedatectl"},
		{"a clock that is slow", "clock\t1795312800", "clock\t1795312700", nil, Clock, Warning, "off by -1m40s", "timedatectl"},
		{"a clock that nothing keeps", "1795312800\tyes", "1795312800\tno", nil, Clock, Note, "nothing keeps it so", "set-ntp"},
		{"a newer kernel that does not run", "kernel\t6.1.0-41-amd64", "kernel\t6.1.0-40-amd64", nil, Kernel, Note, "kernel 6.1.0-41-amd64 is installed, and 6.1.0-40-amd64 runs", "policy.reboot"},
		{"a newer kernel that would not be booted", "amd64\t6.1.0-41-amd64\n", "amd64\t6.1.0-40-amd64\n", nil, Kernel, Warning, "6.1.0-41-amd64 is the newest, and 6.1.0-40-amd64 would be booted", "update-grub"},
		{"a reboot that is asked for", "clock\t", "reboot\tlibc6 dbus\nclock\t", nil, Reboot, Note, "a reboot is asked for by libc6 dbus", "policy.reboot"},
		{"held packages", "clock\t", "held\tnginx\t1.2\nclock\t", nil, Holds, Note, "nginx 1.2", "apt-mark unhold"},
		{"something else that patches", "clock\t", "updater\t/etc/cron.d/patch\nclock\t", nil, Updaters, Warning, "/etc/cron.d/patch", "turn that off"},
		{"a unit that failed", "clock\t", "failed\tbackup.service\nclock\t", nil, Units, Warning, "failed: backup.service", "systemctl status backup.service"},
		{"a backup that is too old", "backup\t1795302000", "backup\t1795200000", nil, BackupAge, Severe, "its last backup is of 2026-11-20 18:40, 31h20m ago, and max_age is 26h0m", "make one"},
		{"a backup that nobody knows of", "backup\t1795302000", "backup\t-\tthere is no /srv/backup/*", nil, BackupAge, Severe, "no backup is known: there is no /srv/backup/*", "make one"},
		{"a script that says nothing of it", "backup\t1795302000\n", "", nil, BackupAge, Severe, "the host said nothing of one", "row backup"},
		{"a restore that nobody has proven", "", "", func(n *Need) { n.Backup = &BackupRule{MaxAge: 26 * time.Hour} }, Restore, Note, "nobody has written down", "backup.restore_proven"},
		{"one that was proven long ago", "", "", func(n *Need) {
			n.Backup = &BackupRule{MaxAge: 26 * time.Hour, Proven: now.AddDate(-2, 0, 0)}
		}, Restore, Warning, "last proven on 2024-11-22", "backup.restore_proven"},
		{"a service that was started by hand", "clock\t", "running\tbatch.service\tdisabled\tno\nclock\t", nil, UnitOff, Warning, "batch.service runs, and would not after a reboot: its unit is disabled", "systemctl enable batch.service"},
		{"one without a unit file", "clock\t", "running\trun-u7.service\ttransient\tno\nclock\t", nil, UnitOff, Warning, "its unit is transient", "systemd-run"},
		{"a mount that was made by hand", "vdb1\tyes", "vdb1\tno", nil, MountOff, Warning, "/dev/vdb1 is mounted on /srv/data, and would not be after a reboot", "/etc/fstab"},
		{"a route that was made by hand", "onlink\tyes", "onlink\tno", nil, RouteOff, Warning, "the route default via 192.0.2.1 dev eth0 onlink stands in no file", "ip route del"},
		{"a setting that was made by hand", "clock\t", "sysctl\tnet.ipv4.ip_forward\t1\t0\nclock\t", nil, SysctlOff, Warning, "net.ipv4.ip_forward is 1, and would be 0 after a reboot", `sysctl -w net.ipv4.ip_forward="0"`},
	} {
		t.Run(row.says, func(t *testing.T) {
			if !strings.Contains(healthy, row.old) {
				t.Fatalf("a healthy host does not say %q", row.old)
			}
			n := need
			if row.need != nil {
				row.need(&n)
			}
			got := Judge("web-1", read(t, strings.Replace(healthy, row.old, row.with, 1)), n)
			if len(got) != 1 || got[0].Check != row.check || got[0].Severity != row.severity || got[0].Host != "web-1" || !strings.Contains(got[0].What, row.what) || !strings.Contains(got[0].Remedy, row.remedy) {
				t.Fatalf("findings %+v, want one of %s, %s: %q, mended by %q", got, row.check, row.severity, row.what, row.remedy)
			}
			if stands := map[Severity]State{Severe: Blocked, Warning: Blocked, Note: Ready}[row.severity]; Stands(got) != stands {
				t.Errorf("it is %s, want %s", Stands(got), stands)
			}
			if refused := Refusal(got) != ""; refused != (row.severity == Severe) {
				t.Errorf("refused before its drain: %t", refused)
			}
		})
	}
}

// Where nobody said how old a backup may be, none is asked for.
func TestNoBackupIsAskedFor(t *testing.T) {
	n := need
	n.Backup = nil
	if got := Judge("web-1", read(t, strings.Replace(healthy, "backup\t1795302000\n", "", 1)), n); len(got) > 0 {
		t.Errorf("findings %+v, want none", got)
	}
}

func TestWhatIsNotWholeIsNotRead(t *testing.T) {
	for _, text := range []string{"", "disk\t/\t1\t1\t1\trw\n", "clock\tnoon\tyes\n", "kernel\t6.1\nclock\t1\tyes\n"} {
		var rows [][]string
		for line := range strings.Lines(text) {
			rows = append(rows, strings.Split(strings.TrimSuffix(line, "\n"), "\t"))
		}
		if f, err := Read(rows); err == nil {
			t.Errorf("%q is read as %+v", text, f)
		}
	}
	if f := read(t, "later\tword\n"+healthy); len(Judge("web-1", f, need)) > 0 {
		t.Error("a word of a newer script is a finding")
	}
}

// What is said without the host's facts blocks it, too, and says what to do.
func TestWhatOthersSay(t *testing.T) {
	seen := map[string]bool{}
	for _, f := range []Finding{
		NoAccess("web-1", "patch", "192.0.2.11", "away"), Unclean("web-1"), Locked("web-1", "by 7"), NoUpgrade("web-1", "E: broken"), NoRepository("web-1", "E: expired"),
		NoConsul("web-1", "403"), OutOfService("web-1", "web", "critical"), Shut("web-1", "2026-11-01", "monthly", "its backout failed"),
	} {
		seen[f.Check] = true
		if f.Host != "web-1" || f.What == "" || f.Remedy == "" || Stands([]Finding{f}) != Blocked || !slices.Contains(Checks(), f.Check) {
			t.Errorf("%+v: want what, a remedy, and a host that is blocked", f)
		}
	}
	if len(seen) != 6 {
		t.Errorf("checks %v, want 6", seen)
	}
}

func TestAccept(t *testing.T) {
	warning, note := Finding{Check: Units, Severity: Warning, What: "failed: a"}, Finding{Check: Holds, Severity: Note}
	severe := Finding{Check: Space, Severity: Severe, What: "full", Remedy: "make room"}
	until := func(check string, days int) Acceptance {
		return Acceptance{Check: check, Reason: "known", Until: now.AddDate(0, 0, days), Written: "a day"}
	}
	for _, row := range []struct {
		says    string
		found   []Finding
		by      []Acceptance
		stands  State
		refused bool
		expired bool
	}{
		{"nothing accepted blocks", []Finding{warning}, nil, Blocked, false, false},
		{"accepted, it is on the second list", []Finding{warning, note}, []Acceptance{until(Units, 1)}, Accepted, false, false},
		{"of another check it counts for nothing", []Finding{warning}, []Acceptance{until(Space, 1)}, Blocked, false, false},
		{"expired, it counts again", []Finding{warning}, []Acceptance{until(Units, -1)}, Blocked, false, true},
		{"on its very end, too", []Finding{warning}, []Acceptance{until(Units, 0)}, Blocked, false, true},
		{"a newer one counts beside one that has expired", []Finding{warning}, []Acceptance{until(Units, -1), until(Units, 1)}, Accepted, false, false},
		{"nor does one that has expired undo it", []Finding{warning}, []Acceptance{until(Units, 1), until(Units, -1)}, Accepted, false, false},
		{"one of two is not enough", []Finding{warning, severe}, []Acceptance{until(Units, 1)}, Blocked, true, false},
		{"a severe one that is accepted refuses nobody", []Finding{severe}, []Acceptance{until(Space, 1)}, Accepted, false, false},
		{"a severe one whose acceptance is over does", []Finding{severe}, []Acceptance{until(Space, -1)}, Blocked, true, true},
		{"a note is no accepted finding", []Finding{note}, []Acceptance{until(Holds, 1)}, Ready, false, false},
	} {
		got := Accept(row.found, row.by, now)
		if Stands(got) != row.stands || (Refusal(got) != "") != row.refused || slices.ContainsFunc(got, func(f Finding) bool { return f.Expired }) != row.expired {
			t.Errorf("%s: %s, refused %q, %+v", row.says, Stands(got), Refusal(got), got)
		}
		if row.found[0].Accepted != "" || row.found[0].Until != "" {
			t.Errorf("%s: it changes what it is given", row.says)
		}
	}
	if got := Refusal([]Finding{severe, warning}); got != "full: make room" {
		t.Errorf("refusal %q, want what is severe, and its remedy", got)
	}
}

func TestJoinPutsWhatIsWorseFirst(t *testing.T) {
	got := Join([]Finding{{Check: Holds, Severity: Note}, {Check: Units, Severity: Warning}}, []Finding{{Check: BackupAge, Severity: Severe}, {Check: Clock, Severity: Warning}})
	var checks []string
	for _, f := range got {
		checks = append(checks, f.Check)
	}
	if want := []string{BackupAge, Clock, Units, Holds}; !reflect.DeepEqual(checks, want) {
		t.Errorf("order %q, want %q", checks, want)
	}
}
