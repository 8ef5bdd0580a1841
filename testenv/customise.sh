#!/bin/sh
# Makes a bootstrapped Debian root into the base of the lab's hosts. Runs inside it.
set -eu

# What tells one host from another is written when a host is made.
rm -f /etc/ssh/ssh_host_* /etc/machine-id /var/lib/dbus/machine-id
: >/etc/machine-id
: >/etc/apt/sources.list
: >/var/log/dpkg.log
rm -f /var/log/apt/* /var/log/bootstrap.log /var/log/alternatives.log

# The user that patches. Unrestricted sudo is what most sites start from; narrowing it is a matter of its own.
useradd --create-home --shell /bin/bash patch
printf 'patch ALL=(ALL) NOPASSWD: ALL\n' >/etc/sudoers.d/patch
chmod 0440 /etc/sudoers.d/patch

# Which daemons run is a matter of the host's role.
systemctl disable nginx.service redis-server.service
rm -f /etc/nginx/sites-enabled/default

# As on many servers, they are there; a test that wants a host to update itself turns them on.
systemctl disable unattended-upgrades.service
rm -f /etc/apt/apt.conf.d/20auto-upgrades

systemctl enable systemd-networkd.service
# It waits for a router that the lab does not have, and holds nginx back for as long.
systemctl mask systemd-networkd-wait-online.service

# A cache is asked from other hosts.
mkdir -p /etc/systemd/system/redis-server.service.d
cat >/etc/systemd/system/redis-server.service.d/lab.conf <<'UNIT'
[Service]
ExecStart=
ExecStart=/usr/bin/redis-server /etc/redis/redis.conf --supervised systemd --daemonize no --bind 0.0.0.0 --protected-mode no
UNIT

useradd --system --home-dir /var/lib/consul --create-home --shell /usr/sbin/nologin consul
mkdir -p /etc/consul.d
cat >/etc/systemd/system/consul.service <<'UNIT'
[Unit]
Description=Consul client agent
Wants=network-online.target
After=network.target systemd-networkd.service

[Service]
User=consul
ExecStart=/usr/local/bin/consul agent -config-dir=/etc/consul.d
ExecReload=/bin/kill -HUP $MAINPID
KillSignal=SIGTERM
Restart=always
RestartSec=1

[Install]
WantedBy=multi-user.target
UNIT
systemctl enable consul.service
