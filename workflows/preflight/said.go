package preflight

// What is found without the host's own facts, by who asked for it.

// NoAccess is a host that could not be asked; user and address are how.
func NoAccess(host, user, address, why string) Finding {
	return Finding{Check: Access, Host: host, Severity: Severe, What: why, Remedy: "try the same by hand: ssh " + user + "@" + address + " sudo -n /bin/sh -c true"}
}

// Unclean is a package database in which something is half done.
func Unclean(host string) Finding {
	return Finding{Check: Packages, Host: host, Severity: Severe, What: "its package database is not clean", Remedy: "run dpkg --configure -a there, or apt-get --fix-broken install"}
}

// Locked is a package database that somebody else uses.
func Locked(host, why string) Finding {
	return Finding{Check: Packages, Host: host, Severity: Warning, What: "its package lock is taken: " + why, Remedy: "wait until that has ended; see who has it: fuser -v /var/lib/dpkg/lock-frontend"}
}

// NoUpgrade is a package manager that cannot say what it would do.
func NoUpgrade(host, why string) Finding {
	return Finding{Check: Packages, Host: host, Severity: Severe, What: "what it would get cannot be told: " + why, Remedy: "look at it there: apt-get -s dist-upgrade"}
}

// NoRepository is one that cannot be reached, or whose signature is not valid.
func NoRepository(host, why string) Finding {
	return Finding{Check: Repository, Host: host, Severity: Severe, What: "a repository cannot be read: " + why, Remedy: "see the whole of it there: apt-get update; a key that has expired is renewed in /etc/apt/keyrings or /usr/share/keyrings"}
}

// NoConsul is a Consul that does not tell what is asked of it.
func NoConsul(host, why string) Finding {
	return Finding{Check: Consul, Host: host, Severity: Warning, What: "Consul could not be asked: " + why, Remedy: "consul.hosts and consul.token of the inventory say how it is asked; docs/check.md lists what the token must allow"}
}

// OutOfService is a member that nobody is sent to.
func OutOfService(host, cluster, why string) Finding {
	return Finding{Check: InService, Host: host, Severity: Warning, What: "it is not in service in " + cluster + ": " + why, Remedy: "put it back, or mend it: a cluster that is one short cannot spare another"}
}

// Shut is a host in quarantine.
func Shut(host, since, by, why string) Finding {
	return Finding{Check: Quarantine, Host: host, Severity: Severe, What: "it is in quarantine since " + since + " by " + by + ": " + why, Remedy: "look at it, then: rollpatch quarantine release " + host}
}
