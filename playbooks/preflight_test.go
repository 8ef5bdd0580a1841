package playbooks_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rollpatch/rollpatch/playbooks"
)

// told is a folder that preflight takes for a host: files below it, and commands that say what a test wants.
func told(t *testing.T) (root string, write func(name, text string)) {
	t.Helper()
	root = t.TempDir()
	write = func(name, text string) {
		t.Helper()
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	command := func(name, text string) { write("bin/"+name, "#!/bin/sh\n"+text) }
	command("df", "case $1 in\n-Pi) printf 'a\\n/dev/vda1 650000 150000 500000 24%% /\\n' ;;\n*) printf 'a\\n/dev/vda1 10 1 9000000 1%% /\\n' ;;\nesac\n")
	command("uname", "echo 6.1.0-41-amd64\n")
	command("dpkg", "echo amd64\n")
	command("dpkg-query", "printf 'nginx\\t1\\tamd64\\tinstall\\tinstalled\\t9\\n'\n")
	command("timedatectl", "echo yes\n")
	command("ip", "case $1 in\n-6) ;;\n*) cat \"$ROLLPATCH_ROOT/routes\" ;;\nesac\n")
	// What systemd says of units, by what it is asked.
	command("systemctl", `case "$*" in
*--state=failed*) cat "$ROLLPATCH_ROOT/failed" ;;
*--type=timer*) echo 'apt-daily.timer loaded active waiting'; echo 'patch.timer loaded active waiting' ;;
*--type=service*) echo 'ssh.service loaded active running'; echo 'rollpatch-x.service loaded active running'; cat "$ROLLPATCH_ROOT/services" ;;
'show -p Unit --value patch.timer') echo patch.service ;;
'show -p ExecStart patch.service') cat "$ROLLPATCH_ROOT/exec" ;;
show*) printf 'BusName=\nId=ssh.service\nWantedBy=multi-user.target\nRequiredBy=\nTriggeredBy=\nUnitFileState=enabled\n'; cat "$ROLLPATCH_ROOT/shown" ;;
esac
`)
	for _, name := range []string{"failed", "services", "shown", "exec"} {
		write(name, "")
	}
	write("routes", "default via 192.0.2.1 dev eth0 onlink \n192.0.2.0/24 dev eth0 proto kernel scope link src 192.0.2.11 \n198.51.100.0/24 via 192.0.2.9 dev eth0 proto dhcp \n203.0.113.0/24 via 192.0.2.8 dev eth0 proto bird \n")
	write("etc/network/interfaces", "iface eth0 inet static\n gateway 192.0.2.1\n")
	write("etc/fstab", "# none\n/dev/vdb1 /srv/my\\040data ext4 defaults 0 2\n")
	write("etc/sysctl.d/99-own.conf", "# a comment = 1\nnet.ipv4.ip_forward = 1\n")
	write("etc/cron.daily/apt-compat", "exec /usr/lib/apt/apt.systemd.daily\n")
	write("etc/default/grub", "GRUB_DEFAULT=0\n")
	write("boot/grub/grub.cfg", "menuentry 'Debian' {\n\tlinux\t/boot/vmlinuz-6.1.0-41-amd64 root=/dev/vda1 ro\n}\nsubmenu 'more' {\n\tlinux\t/boot/vmlinuz-6.1.0-40-amd64 root=/dev/vda1 ro\n}\n")
	for _, k := range []string{"6.1.0-40-amd64", "6.1.0-41-amd64", "6.1.0-42-cloud-amd64"} {
		write("boot/vmlinuz-"+k, strings.Repeat("k", 4096))
		write("boot/initrd.img-"+k, strings.Repeat("i", 8192))
	}
	write("proc/sys/net/ipv4/ip_forward", "1\n")
	write("proc/self/mounts", "/dev/vda1 / ext4 rw,relatime 0 0\nproc /proc proc rw 0 0\ntmpfs /run tmpfs rw 0 0\n/dev/vdb1 /srv/my\\040data ext4 rw 0 0\noverlay /var/lib/docker/x overlay rw 0 0\n")
	for _, dir := range []string{"srv/my data", "srv/by-unit", "srv/hand", "var"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return root, write
}

func preflightOf(t *testing.T, root string, env ...string) []string {
	t.Helper()
	cmd := exec.Command("sh", "-s")
	cmd.Stdin = strings.NewReader(string(mustFor(t, "debian").Script(playbooks.Preflight)))
	cmd.Env = append([]string{"PATH=" + root + "/bin:/usr/local/bin:/usr/bin:/bin", "ROLLPATCH_ROOT=" + root, "TMPDIR=" + t.TempDir()}, env...)
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil || errs.Len() > 0 {
		t.Fatalf("preflight: %v\n%s", err, errs.String())
	}
	rows := strings.Split(strings.TrimSpace(string(out)), "\n")
	if last := rows[len(rows)-1]; !strings.HasPrefix(last, "clock\t") {
		t.Fatalf("the last row is %q", last)
	}
	return rows[:len(rows)-1]
}

var calm = []string{
	"disk\t/\t9000000\t500000\t650000\trw", "disk\t/boot\t9000000\t500000\t650000\trw", "disk\t/var\t9000000\t500000\t650000\trw", "initrd\t21",
	"kernel\t6.1.0-41-amd64\t6.1.0-41-amd64\t6.1.0-41-amd64", "running\tssh.service\tenabled\tyes",
	"mount\t/srv/my\\040data\t/dev/vdb1\tyes", "route\tdefault via 192.0.2.1 dev eth0 onlink\tyes",
}

func TestPreflightOfAHealthyHost(t *testing.T) {
	root, _ := told(t)
	if got := preflightOf(t, root); !slices.Equal(got, calm) {
		t.Errorf("rows\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(calm, "\n"))
	}
}

func TestPreflightTellsWhatIsNotAsItShouldBe(t *testing.T) {
	old := time.Date(2026, 11, 20, 3, 0, 0, 0, time.UTC)
	for _, row := range []struct {
		says  string
		given func(root string, write func(name, text string))
		env   []string
		want  []string // rows beside those of a healthy host
	}{
		{"a disk that is read-only, and one that counts no inodes", func(_ string, write func(name, text string)) {
			write("proc/self/mounts", "/dev/vda1 / ext4 ro,relatime 0 0\n")
			write("bin/df", "#!/bin/sh\ncase $1 in\n-Pi) printf 'a\\n/dev/vda1 - - - - /\\n' ;;\n*) printf 'a\\n/dev/vda1 10 1 9 1%% /\\n' ;;\nesac\n")
		}, nil, []string{"disk\t/\t9\t0\t0\tro", "disk\t/boot\t9\t0\t0\tro", "disk\t/var\t9\t0\t0\tro"}},
		{"an older kernel runs", func(_ string, write func(name, text string)) { write("bin/uname", "#!/bin/sh\necho 6.1.0-40-amd64\n") }, nil, []string{"kernel\t6.1.0-40-amd64\t6.1.0-41-amd64\t6.1.0-41-amd64"}},
		{"an older kernel was chosen", func(_ string, write func(name, text string)) {
			write("etc/default/grub", "GRUB_DEFAULT=\"Advanced options>Debian, with Linux 6.1.0-40-amd64\"\n")
		}, nil, []string{"kernel\t6.1.0-41-amd64\t6.1.0-41-amd64\t6.1.0-40-amd64"}},
		{"an older kernel was saved", func(_ string, write func(name, text string)) {
			write("etc/default/grub", "GRUB_DEFAULT=saved\n")
			write("boot/grub/grubenv", "# GRUB Environment Block\nsaved_entry=gnulinux-advanced-7>gnulinux-6.1.0-40-amd64-advanced-7\n####\n")
		}, nil, []string{"kernel\t6.1.0-41-amd64\t6.1.0-41-amd64\t6.1.0-40-amd64"}},
		{"nothing is in /boot", func(root string, _ func(name, text string)) {
			if err := os.RemoveAll(filepath.Join(root, "boot")); err != nil {
				t.Fatal(err)
			}
		}, nil, []string{"kernel\t6.1.0-41-amd64\t-\t-"}},
		{"a package is held", func(_ string, write func(name, text string)) {
			write("bin/dpkg-query", "#!/bin/sh\nprintf 'nginx\\t1.2\\tamd64\\thold\\tinstalled\\t9\\n'\n")
		}, nil, []string{"held\tnginx\t1.2"}},
		{"a reboot is asked for", func(_ string, write func(name, text string)) {
			write("run/reboot-required", "")
			write("run/reboot-required.pkgs", "libc6\ndbus\nlibc6\n")
		}, nil, []string{"reboot\tdbus libc6"}},
		{"cron and a timer patch by themselves", func(_ string, write func(name, text string)) {
			write("etc/cron.d/patch", "# apt-get upgrade\n0 3 * * * root apt-get -y upgrade\n")
			write("etc/cron.d/quiet", "# apt-get upgrade\n0 3 * * * root apt-get update\n")
			write("exec", "ExecStart={ path=/usr/bin/unattended-upgrade ; argv[]=/usr/bin/unattended-upgrade }\n")
		}, nil, []string{"updater\t/etc/cron.d/patch", "updater\tpatch.timer"}},
		{"a unit failed", func(_ string, write func(name, text string)) {
			write("failed", "backup.service loaded failed failed Nightly backup\n")
		}, nil, []string{"failed\tbackup.service"}},
		{"services that nobody enabled", func(_ string, write func(name, text string)) {
			write("services", "batch.service loaded active running\nrpcbind.service loaded active running\nrun-u7.service loaded active running\n")
			write("shown", "\nId=batch.service\nWantedBy=\nUnitFileState=disabled\n\nUnitFileState=disabled\nId=rpcbind.service\nTriggeredBy=rpcbind.socket\n\nId=run-u7.service\nUnitFileState=transient\n")
		}, nil, []string{"running\tbatch.service\tdisabled\tno", "running\trpcbind.service\tdisabled\tyes", "running\trun-u7.service\ttransient\tno"}},
		{"a mount that was made by hand, and one by a unit", func(_ string, write func(name, text string)) {
			write("proc/self/mounts", "/dev/vdc1 /srv/hand ext4 rw 0 0\n/dev/vdd1 /srv/by-unit ext4 rw 0 0\n")
			write(`etc/systemd/system/srv-by\x2dunit.mount`, "[Mount]\n")
		}, nil, []string{"mount\t/srv/by-unit\t/dev/vdd1\tyes", "mount\t/srv/hand\t/dev/vdc1\tno"}},
		{"routes that were made by hand", func(_ string, write func(name, text string)) {
			write("routes", "default via 192.0.2.7 dev eth0 \n10.9.0.0/24 via 192.0.2.1 dev eth0 \n10.8.0.0/24 via 192.0.2.1 dev eth0 proto boot \n10.7.0.0/24 via 192.0.2.1 dev eth0 proto static \n")
			write("etc/network/interfaces", "up ip route add 10.9.0.0/24 via 192.0.2.1\n")
		}, nil, []string{"route\tdefault via 192.0.2.7 dev eth0\tno", "route\t10.9.0.0/24 via 192.0.2.1 dev eth0\tyes", "route\t10.8.0.0/24 via 192.0.2.1 dev eth0 proto boot\tno"}},
		{"settings that were made by hand", func(_ string, write func(name, text string)) {
			write("proc/sys/net/ipv4/ip_forward", "0\n")
			write("proc/sys/net/ipv4/tcp_rmem", "1\t2\t3\n")
			write("etc/sysctl.conf", "net.ipv4.tcp_rmem = 1 2 3\n-net/ipv4/nowhere=1\n")
		}, nil, []string{"sysctl\tnet.ipv4.ip_forward\t0\t1"}},
		{"the newest file that is a backup", func(root string, write func(name, text string)) {
			for i, name := range []string{"srv/backup/one day.gz", "srv/backup/another.gz", "srv/backup/x.txt"} {
				write(name, "")
				if err := os.Chtimes(filepath.Join(root, name), old, old.Add(time.Duration(i)*time.Hour)); err != nil {
					t.Fatal(err)
				}
			}
		}, []string{"ROLLPATCH_BACKUP_FILE=/srv/backup/*.gz"}, []string{"backup\t1795147200"}},
		{"no such file", func(string, func(name, text string)) {}, []string{"ROLLPATCH_BACKUP_FILE=/srv/backup/*.gz"}, []string{"backup\t-\tthere is no /srv/backup/*.gz"}},
		{"a command that prints a date", func(string, func(name, text string)) {}, []string{"ROLLPATCH_BACKUP_COMMAND=printf\n%s\n2026-11-20 03:00 UTC"}, []string{"backup\t1795143600"}},
		{"one that prints seconds", func(string, func(name, text string)) {}, []string{"ROLLPATCH_BACKUP_COMMAND=echo\n1795143600"}, []string{"backup\t1795143600"}},
		{"one that prints nothing of the kind", func(string, func(name, text string)) {}, []string{"ROLLPATCH_BACKUP_COMMAND=echo\nyesterday or so"}, []string{"backup\t-\techo printed no time"}},
		{"one that fails", func(string, func(name, text string)) {}, []string{"ROLLPATCH_BACKUP_COMMAND=sh\n-c\necho gone >&2; exit 3"}, []string{"backup\t-\tsh ended with status 3: gone"}},
	} {
		t.Run(row.says, func(t *testing.T) {
			root, write := told(t)
			row.given(root, write)
			var more []string
			for _, r := range preflightOf(t, root, row.env...) {
				if !slices.Contains(calm, r) {
					more = append(more, r)
				}
			}
			if !slices.Equal(more, row.want) {
				t.Errorf("it also says\n%s\nwant\n%s", strings.Join(more, "\n"), strings.Join(row.want, "\n"))
			}
		})
	}
}
