#!/bin/sh
# Says whether keepalived may hold the address here: in or out; unknown while it is told not to and still does.
set -eu
file=/etc/keepalived/drained
address=192.0.2.100

drained=0
if [ -e "$file" ]; then
	read -r drained <"$file"
fi
if [ "$drained" = 0 ]; then
	echo in
elif ip -oneline address show | grep -q -F " $address/"; then
	echo unknown
else
	echo out
fi
