package playbooks_test

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/rollpatch/rollpatch/playbooks"
)

// looks is a folder that fingerprint takes for a host.
func looks(t *testing.T) (root string, write func(name, text string)) {
	t.Helper()
	root, write = told(t)
	command := func(name, text string) { write("bin/"+name, "#!/bin/sh\n"+text) }
	command("uname", "case $1 in\n-n) echo web-1 ;;\n*) echo 6.1.0-41-amd64 ;;\nesac\n")
	command("hostname", "echo web-1.example.org\n")
	command("ip", `case "$*" in
*address*) cat "$ROLLPATCH_ROOT/addresses" ;;
-6*) cat "$ROLLPATCH_ROOT/routes6" ;;
*) cat "$ROLLPATCH_ROOT/routes" ;;
esac
`)
	command("ss", "cat \"$ROLLPATCH_ROOT/sockets\"\n")
	command("systemctl", `case "$*" in
list-unit-files*) cat "$ROLLPATCH_ROOT/files" ;;
list-units*) cat "$ROLLPATCH_ROOT/units" ;;
esac
`)
	write("addresses", "")
	write("routes", "default via 192.0.2.1 dev eth0 onlink \n")
	write("routes6", "")
	write("sockets", "")
	write("files", "ssh.service enabled enabled\n")
	write("units", "ssh.service loaded active running OpenBSD Secure Shell server\n")
	write("etc/passwd", "root:x:0:0:root:/root:/bin/bash\n")
	write("etc/resolv.conf", "# by hand\nnameserver  192.0.2.53\noptions edns0\n")
	write("etc/machine-id", "0123\n")
	write("etc/sysctl.d/99-own.conf", "")
	return root, write
}

// fingerprintOf are the rows of an item, in their order.
func fingerprintOf(t *testing.T, root, item string) []string {
	t.Helper()
	tmp := t.TempDir()
	cmd := exec.Command("dash", "-s")
	cmd.Stdin = strings.NewReader(string(mustFor(t, "debian").Script(playbooks.Fingerprint)))
	cmd.Env = []string{"PATH=" + root + "/bin:/usr/local/bin:/usr/bin:/bin", "ROLLPATCH_ROOT=" + root, "TMPDIR=" + tmp}
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil || errs.Len() > 0 {
		t.Fatalf("fingerprint: %v\n%s", err, errs.String())
	}
	if left, err := os.ReadDir(tmp); err != nil || len(left) > 0 {
		t.Errorf("it left %v in its folder, %v", left, err)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if last := lines[len(lines)-1]; last != "whole" {
		t.Fatalf("the last row is %q", last)
	}
	var rows []string
	for _, line := range lines {
		if row, ok := strings.CutPrefix(line, item+"\t"); ok {
			rows = append(rows, row)
		}
	}
	return rows
}

func TestFingerprint(t *testing.T) {
	for _, row := range []struct {
		says  string
		given func(write func(name, text string))
		item  string
		want  []string
	}{
		{"all items of a calm host are told, those too of which there is none", nil, "told",
			strings.Fields("addresses default-route dns enabled-units failed-units fqdn hostname kernel listeners machine-id mounts routes running-units sysctl time-sync users")},
		{"its names", nil, "fqdn", []string{"web-1.example.org"}},
		{"a name that nobody answers for is not told", func(write func(name, text string)) { write("bin/hostname", "#!/bin/sh\nexit 1\n") }, "told",
			strings.Fields("addresses default-route dns enabled-units failed-units hostname kernel listeners machine-id mounts routes running-units sysctl time-sync users")},
		{"nor are routes that the kernel does not tell", func(write func(name, text string)) { write("bin/ip", "#!/bin/sh\nexit 2\n") }, "told",
			strings.Fields("dns enabled-units failed-units fqdn hostname kernel listeners machine-id mounts running-units sysctl time-sync users")},
		{"nor units that systemd does not tell", func(write func(name, text string)) { write("bin/systemctl", "#!/bin/sh\nexit 1\n") }, "told",
			strings.Fields("addresses default-route dns fqdn hostname kernel listeners machine-id mounts routes sysctl users")},
		{"the default route, without a routing daemon's number", func(write func(name, text string)) {
			write("routes", "default nhid 24 via 192.0.2.1 dev eth0 proto bgp metric 20 \n192.0.2.0/24 dev eth0 proto kernel scope link src 192.0.2.11 \n")
		}, "default-route", []string{"default via 192.0.2.1 dev eth0 proto bgp metric 20"}},
		{"other routes, without their leases", func(write func(name, text string)) {
			write("routes", "default via 192.0.2.1 dev eth0\n192.0.2.0/24 dev eth0 proto kernel \n")
			write("routes6", "fe80::/64 dev eth0 proto kernel metric 256 pref medium\nunreachable default dev lo\n2001:db8::/64 dev eth0 proto ra metric 100 expires 86390sec pref medium\n")
		}, "routes", []string{"192.0.2.0/24 dev eth0 proto kernel", "2001:db8::/64 dev eth0 proto ra metric 100 pref medium"}},
		{"addresses, without those of containers and of privacy", func(write func(name, text string)) {
			write("addresses", "2: eth0    inet 192.0.2.11/24 brd 192.0.2.255 scope global eth0\\       valid_lft forever\n5: veth1    inet 10.0.0.1/24 scope global veth1\n2: eth0    inet6 2001:db8::77/64 scope global temporary dynamic \n")
		}, "addresses", []string{"eth0 192.0.2.11/24"}},
		{"mounts that somebody made", func(write func(name, text string)) {
			write("proc/self/mounts", "/dev/vda1 / ext4 rw 0 0\nproc /proc proc rw 0 0\n/dev/vdb1 /srv/my\\040data xfs rw 0 0\njane@files:/ /mnt/files fuse.sshfs rw 0 0\n/dev/loop3 /mnt/image ext4 rw 0 0\n")
		}, "mounts", []string{"/ ext4", "/mnt/files fuse.sshfs", "/srv/my\\040data xfs"}},
		{"what listens, and for whom", func(write func(name, text string)) {
			write("proc/10/cgroup", "0::/system.slice/nginx.service\n")
			write("proc/11/cgroup", "0::/user.slice/user-1000.slice/session-3.scope\n")
			write("proc/12/cgroup", "1:name=systemd:/system.slice/system-db.slice/db@main.service\n0::/\n")
			write("sockets", `tcp LISTEN 0 511 0.0.0.0:80 0.0.0.0:* users:(("nginx",pid=10,fd=6),("nginx",pid=99,fd=6))
tcp LISTEN 0 5 127.0.0.1:8000 0.0.0.0:* users:(("python3",pid=11,fd=3))
tcp LISTEN 0 5 [::1]%lo:5432 [::]:* users:(("db main",pid=12,fd=3))
tcp LISTEN 0 128 *:22 *:* users:(("sshd",pid=7,fd=3),("systemd",pid=1,fd=90))
tcp LISTEN 0 128 127.0.0.1:6010 0.0.0.0:* users:(("sshd-session",pid=77,fd=3))
tcp LISTEN 0 64 0.0.0.0:2049 0.0.0.0:*
tcp LISTEN 0 4096 0.0.0.0:8080 0.0.0.0:* users:(("docker-proxy",pid=10,fd=4))
`)
		}, "listeners", []string{"tcp/*:22 systemd\t-", "tcp/0.0.0.0:2049 -\t-", "tcp/0.0.0.0:80 nginx\tnginx.service", "tcp/0.0.0.0:8080 docker-proxy\tsession", "tcp/127.0.0.1:8000 python3\tsession", "tcp/[::1]:5432 db_main\tdb@main.service"}},
		{"ports that the kernel gives out, and what it leaves to others", func(write func(name, text string)) {
			write("proc/sys/net/ipv4/ip_local_port_range", "10000\t20000\n")
			write("sockets", `tcp LISTEN 0 5 0.0.0.0:10000 0.0.0.0:* users:(("a",pid=9,fd=3))
tcp LISTEN 0 5 0.0.0.0:20001 0.0.0.0:* users:(("b",pid=9,fd=3))
tcp LISTEN 0 5 0.0.0.0:51820 0.0.0.0:* users:(("c",pid=9,fd=3))
udp UNCONN 0 0 0.0.0.0:12345 0.0.0.0:* users:(("d",pid=9,fd=3))
`)
		}, "listeners", []string{"tcp/0.0.0.0:20001 b\t-", "tcp/0.0.0.0:51820 c\t-", "tcp/0.0.0.0:any a\t-"}},
		{"who answers UDP on each address, whichever there are", func(write func(name, text string)) {
			write("sockets", `udp UNCONN 0 0 0.0.0.0:123 0.0.0.0:* users:(("ntpd",pid=9,fd=3))
udp UNCONN 0 0 192.0.2.11:123 0.0.0.0:* users:(("ntpd",pid=9,fd=3))
udp UNCONN 0 0 192.0.2.99:123 0.0.0.0:* users:(("ntpd",pid=9,fd=3))
udp UNCONN 0 0 [fe80::1]%eth0:123 [::]:* users:(("ntpd",pid=9,fd=3))
udp UNCONN 0 0 127.0.0.1:123 0.0.0.0:* users:(("ntpd",pid=9,fd=3))
udp UNCONN 0 0 127.0.0.1:793 0.0.0.0:* users:(("rpc.statd",pid=9,fd=3))
`)
		}, "listeners", []string{"udp/0.0.0.0:123 ntpd\t-", "udp/127.0.0.1:123 ntpd\t-", "udp/address:123 ntpd\t-"}},
		{"units that failed, but for our own", func(write func(name, text string)) {
			write("units", "a.service loaded failed failed A\nrollpatch-x.service loaded failed failed X\nb.mount not-found failed failed b\nc.service loaded active running C\n")
		}, "failed-units", []string{"a.service", "b.mount"}},
		{"services that run and are wanted", func(write func(name, text string)) {
			write("files", "ssh.service enabled enabled\ngetty@.service enabled enabled\nidle.service enabled enabled\n")
			write("units", "ssh.service loaded active running S\ngetty@tty1.service loaded active running G\nhand.service loaded active running H\nidle.service loaded active exited I\n")
		}, "running-units", []string{"getty@tty1.service", "ssh.service"}},
		{"whether something sets the clock", func(write func(name, text string)) {
			write("units", "chrony.service loaded active running C\nsystemd-timesyncd.service loaded inactive dead T\n")
		}, "time-sync", []string{"yes"}},
		{"or nothing does", func(write func(name, text string)) {
			write("units", "chrony.service loaded inactive dead C\n")
		}, "time-sync", []string{"no"}},
		{"settings that a file is about, and no secret", func(write func(name, text string)) {
			write("etc/sysctl.d/99-own.conf", "# vm.swappiness = 1\n-net.ipv4.tcp_rmem=4096 1 2\nnet/ipv4/conf/eth0.1/forwarding = 1\nnet.ipv4.tcp_fastopen_key = 7\nnet.ipv4.nothing = 1\n")
			write("proc/sys/net/ipv4/ip_forward", "1\n")
			write("proc/sys/net/ipv4/tcp_rmem", "4096\t131072\t6291456\n")
			write("proc/sys/net/ipv4/conf/eth0.1/forwarding", "0\n")
			write("proc/sys/net/ipv4/tcp_fastopen_key", "deadbeef\n")
			write("proc/sys/vm/swappiness", "60\n")
		}, "sysctl", []string{"net.ipv4.ip_forward 1", "net.ipv4.tcp_fastopen_key is set", "net.ipv4.tcp_rmem 4096 131072 6291456", "net/ipv4/conf/eth0.1/forwarding 0"}},
		{"who is there", nil, "users", []string{"root 0 /bin/bash"}},
		{"whom it asks for names", nil, "dns", []string{"nameserver 192.0.2.53"}},
	} {
		t.Run(row.says, func(t *testing.T) {
			t.Parallel()
			root, write := looks(t)
			if row.given != nil {
				row.given(write)
			}
			if got := fingerprintOf(t, root, row.item); !slices.Equal(got, row.want) {
				t.Errorf("%s:\n%s\nwant\n%s", row.item, strings.Join(got, "\n"), strings.Join(row.want, "\n"))
			}
		})
	}
}
