#!/bin/sh
# Starts a run on this host exactly once, or attaches to it, and follows it to its end.
#
# Comes over stdin of `sh -s`, after assignments of mode (start or attach), nonce, id, seq, lane, limit (bytes of output to send) and, to start:
# digest, unit, deadline (seconds), script, env and wrapper; and to prune as well: prune_days, prune_keep and unfinished (instances). Nothing of
# it shows in a process list.
#
# A lane has a folder, numbers and a lock of its own: what one host does for several others at a time does not outnumber each other.
#
# To attach starts nothing. What has begun is followed, whatever its script; what has not, never will.
#
# What is on disk decides, in this order:
#   runs/.new-<id>   written, not yet numbered: no start has been promised
#   seq              the host's number; written before the folder gets its name, so that no two runs ever hold one number
#   runs/<id>        the run is known: only this script and these arguments may ever run under its id
#   runs/.withdrawn-<id>  the run had not begun when it was attached to, and never will
#   runs/.old-<id>   a run of an instance that ended long ago, on its way out
#   runs/<id>/begun  made by the wrapper as its first act: the script has begun, and never begins again. In which boot, and when
#   runs/<id>/alive  locked by the wrapper and all that it started, for as long as one of them lives
#   runs/<id>/status the script's exit status, and when it ended
# Beside them lie script, env, wrapper, stdout, stderr, and run: digest, number, unit and deadline. Little is more: every file is
# synced, and the host may be out of service meanwhile.
# The wrapper begins under the same lock as a start is accepted, and only while its number is still the host's: a unit that
# starts late, after a higher number was accepted, does nothing.
# shellcheck disable=SC2154 # assigned before this text
set -eu
umask 077
[ -n "${ROLLPATCH_ROOT:-}" ] || PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export PATH
root=${ROLLPATCH_ROOT:-}
base=$root/var/lib/rollpatch${lane:+/for/$lane}
runs=$base/runs
run=$runs/$id
why=

fail() {
	printf 'rollpatch: %s\n' "$1" >&2
	exit 70
}

number() {
	host_seq=0
	if [ -e "$base/seq" ]; then
		read -r host_seq <"$base/seq" || fail "$base/seq cannot be read"
	fi
	case $host_seq in
	'' | *[!0-9]*) fail "$base/seq does not hold a number" ;;
	esac
}

# Whether the folder holds the run that is asked for.
same() {
	read -r known <"$1/run" || fail "$1/run cannot be read"
	[ "$known" = "$digest" ]
}

# What the folder says of its run.
recall() {
	{ read -r digest && read -r seq && read -r unit && read -r deadline; } <"$run/run" || fail "$run/run cannot be read"
}

header() {
	printf 'state\t%s\n' "$1"
	[ -z "${2:-}" ] || printf 'reason\t%s\n' "$2"
}

finish() {
	printf 'end\n'
	exit 0
}

refuse() {
	header stale "$1"
	finish
}

# Makes this run's number the host's.
take() {
	printf '%s\n' "$seq" >"$base/seq.new"
	sync "$base/seq.new"
	mv "$base/seq.new" "$base/seq"
	sync "$base"
}

# Whether the run is one of an instance that has not ended. An id begins with its instance, whose name may hold dots.
unfinished() {
	for instance in $unfinished; do
		case $1 in "$instance".*) return 0 ;; esac
	done
	return 1
}

# Removes folders of old runs, as far as asked to: not the newest ones, nor those of instances that have not ended, nor that of a run which
# still lives. Ids of instances that ended are not asked for again; the number, which keeps what is stale away, stays. What it cannot do
# stops nothing.
prune() {
	[ "${prune_days:-0}" -gt 0 ] || return 0
	rm -rf "$runs"/.old-*
	before=$(($(date +%s) - prune_days * 86400))
	removed=0
	# A folder's time is that of the last file that came into it: its status.
	find "$runs" -mindepth 1 -maxdepth 1 -type d ! -name '.*' -printf '%T@ %f\n' | sort -rn | tail -n +"$((prune_keep + 1))" | while read -r at old; do
		if [ "${at%.*}" -ge "$before" ] || unfinished "$old"; then
			continue
		fi
		if [ ! -e "$runs/$old/status" ] && [ -e "$runs/$old/alive" ] && ! flock -s -n "$runs/$old/alive" true; then
			continue
		fi
		mv "$runs/$old" "$runs/.old-$old" || continue
		rm -rf "$runs/.old-$old"
		removed=$((removed + 1))
		[ "$removed" -lt 100 ] || break
	done
}

# In a lane one run ends before the next begins: a drain that goes on would undo the undrain that was begun after it.
alone() {
	[ -n "$lane" ] || return 0
	for other in "$runs"/*/alive; do
		folder=${other%/alive}
		if [ -e "$other" ] && [ ! -e "$folder/status" ] && ! flock -s -n "$other" true; then
			fail "run ${folder##*/} goes on for ${lane#*/}: it ends first"
		fi
	done
}

# Makes the run known to the host, or finds that it is.
accept() {
	if [ -d "$run" ]; then
		same "$run" || refuse "the host knows this run with another script or other arguments"
		return 0
	fi
	new=$runs/.new-$id
	number
	if [ "$seq" -eq "$host_seq" ] && [ -d "$new" ]; then
		# Power was cut after the number was taken for it, before it got its name.
		same "$new" || refuse "the host knows this run with another script or other arguments"
	elif [ "$seq" -le "$host_seq" ]; then
		refuse "number $seq is not above $host_seq, the highest that the host has seen"
	else
		alone
		prune || :
		rm -rf "$runs"/.new-* "$runs"/.withdrawn-*
		mkdir "$new"
		printf '%s' "$script" >"$new/script"
		printf '%s' "$env" >"$new/env"
		printf '%s' "$wrapper" >"$new/wrapper"
		printf '%s\n' "$digest" "$seq" "$unit" "$deadline" >"$new/run"
		sync "$new"/* "$new"
		take
	fi
	mv "$new" "$run"
	sync "$runs"
}

# Starts the unit of a known run that has not begun. More often than once does no harm: the wrapper begins once.
launch() {
	[ ! -e "$run/begun" ] || return 0
	recall
	number
	[ "$seq" -eq "$host_seq" ] || refuse "the host has seen number $host_seq since; this run never began"
	if command -v systemd-run >/dev/null 2>&1 && { [ -n "$root" ] || [ -d /run/systemd/system ]; }; then
		why=$(systemd-run --quiet --no-block --collect --unit="$unit" --description="rollpatch run $id" \
			--property=RuntimeMaxSec="$deadline" --property=IgnoreSIGPIPE=no \
			/bin/sh "$run/wrapper" 2>&1 </dev/null 9>&-) || why="systemd-run: $why"
	else
		setsid timeout -k 90 "$deadline" /bin/sh "$run/wrapper" </dev/null >/dev/null 2>&1 9>&- &
	fi
}

# Makes sure that a run which has not begun never does: where its folder goes, neither its unit nor a start of it finds it. While its number is
# still the host's, nothing newer has come, and the next number may be asked for in its place.
withdraw() {
	[ ! -e "$run/begun" ] || return 0
	number
	[ "$seq" -ge "$host_seq" ] || refuse "number $seq is below $host_seq, the highest that the host has seen; this run never began"
	aside=$runs/.withdrawn-$id
	for folder in "$run" "$runs/.new-$id"; do
		[ -d "$folder" ] || continue
		rm -rf "$aside"
		mv "$folder" "$aside"
		sync "$runs"
	done
	if [ "$seq" -gt "$host_seq" ]; then
		# The host has not heard of it: its number is used up, so that a start of it which comes late is refused.
		mkdir -p "$aside"
		sync "$runs"
		take
	fi
	[ -d "$aside" ] || refuse "number $seq is another run's; the highest that the host has seen is $host_seq"
	header absent "it had not begun, and never will"
	finish
}

beat() {
	printf 'beat\t%s\n' "$(tail -c 400 "$run/stderr" | tail -n 1 | LC_ALL=C tr -cd '[:print:]')"
}

# 0: nothing of the run lives any more; 75: something does.
ended() {
	rc=0
	flock -s "$@" -E 75 8 || rc=$?
	case $rc in
	0 | 75) return "$rc" ;;
	*) fail "flock $run/alive: status $rc" ;;
	esac
}

follow() {
	tries=0
	while [ ! -e "$run/begun" ] && [ ! -e "$run/stale" ]; do
		[ -d "$run" ] || refuse "this run was withdrawn before it began"
		tries=$((tries + 1))
		[ "$tries" -le 500 ] || fail "unit $unit was started and did not begin. ${why:-}"
		sleep 0.02
	done
	[ -e "$run/begun" ] || return 0
	beat
	exec 8<"$run/alive"
	# A daemon that the script left behind may keep the lock: the status counts before it.
	until ended -w 2 || [ -e "$run/status" ]; do
		beat
	done
}

body() {
	size=$(wc -c <"$run/$1")
	[ "$size" -le "$limit" ] || size=$limit
	printf '%s\t%s\n' "$1" "$size"
	head -c "$size" "$run/$1"
}

report() {
	if [ ! -e "$run/begun" ]; then
		refuse "a higher number came before its unit began; this run never began"
	fi
	{ read -r boot && read -r started; } <"$run/begun" || fail "$run/begun cannot be read"
	printf 'boot\t%s\nstarted\t%s\nkept\t%s\n' "$boot" "$started" "${run#"$root"}"
	exec 8<"$run/alive"
	# Asked before the status is looked at: who ended in between has written it.
	over=0
	ended -n || over=$?
	if [ -e "$run/status" ]; then
		{ read -r status && read -r at; } <"$run/status" || fail "$run/status cannot be read"
		header exited
		printf 'exit\t%s\nended\t%s\n' "$status" "$at"
	elif [ "$over" -ne 0 ]; then
		header running
		beat
		finish
	else
		recall
		read -r now <"$root/proc/sys/kernel/random/boot_id"
		if [ "$now" != "$boot" ]; then
			header interrupted "the host restarted before the run ended: it began in boot $boot, this is boot $now"
		elif [ "$(date +%s)" -ge "$((${started%.*} + deadline))" ]; then
			header interrupted "ended by the host at its deadline of $deadline s"
		else
			header interrupted "it was killed before it wrote a status"
		fi
	fi
	body stdout
	body stderr
	finish
}

printf '\n@rollpatch %s\n' "$nonce"
mkdir -p "$runs"
exec 9>"$base/lock"
flock -w 60 9 || fail "$base/lock is held by another start for more than 60 s"
if [ "$mode" = start ]; then
	accept
	launch
else
	withdraw
fi
exec 9>&-
follow
report
