// Package sshrun knows how to reach hosts over SSH: pooled connections, read-only queries, and runs, which begin exactly once
// however often they are asked for. It must not know what a script does, what a campaign is, or when something may run.
//
// The worker's half of a run is [Pool.Run]; the host's half is starter.sh, which comes over stdin of a root shell and whose text says what
// is on disk when. The SSH session only starts the run and follows it. When the session, the worker or the power goes, the run's
// folder on the host decides what has happened, and the next call attaches to it.
//
// Whatever cannot be told is an error, never a state: [ErrUnreachable] for everything that may be over in a moment, [*HostKeyError] and
// [*AuthError] for what a person has to look at.
package sshrun
