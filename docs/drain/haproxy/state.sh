#!/bin/sh
# Says whether HAProxy gives the server of the member to anybody: in, out or unknown. Server and member have the same name.
set -eu
backend=be
ask() { printf '%s\n' "$1" | socat -t 5 - UNIX-CONNECT:/run/haproxy/admin.sock; }

# The fourth column is the server's name, the seventh its administrative state: bit 1 is "in maintenance by the command set server".
# Whether its health checks pass is no matter of it: that is what the checks of the cluster are for.
admin=$(ask "show servers state $backend" | awk -v name="$ROLLPATCH_HOST" '$4 == name { print $7 }')
case $admin in
'' | *[!0-9]*)
	echo "HAProxy knows no server $backend/$ROLLPATCH_HOST" >&2
	echo unknown
	;;
*)
	if [ $((admin % 2)) -eq 1 ]; then
		echo out
	else
		echo in
	fi
	;;
esac
