// Package activities is what touches the world: one method per step, each a Temporal activity. It knows what a step means and
// what its results are; it must not know how SSH, Consul or a store work, which siblings bring in through the interfaces of
// ports.go.
//
// A verdict is a result, never an error: an error means that the activity itself could not do its work, and is retried. What
// cannot be reached or told is rollout.Inconclusive.
package activities
