#!/bin/sh
# Has a host of the lab write down what happens on it. Its one argument is the program that does.
set -eu
cd /usr/local/sbin
printf '%s' "$1" >lab-trace
chmod 0755 lab-trace
for name in apt-get dpkg systemctl; do
	ln -s lab-trace "$name"
done
: >/var/log/lab-trace
chmod 0666 /var/log/lab-trace

mkdir -p /etc/systemd/system/rollpatch-.service.d
cat >/etc/systemd/system/rollpatch-.service.d/lab-trace.conf <<'UNIT'
[Service]
ExecStartPre=/usr/local/sbin/lab-trace started
ExecStopPost=/usr/local/sbin/lab-trace ended ${SERVICE_RESULT}
UNIT
cat >/etc/apt/apt.conf.d/90lab-trace <<'CONF'
DPkg::Pre-Install-Pkgs { "/usr/local/sbin/lab-trace transaction"; };
DPkg::Tools::Options::/usr/local/sbin/lab-trace::Version "3";
CONF
# Before every command of every session.
echo '/usr/local/sbin/lab-trace login >/dev/null 2>&1' >/etc/ssh/sshrc
/usr/bin/systemctl daemon-reload
