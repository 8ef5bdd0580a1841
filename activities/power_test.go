package activities

import (
	"errors"
	"testing"
	"time"

	"github.com/rollpatch/rollpatch/workflows/plan"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

func TestPower(t *testing.T) {
	given := func(change func(w *world)) func(w *world, p *plan.Part, in *StepInput) {
		return func(w *world, p *plan.Part, in *StepInput) {
			w.boots = []any{lost{}}
			w.records["cluster/web"] = Claim{Key: "cluster/web", Owner: instance, Server: theServer}
			if change != nil {
				change(w)
			}
		}
	}
	cycled := func(want int) func(t *testing.T, w *world, r StepResult) {
		return func(t *testing.T, w *world, r StepResult) {
			if w.did("cycle web-1") != want || r.Nothing != (want == 0) {
				t.Errorf("cycled %d times, left alone %t; want %d times", w.did("cycle web-1"), r.Nothing, want)
			}
		}
	}
	tell(t, "power", (*Activities).Power, []stepRow{
		{"of a host that cannot be reached it is cycled, once", given(nil), rollout.Pass, "its power was cycled", cycled(1)},
		{"what the program came to nobody knows when it fails", given(func(w *world) { w.broken = errors.New("exit status 3") }), rollout.Fail, "exit status 3", cycled(1)},
		{"one that answers again is left alone", given(func(w *world) { w.boots = []any{"boot-b"} }), rollout.Pass, "it answers again, in boot boot-b", cycled(0)},
		{"and one that answers with another host key", given(func(w *world) { w.boots = []any{keyError{}} }), rollout.Inconclusive, "host key changed", cycled(0)},
		{"and one of which nothing certain is known", given(func(w *world) { w.boots = []any{errors.New("not a boot id")} }), rollout.Inconclusive, "not a boot id", cycled(0)},
		{"and every host of a frozen estate", given(func(w *world) { w.frozen = "frozen by ann" }), rollout.Inconclusive, "frozen by ann", cycled(0)},
		{"also when nobody knows whether it is", given(func(w *world) { w.unfrozen = errors.New("no server") }), rollout.Inconclusive, "whether the estate is frozen: no server", cycled(0)},
		{"and one whose worker was away between the question and the answer", given(func(w *world) { w.slow = powerWithin + time.Second }), rollout.Inconclusive, "the worker was away", cycled(0)},
		{"and one whose claim is another's", given(func(w *world) { w.records = map[string]Claim{} }), rollout.Inconclusive, "is not ours", cycled(0)},
	})
}
