package testrun

import (
	"context"
	"io"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestTogether(t *testing.T) {
	var got []string
	for _, batch := range together([]group{{name: "lint"}, {name: "unit"}, {name: "lab", lane: "hosts"}, {name: "faults", lane: "fleet"}, {name: "rolling", lane: "hosts"}, {name: "last"}}) {
		var names []string
		for _, g := range batch {
			names = append(names, g.name)
		}
		got = append(got, strings.Join(names, "+"))
	}
	if want := []string{"lint", "unit", "lab+faults+rolling", "last"}; !slices.Equal(got, want) {
		t.Errorf("batches %q, want %q", got, want)
	}
}

// Each lane's first group waits for the other's: run one after the other, neither would end.
func TestLanesRunBesideEachOther(t *testing.T) {
	meet := make(chan string)
	var order []string
	step := func(name string, do func(ctx context.Context) error) []check {
		return []check{{name, func(ctx context.Context, _ machine) (string, error) { return "", do(ctx) }}}
	}
	batch := []group{
		{name: "lab", lane: "hosts", checks: step("meets", func(ctx context.Context) error {
			select {
			case meet <- "lab":
			case <-ctx.Done():
			}
			order = append(order, "lab")
			return ctx.Err()
		})},
		{name: "faults", lane: "fleet", checks: step("meets", func(ctx context.Context) error {
			select {
			case <-meet:
			case <-ctx.Done():
			}
			return ctx.Err()
		})},
		{name: "rolling", lane: "hosts", checks: step("comes after", func(context.Context) error {
			order = append(order, "rolling")
			return nil
		})},
	}
	var out strings.Builder
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // lanes that wait for each other for ever are told, and end
	defer cancel()
	results := runBatch(ctx, batch, machine{log: io.Discard}, &out)
	if got := strings.Join(order, " "); got != "lab rolling" {
		t.Errorf("the lane of the hosts ran %q, want lab rolling", got)
	}
	for i, want := range []string{"lab", "faults", "rolling"} {
		if i >= len(results) {
			t.Fatalf("%d groups ran, want %s as well", len(results), want)
		}
		if results[i].Name != want || results[i].Passed != 1 {
			t.Errorf("result %d is %+v, want one pass of %s", i, results[i], want)
		}
	}
	for line := range strings.Lines(out.String()) {
		if !strings.HasPrefix(line, "lab: ") && !strings.HasPrefix(line, "faults: ") && !strings.HasPrefix(line, "rolling: ") {
			t.Errorf("line %q does not say whose it is", line)
		}
	}
}

func TestAnInterruptLeavesOutWhatHasNotBegun(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	stop := []check{{"stops", func(context.Context, machine) (string, error) { cancel(); return "", nil }}}
	results := runBatch(ctx, []group{{name: "lab", lane: "hosts", checks: stop}, {name: "rolling", lane: "hosts", checks: stop}}, machine{}, io.Discard)
	if len(results) != 1 || results[0].Name != "lab" {
		t.Errorf("results %+v, want that of lab alone", results)
	}
}
