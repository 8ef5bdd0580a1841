#!/bin/sh
# Lets keepalived hold the address again. Nothing changes where it may already.
set -eu
file=/etc/keepalived/drained

printf '0\n' >"$file.new"
sync "$file.new"
mv "$file.new" "$file"
