// Package workflows carries out what the rules of package rollout decide: one Temporal workflow per campaign, cluster and
// member. It decides nothing by itself, and touches nothing: every step is an activity.
//
// The three workflows have one shape: ask Next, start what is not in flight, await a completion, a message or the time to look
// again, apply it, repeat. Their whole memory is one State: input, query answer and continue-as-new argument.
package workflows
