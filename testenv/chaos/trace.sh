#!/bin/sh
# Writes down what happens on a host of the lab, one line each in /var/log/lab-trace: time, boot, what, which run did it, and more.
# Units and sshd call it, apt does before each transaction, and it stands before apt-get, dpkg and systemctl in the PATH of runs.
# Whose doing something is, it knows by the control group that it is in: nobody has to tell it.
name=${0##*/}
unit=$(sed -n 's|^.*/\(rollpatch-[0-9a-f]*\.service\).*$|\1|p' /proc/self/cgroup | head -n 1)
if [ "$name" != lab-trace ] && [ -z "$unit" ]; then
	exec "/usr/bin/$name" "$@"
fi
run=
[ -z "$unit" ] || run=$(sed -n 's/^Description=rollpatch run //p' "/run/systemd/transient/$unit")

trace() {
	read -r boot </proc/sys/kernel/random/boot_id
	printf '%s\t%s\t%s\t%s\t%s\n' "$(date +%s.%N)" "$boot" "$1" "$run" "$2" >>/var/log/lab-trace
}

if [ "$name" != lab-trace ]; then
	trace acts "$name $*"
	status=0
	"/usr/bin/$name" "$@" || status=$?
	trace acted "$name $status"
	exit "$status"
fi
what=$1
shift
case $what in
transaction)
	# The third version of what apt tells: settings, an empty line, and packages with both their versions.
	trace "$what" "$(awk 'NF == 0 { seen = 1; next } seen && $9 != "**CONFIGURE**" { printf "%s=%s ", $1, $9 == "**REMOVE**" ? "" : $6 }')"
	;;
*) trace "$what" "$*" ;;
esac
