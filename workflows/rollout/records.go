package rollout

// Where records stand in Consul's KV: below RecordsRoot, each kind under a beginning of its own.
const (
	RecordsRoot      = "rollpatch/claims/"
	ClusterRecord    = "cluster/"    // a cluster that is claimed
	DrainRecord      = "drain/"      // a host that is drained
	QuarantineRecord = "quarantine/" // a host that is not touched again
	VersionsRecord   = "versions/"   // versions of packages that are left out, below their cluster
)

// Everywhere stands in the place of a cluster's name where a person has versions left out on every cluster; no cluster can be named so.
const Everywhere = "+all"

// StagedRoot is where it stands which versions have finished in which stage, below the stage and the cluster.
const StagedRoot = "rollpatch/staged/"

// TookRoot is where it stands how long members took: the last of each cluster, and the last of each platform.
const (
	TookRoot     = "rollpatch/took/"
	TookCluster  = "cluster/"
	TookPlatform = "platform/"
)
