package load

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"
)

const testRate = 200

func page() string { return strings.Repeat(".", PageBytes) }

// run loads the handler until so many requests were answered, and returns what was counted.
func run(t *testing.T, h http.HandlerFunc, requests int, timeout time.Duration) Result {
	t.Helper()
	server := httptest.NewServer(h)
	defer server.Close()
	l := start(t.Context(), server.URL, testRate, timeout)
	for l.Snapshot().Sent < requests {
		select {
		case <-t.Context().Done():
			t.Fatal(t.Context().Err())
		case <-time.After(5 * time.Millisecond):
		}
	}
	return l.Stop()
}

func TestLoadCountsWhatAUserWouldCallAFailure(t *testing.T) {
	for _, c := range []struct {
		name   string
		answer http.HandlerFunc
		fails  bool
		reason string
	}{
		{"a whole page is none", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(page())) }, false, ""},
		{"another status is one", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, page(), http.StatusServiceUnavailable) }, true, "status 503"},
		{"no content is one", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }, true, "status 204"},
		{"a redirect is one", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) }, true, "status 302"},
		{"a short body is one", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(page()[1:])) }, true, "short body"},
		{"a body that breaks off is one", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", strconv.Itoa(PageBytes+1))
			_, _ = w.Write([]byte(page()))
		}, true, "unexpected EOF"},
		{"silence is one", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, true, "Client.Timeout exceeded"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			timeout := patience
			if c.name == "silence is one" {
				timeout = 200 * time.Millisecond
			}
			got := run(t, c.answer, 20, timeout)
			want := 0
			if c.fails {
				want = got.Sent
			}
			if got.Failed != want {
				t.Errorf("Failed = %d of %d, want %d: %v", got.Failed, got.Sent, want, got.Errors)
			}
			counted := 0
			for why, n := range got.Errors {
				counted += n
				if !strings.Contains(why, c.reason) {
					t.Errorf("reason %q, want one with %q", why, c.reason)
				}
			}
			if counted != got.Failed {
				t.Errorf("reasons count %d, failed %d", counted, got.Failed)
			}
			if (got.FirstFailure != nil) != c.fails || (got.LastFailure != nil) != c.fails {
				t.Errorf("outage from %v to %v", got.FirstFailure, got.LastFailure)
			}
		})
	}
}

func TestLoadCountsRefusedConnections(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	address := server.URL
	server.Close()
	l := Start(t.Context(), address, testRate)
	for l.Snapshot().Failed < 10 {
		select {
		case <-t.Context().Done():
			t.Fatal(t.Context().Err())
		case <-time.After(5 * time.Millisecond):
		}
	}
	if got := l.Stop(); got.Failed != got.Sent {
		t.Errorf("Failed = %d of %d", got.Failed, got.Sent)
	}
}

func TestLoadKeepsItsRate(t *testing.T) {
	got := run(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(page())) }, testRate, patience)
	if got.Rate < 0.95*testRate || got.Rate > 1.05*testRate {
		t.Errorf("Rate = %.1f over %.2f s, want %d", got.Rate, got.Seconds, testRate)
	}
	if got.Latencies.Max < got.Latencies.P50 || got.Latencies.P50 <= 0 {
		t.Errorf("latencies %+v", got.Latencies)
	}
}

func TestLoadEndsWithItsContext(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	ctx, cancel := context.WithCancel(t.Context())
	l := Start(ctx, server.URL, testRate)
	cancel()
	<-l.done
	if got := l.Snapshot(); got.Failed != got.Sent {
		t.Errorf("Failed = %d of %d", got.Failed, got.Sent)
	}
}
