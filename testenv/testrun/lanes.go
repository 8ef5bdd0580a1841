package testrun

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"sync"
)

// together cuts the groups into batches: a group without a lane is one of its own, and what follows each other with lanes goes
// together, the groups of a lane one after the other.
func together(groups []group) [][]group {
	var batches [][]group
	for i, g := range groups {
		if i > 0 && g.lane != "" && groups[i-1].lane != "" {
			batches[len(batches)-1] = append(batches[len(batches)-1], g)
		} else {
			batches = append(batches, []group{g})
		}
	}
	return batches
}

// runBatch runs the lanes of a batch beside each other and returns the groups' results in the batch's order. Groups that an
// interrupt left out have none.
func runBatch(ctx context.Context, batch []group, m machine, w io.Writer) []result {
	lanes := map[string][]int{}
	var order []string
	for i, g := range batch {
		if lanes[g.lane] == nil {
			order = append(order, g.lane)
		}
		lanes[g.lane] = append(lanes[g.lane], i)
	}
	var (
		all     sync.WaitGroup
		lock    sync.Mutex
		results = make([]result, len(batch))
	)
	for _, lane := range order {
		all.Go(func() {
			for _, i := range lanes[lane] {
				if ctx.Err() != nil {
					return
				}
				g := batch[i]
				if len(order) == 1 {
					fmt.Fprintf(w, "\n== %s: %s\n", g.name, g.about)
					results[i] = g.run(ctx, m, w)
					continue
				}
				// Lines of several groups come mixed: each says whose it is.
				named := &lineWriter{to: w, lock: &lock, prefix: g.name + ": "}
				fmt.Fprintf(named, "== %s\n", g.about)
				results[i] = g.run(ctx, m, named)
				named.flush()
			}
		})
	}
	all.Wait()
	var ran []result
	for _, r := range results {
		if r.Name != "" {
			ran = append(ran, r)
		}
	}
	return ran
}

// lineWriter hands on whole lines only, each with a prefix.
type lineWriter struct {
	to     io.Writer
	lock   *sync.Mutex // of all that write to the same
	prefix string
	mine   sync.Mutex
	rest   []byte
}

func (l *lineWriter) Write(p []byte) (int, error) {
	l.mine.Lock()
	defer l.mine.Unlock()
	l.rest = append(l.rest, p...)
	for {
		end := bytes.IndexByte(l.rest, '\n')
		if end < 0 {
			return len(p), nil
		}
		if err := l.line(l.rest[:end]); err != nil {
			return 0, err
		}
		l.rest = l.rest[end+1:]
	}
}

func (l *lineWriter) line(text []byte) error {
	l.lock.Lock()
	defer l.lock.Unlock()
	_, err := fmt.Fprintf(l.to, "%s%s\n", l.prefix, text)
	return err
}

func (l *lineWriter) flush() {
	l.mine.Lock()
	defer l.mine.Unlock()
	if len(l.rest) > 0 {
		_ = l.line(l.rest)
		l.rest = nil
	}
}
