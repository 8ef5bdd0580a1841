#!/bin/sh
# Runs the script of the run whose folder it lies in, once, and keeps its output and status there. See starter.sh.
set -eu
umask 077
root=${ROLLPATCH_ROOT:-}
[ -n "$root" ] || PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
HOME=${HOME:-/root}
export PATH HOME
run=${0%/*}
base=${run%/runs/*}
cd /

exec 9<"$base/lock"
flock 9
[ ! -e "$run/begun" ] || exit 0
{ read -r _ && read -r seq; } <"$run/run"
read -r host_seq <"$base/seq"
if [ "$seq" -ne "$host_seq" ]; then
	: >"$run/stale"
	exit 0
fi
exec 8>"$run/alive"
flock -n 8
: >"$run/stdout"
: >"$run/stderr"
{
	cat "$root/proc/sys/kernel/random/boot_id"
	date +%s.%N
} >"$run/begun.new"
sync "$run/begun.new"
# Fails where it exists: the lock is not the only thing that keeps a script from beginning twice.
ln "$run/begun.new" "$run/begun"
sync "$run"
exec 9<&-

# The script inherits the lock on alive (8): as long as anything of it lives, the run is not over.
status=0
(
	umask 022
	# shellcheck disable=SC1091 # written by the starter
	. "$run/env"
	exec /bin/sh "$run/script"
) </dev/null >"$run/stdout" 2>"$run/stderr" || status=$?

printf '%s\n' "$status" "$(date +%s.%N)" >"$run/status.new"
sync "$run/stdout" "$run/stderr" "$run/status.new"
mv "$run/status.new" "$run/status"
sync "$run"
