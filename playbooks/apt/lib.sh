#!/bin/sh
# Comes before each script of this folder. Arguments are in the environment (ROLLPATCH_*), tables go to stdout with tabs between
# their columns, everything else goes to stderr. playbook.yaml says what an exit status means.
set -u
umask 022
root=${ROLLPATCH_ROOT:-}
[ -n "$root" ] || PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
# Nothing may ask a question, and nothing may restart services behind our back: the host is out of service and is about to be rebooted or checked.
DEBIAN_FRONTEND=noninteractive
DEBCONF_NONINTERACTIVE_SEEN=true
APT_LISTCHANGES_FRONTEND=none
NEEDRESTART_SUSPEND=1
NEEDRESTART_MODE=l
UCF_FORCE_CONFFOLD=1
LC_ALL=C
export PATH DEBIAN_FRONTEND DEBCONF_NONINTERACTIVE_SEEN APT_LISTCHANGES_FRONTEND NEEDRESTART_SUSPEND NEEDRESTART_MODE UCF_FORCE_CONFFOLD LC_ALL
unset LANGUAGE

tab=$(printf '\t')
lock_wait=${ROLLPATCH_LOCK_WAIT:-600}
archives=$root/var/cache/apt/archives
work=$(mktemp -d) || exit 20
# More is added to it by who needs more undone.
on_exit() { :; }
trap 'status=$?; on_exit; rm -rf "$work"; exit "$status"' EXIT
trap 'exit 143' TERM
trap 'exit 130' INT
trap 'exit 129' HUP

say() { printf '%s\n' "$*" >&2; }

die() {
	status=$1
	shift
	say "$*"
	exit "$status"
}

case $lock_wait in
'' | *[!0-9]*) die 2 "ROLLPATCH_LOCK_WAIT: \"$lock_wait\" is not a number of seconds" ;;
esac

# list VARIABLE TEXT COLUMN...: the rows of an argument, each with these columns, in $work/VARIABLE. Names and versions are checked: they
# become arguments of apt-get.
list() {
	variable=$1
	printf '%s\n' "$2" | sed '/^$/d' >"$work/$variable"
	shift 2
	awk -F '\t' -v columns="$*" '
		BEGIN { n = split(columns, kind, " ") }
		NF != n { bad = 1 }
		{
			for (i = 1; i <= NF && i <= n; i++) {
				if (kind[i] == "name" && $i !~ /^[a-z0-9][a-z0-9+.-]+(:[a-z0-9-]+)?$/) bad = 1
				if (kind[i] == "wanted" && $i !~ /^[+]?[a-z0-9][a-z0-9+.-]+(:[a-z0-9-]+)?$/) bad = 1
				if (kind[i] == "version" && $i !~ /^[0-9][A-Za-z0-9.+:~-]*$/) bad = 1
				if (kind[i] == "digest" && $i !~ /^[0-9a-f]+$/) bad = 1
				if (kind[i] == "file" && $i !~ /^[a-z0-9][A-Za-z0-9+.~%_-]*[.]deb$/) bad = 1
				if (kind[i] == "version-" && $i !~ /^(-|[0-9][A-Za-z0-9.+:~-]*)$/) bad = 1
			}
		}
		bad { print NR ": " $0; exit 1 }
	' "$work/$variable" >&2 || die 2 "$variable: a row is not: $*"
}

native=
ledger=/nonexistent
# table: what dpkg holds, as name, version, architecture, wanted (install or hold), status, installed size, and the source's name and version.
# Packages of another architecture than the host's are name:architecture, as apt names them.
table() {
	[ -n "$native" ] || native=$(dpkg --print-architecture) || die 20 "dpkg does not tell its architecture"
	# shellcheck disable=SC2016 # fields of dpkg-query, not of the shell
	dpkg-query -W -f '${Package}\t${Version}\t${Architecture}\t${db:Status-Want}\t${db:Status-Status}\t${Installed-Size}\t${source:Package}\t${source:Version}\n' >"$work/query" ||
		die 20 "dpkg-query does not answer"
	awk -F '\t' -v OFS='\t' -v native="$native" '
		$5 == "not-installed" || $5 == "config-files" { next }
		$3 != native && $3 != "all" { $1 = $1 ":" $3 }
		{ print }
	' "$work/query"
}

# clean: whether dpkg has nothing left to do or to complain of.
clean() {
	audit=$(dpkg --audit 2>&1) || return 1
	[ -z "$audit" ]
}

preferences=
# leave_out: what ROLLPATCH_LEAVE_OUT lists (name, version) is nothing that apt would install, until the script ends: exactly these versions, and
# what cannot go without them. The host's own pins count beside it, but for these versions; nothing is written below /etc.
leave_out() {
	list LEAVE_OUT "${ROLLPATCH_LEAVE_OUT:-}" name version
	[ -s "$work/LEAVE_OUT" ] || return 0
	preferences=$work/preferences
	# apt reads this file before preferences.d, and of several pins of one version takes the first.
	awk -F '\t' '{ printf "Package: %s\nPin: version %s\nPin-Priority: -1\n\n", $1, $2 }' "$work/LEAVE_OUT" >"$preferences"
	own=
	eval "$(apt-config shell own Dir::Etc::preferences/f)"
	[ ! -e "$own" ] || cat "$own" >>"$preferences" || die 20 "$own cannot be read"
}

alone=
# apt: with alone set it knows of no repository, so that a file that is named is the file that is taken: to apt, one of the same name, version and
# dependencies from a repository is the same.
apt() {
	[ -z "$alone" ] || set -- -o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::sourceparts=/dev/null -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= "$@"
	apt-get -q -y -o DPkg::Lock::Timeout="$lock_wait" -o Dpkg::Use-Pty=0 \
		${preferences:+-o "Dir::Etc::preferences=$preferences"} \
		-o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold \
		-o APT::Get::Always-Include-Phased-Updates=true "$@" </dev/null
}

holders() {
	for file in var/lib/dpkg/lock-frontend var/lib/dpkg/lock var/lib/apt/lists/lock var/cache/apt/archives/lock; do
		inode=$(stat -c %i "$root/$file" 2>/dev/null) || continue
		# shellcheck disable=SC2013 # process numbers are words
		for pid in $(awk -v inode=":$inode\$" '$6 ~ inode && $5 > 0 { print $5 }' "$root/proc/locks" 2>/dev/null); do
			say "/$file is held by process $pid ($(cat "$root/proc/$pid/comm" 2>/dev/null || echo unknown))"
		done
	done
}

locked='Could not get lock|Unable to lock|Unable to acquire the dpkg|was locked by another process|is another process using it'

# patiently COMMAND: runs it; again while another process has a lock, since neither apt nor dpkg waits for all of theirs. What it
# said is on stderr and in $work/said.
patiently() {
	until=$(($(date +%s) + lock_wait))
	while :; do
		status=0
		"$@" 2>"$work/said" || status=$?
		cat "$work/said" >&2
		[ "$status" -ne 0 ] && grep -qE "$locked" "$work/said" || return "$status"
		[ "$(date +%s)" -lt "$until" ] || return "$status"
		holders
		sleep 2
	done
}

# explain: the exit status for a package manager that failed, from what it said.
explain() {
	if grep -qE "$locked" "$work/said"; then
		holders
		return 11
	fi
	grep -qE "have enough free space|No space left on device" "$work/said" && return 13
	grep -qE "Version '.*' for '.*' was not found|Unable to locate package|no installation candidate|held broken packages|unmet dependencies" "$work/said" && return 12
	grep -qE "Failed to fetch|Unable to fetch|is not signed|not valid yet|is expired|Hash Sum mismatch|Some index files failed|couldn't be verified|does not have a Release file|cannot be authenticated" "$work/said" && return 14
	return 20
}

# must WHAT COMMAND: runs it patiently, or ends the script with the status that fits.
must() {
	what=$1
	shift
	patiently "$@" && return 0
	explain
	die "$?" "$what: apt or dpkg failed, see above"
}

# simulate FILE ARGUMENTS: what apt-get would do, as name, old, new (- for none), origin.
simulate() {
	into=$1
	shift
	patiently apt -s "$@" >"$work/simulated" || {
		cat "$work/simulated" >&2
		explain
		return "$?"
	}
	awk -v OFS='\t' '
		/^Inst / {
			old = "-"; i = 3
			if ($3 ~ /^\[/) { old = substr($3, 2, length($3) - 2); i = 4 }
			new = substr($i, 2)
			origin = ""
			for (i++; i <= NF && $i !~ /^\[/; i++) origin = origin (origin == "" ? "" : " ") $i
			sub(/\)$/, "", new); sub(/\)$/, "", origin)
			print $2, old, new, origin
		}
		/^Remv / { print $2, substr($3, 2, length($3) - 2), "-", "" }
	' "$work/simulated" | sort -u >"$into"
}

# pause_timers: what would start apt by itself is stopped until the script ends. A file under /run remembers it, for a script that was
# killed: after a reboot the timers start by themselves and the file is gone.
pause_timers() {
	command -v systemctl >/dev/null 2>&1 || return 0
	paused=$root/run/rollpatch-paused
	for unit in apt-daily.timer apt-daily-upgrade.timer; do
		if systemctl is-active --quiet "$unit" 2>/dev/null; then
			echo "$unit" >>"$paused"
			systemctl stop "$unit" || die 20 "$unit cannot be stopped"
		fi
	done
	# shellcheck disable=SC2317 # called by the trap
	on_exit() {
		[ -e "$paused" ] || return 0
		sort -u "$paused" | while read -r unit; do
			systemctl start "$unit" || say "$unit was stopped and cannot be started again"
		done
		rm -f "$paused"
	}
}

# remember_auto: which packages apt may remove by itself is the choice of the host's owner. Naming a package to apt-get changes it.
remember_auto() { apt-mark showauto 2>/dev/null | sort >"$work/auto" || die 20 "apt-mark does not answer"; }

# restore_auto FILE: FILE holds the names that were automatic, one per line.
restore_auto() {
	[ -s "$1" ] || return 0
	# shellcheck disable=SC2046 # one word per name
	apt-mark auto $(cat "$1") >/dev/null || say "apt-mark: the packages that were installed automatically are now marked as chosen by hand"
}

# ledger: the folder that keeps both sides of the transaction: the ways back, and below it in new what the transaction brings.
ledger() {
	case ${ROLLPATCH_LEDGER:-} in
	'' | .* | *[!A-Za-z0-9._-]*) die 2 "ROLLPATCH_LEDGER: \"${ROLLPATCH_LEDGER:-}\" is not a name" ;;
	esac
	ledger=$root/var/lib/rollpatch/ledger/$ROLLPATCH_LEDGER
	(umask 077 && mkdir -p "$ledger") || die 13 "$ledger cannot be made"
}

# what_soaked: ROLLPATCH_FILES lists the package files that the canary got: name, version, sha256, file name. In $work/FILES.
what_soaked() { list FILES "${ROLLPATCH_FILES:-}" name version digest file; }

# soaked NAME VERSION: the path of that very file in the ledger. A status other than 0: it is not there.
soaked() {
	awk -F '\t' -v OFS='\t' -v name="$1" -v version="$2" '$1 == name && $2 == version { print $3, $4 }' "$work/FILES" | {
		IFS=$tab read -r digest file || return 1
		[ -s "$ledger/new/$file" ] && [ "$(sha256sum "$ledger/new/$file" | cut -d ' ' -f 1)" = "$digest" ] && printf '%s\n' "$ledger/new/$file"
	}
}

# in_ledger NAME VERSION: the path of the file that fetch kept for it, after table told the architecture. A status other than 0: there is none.
in_ledger() {
	for file in "$ledger/new/${1%:*}_$(printf '%s' "$2" | sed 's/:/%3a/g')"_*.deb; do
		[ -s "$file" ] || continue
		case $1 in
		*:*) case $file in *"_${1##*:}.deb") ;; *) continue ;; esac ;;
		*) case $file in *"_$native.deb" | *_all.deb) ;; *) continue ;; esac ;;
		esac
		printf '%s\n' "$file"
		return 0
	done
	return 1
}

# keep_new FILE: FILE holds name, version of what the transaction brings; afterwards each one's file is in the ledger, and on stdout is a row of it.
# It stays there for the members that come later, when the repository has it no more.
keep_new() {
	mkdir -p "$ledger/new" || die 13 "$ledger/new cannot be made"
	while IFS=$tab read -r name version; do
		if ! path=$(in_ledger "$name" "$version"); then
			for file in "$archives/${name%:*}_$(printf '%s' "$version" | sed 's/:/%3a/g')"_*.deb; do
				[ -s "$file" ] || continue
				ln -f "$file" "$ledger/new/" 2>/dev/null || {
					cp "$file" "$ledger/new/.part" && mv "$ledger/new/.part" "$ledger/new/${file##*/}"
				} || die 13 "$ledger/new cannot hold ${file##*/}"
			done
			# A repository that is a folder of the host leaves nothing in apt's cache.
			path=$(in_ledger "$name" "$version") || {
				(cd "$ledger/new" && patiently apt download "$name=$version" >&2) || {
					explain
					die "$?" "the file of $name $version is not to be had"
				}
				path=$(in_ledger "$name" "$version") || die 20 "the file of $name $version is not where apt should have put it"
			}
		fi
		printf 'file\t%s\t%s\t%s\t%s\t%s\n' "$name" "$version" "$(sha256sum "$path" | cut -d ' ' -f 1)" "$(stat -c %s "$path")" "${path##*/}"
	done <"$1"
	sync "$ledger/new"/*.deb "$ledger/new" 2>/dev/null || sync
}

# file_of NAME VERSION ARCHITECTURE: how apt calls a package's file.
file_of() { printf '%s_%s_%s.deb\n' "${1%:*}" "$(printf '%s' "$2" | sed 's/:/%3a/g')" "$3"; }

# unpack_again: unpacks anew, from what was fetched, every package that was cut off in the middle of being unpacked. dpkg configures none of
# those, and nothing else until they are whole.
unpack_again() {
	# shellcheck disable=SC2016 # fields of dpkg-query, not of the shell
	dpkg-query -W -f '${Package}\t${db:Status-Eflag}\n' | awk -F '\t' '$2 == "reinstreq" { print $1 }' >"$work/torn"
	[ -s "$work/torn" ] || return 1
	set --
	while read -r name; do
		new=$(awk -F '\t' -v name="$name" '$1 == name || index($1, name ":") == 1 { print $3; exit }' "$work/CHANGES")
		found=$(in_ledger "$name" "$new") || for file in "$archives/${name}_$(printf '%s' "$new" | sed 's/:/%3a/g')"_*.deb; do
			[ ! -s "$file" ] || found=$file
		done
		[ -n "$found" ] || {
			say "$name was cut off while it was unpacked, and the file of $name $new is not in $archives"
			return 1
		}
		set -- "$@" "$found"
	done <"$work/torn"
	say "unpacking anew what was cut off: $(tr '\n' ' ' <"$work/torn")"
	patiently dpkg --force-confdef --force-confold --unpack "$@" >&2
}

# secure FILE: FILE holds name, version, architecture; afterwards $work/back holds name, version, path of its package file in the ledger (- when it
# is not to be had).
secure() {
	: >"$work/absent"
	while IFS=$tab read -r name version arch; do
		file=$(file_of "$name" "$version" "$arch")
		[ ! -s "$ledger/$file" ] || continue
		if [ -s "$archives/$file" ] && cp "$archives/$file" "$ledger/.$file" && mv "$ledger/.$file" "$ledger/$file"; then
			continue
		fi
		echo "$name=$version" >>"$work/absent"
	done <"$1"
	if [ -s "$work/absent" ]; then
		# All at once is quick. When one of them fails, each alone tells which.
		# shellcheck disable=SC2046 # one word per package
		(cd "$ledger" && patiently apt download $(cat "$work/absent") >&2) ||
			while read -r wanted; do
				(cd "$ledger" && patiently apt download "$wanted" >&2) || say "$wanted is not to be had"
			done <"$work/absent"
	fi
	while IFS=$tab read -r name version arch; do
		file=$(file_of "$name" "$version" "$arch")
		path=-
		if [ -s "$ledger/$file" ] && [ "$(dpkg-deb -f "$ledger/$file" Version 2>/dev/null)" = "$version" ]; then
			path=$ledger/$file
		fi
		printf '%s\t%s\t%s\n' "$name" "$version" "$path"
	done <"$1" >"$work/back"
	[ ! -s "$work/back" ] || sync "$ledger"/*.deb "$ledger" 2>/dev/null || sync
}
