package rollout

// Where records stand in Consul's KV: below RecordsRoot, each kind under a beginning of its own.
const (
	RecordsRoot      = "rollpatch/claims/"
	ClusterRecord    = "cluster/"    // a cluster that is claimed
	DrainRecord      = "drain/"      // a host that is drained
	QuarantineRecord = "quarantine/" // a host that is not touched again
	VersionsRecord   = "versions/"   // versions of packages that are left out, below their cluster
)
