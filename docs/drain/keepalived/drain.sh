#!/bin/sh
# Has keepalived give the address away and not take it again, also after a reboot. Nothing changes where that is so already.
set -eu
file=/etc/keepalived/drained
address=192.0.2.100

printf '1\n' >"$file.new"
sync "$file.new"
mv "$file.new" "$file"

# A peer takes the address within a few seconds.
tries=0
while ip -oneline address show | grep -q -F " $address/"; do
	tries=$((tries + 1))
	if [ "$tries" -gt 30 ]; then
		echo "keepalived still holds $address after 30 s" >&2
		exit 1
	fi
	sleep 1
done
