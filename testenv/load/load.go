// Package load sends requests at a steady rate and counts every one that was
// not answered as it should be. It knows nothing of hosts, patches or Consul:
// it sees what a user of the service sees.
package load

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	vegeta "github.com/tsenart/vegeta/v12/lib"
)

// PageBytes is the size of a whole page. A shorter body is a failed request
// even under status 200: some proxies cut an answer without saying so.
const PageBytes = 512

// patience is when a user would have given up.
const patience = 5 * time.Second

// Result is what became of the requests so far.
type Result struct {
	Sent   int `json:"sent"`
	Failed int `json:"failed"`
	// Rate is what was achieved, in requests per second.
	Rate    float64 `json:"rate"`
	Seconds float64 `json:"seconds"`
	// Errors counts the failed requests by reason.
	Errors    map[string]int `json:"errors,omitempty"`
	Latencies Latencies      `json:"latencies"`
	// FirstFailure and LastFailure bound the outage, if there was one.
	FirstFailure *time.Time `json:"first_failure,omitempty"`
	LastFailure  *time.Time `json:"last_failure,omitempty"`
}

// Latencies of all requests, failed ones included.
type Latencies struct {
	Mean time.Duration `json:"mean_ns"`
	P50  time.Duration `json:"p50_ns"`
	P99  time.Duration `json:"p99_ns"`
	Max  time.Duration `json:"max_ns"`
}

// Load is a steady stream of requests, from Start to Stop.
type Load struct {
	attacker *vegeta.Attacker
	done     chan struct{}

	mu           sync.Mutex
	metrics      vegeta.Metrics
	begun        time.Time // of the first request
	last         time.Time // of the latest request
	sent, failed int
	errors       map[string]int
	firstFailure time.Time
	lastFailure  time.Time
}

// Start sends rate requests per second to url until Stop, or until ctx ends.
func Start(ctx context.Context, url string, rate int) *Load {
	return start(ctx, url, rate, patience)
}

func start(ctx context.Context, url string, rate int, timeout time.Duration) *Load {
	l := &Load{
		attacker: vegeta.NewAttacker(vegeta.Timeout(timeout), vegeta.Workers(uint64(max(10, rate/10))),
			// A redirect is no page, and following one would hide it.
			vegeta.Redirects(vegeta.NoFollow)),
		done:   make(chan struct{}),
		errors: map[string]int{},
	}
	target := vegeta.NewStaticTargeter(vegeta.Target{Method: "GET", URL: url})
	// Duration 0 is without end.
	results := l.attacker.Attack(target, vegeta.Rate{Freq: rate, Per: time.Second}, 0, "load")
	stop := context.AfterFunc(ctx, func() { l.attacker.Stop() })
	go func() {
		defer close(l.done)
		defer stop()
		for r := range results {
			l.count(r)
		}
	}()
	return l
}

// reason says why an answer is a failed request, or nothing if it is a page.
func reason(r *vegeta.Result) string {
	switch {
	case r.Code != 0 && r.Code != 200:
		return fmt.Sprintf("status %d", r.Code)
	case r.Error != "":
		return r.Error
	case len(r.Body) < PageBytes:
		return "short body"
	}
	return ""
}

func (l *Load) count(r *vegeta.Result) {
	l.mu.Lock()
	defer l.mu.Unlock()
	why := reason(r)
	r.Body = nil
	l.metrics.Add(r)
	l.sent++
	if l.begun.IsZero() || r.Timestamp.Before(l.begun) {
		l.begun = r.Timestamp
	}
	if r.Timestamp.After(l.last) {
		l.last = r.Timestamp
	}
	if why == "" {
		return
	}
	l.failed++
	l.errors[why]++
	if l.firstFailure.IsZero() || r.Timestamp.Before(l.firstFailure) {
		l.firstFailure = r.Timestamp
	}
	if r.Timestamp.After(l.lastFailure) {
		l.lastFailure = r.Timestamp
	}
}

// Snapshot counts the requests that were answered so far, without stopping.
func (l *Load) Snapshot() Result {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := Result{Sent: l.sent, Failed: l.failed, Errors: map[string]int{}}
	for why, n := range l.errors {
		r.Errors[why] = n
	}
	r.Seconds = l.last.Sub(l.begun).Seconds()
	if r.Seconds > 0 {
		// The first request opens the time that is measured, it does not fill any of it.
		r.Rate = float64(l.sent-1) / r.Seconds
	}
	if l.failed > 0 {
		first, last := l.firstFailure, l.lastFailure
		r.FirstFailure, r.LastFailure = &first, &last
	}
	if l.sent > 0 {
		l.metrics.Close()
		r.Latencies = Latencies{Mean: l.metrics.Latencies.Mean, P50: l.metrics.Latencies.P50, P99: l.metrics.Latencies.P99, Max: l.metrics.Latencies.Max}
	}
	return r
}

// Stop ends the stream, waits for the requests under way, and counts them all.
func (l *Load) Stop() Result {
	l.attacker.Stop()
	<-l.done
	return l.Snapshot()
}

// Reasons lists the reasons of failed requests, the most frequent first.
func (r Result) Reasons() []string {
	var all []string
	for why := range r.Errors {
		all = append(all, why)
	}
	slices.SortFunc(all, func(a, b string) int {
		if d := r.Errors[b] - r.Errors[a]; d != 0 {
			return d
		}
		return slices.Compare([]byte(a), []byte(b))
	})
	return all
}
