package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// keeper keeps changes: one for each key. The first answer to each is lost.
type keeper struct {
	sync.Mutex
	refuses bool
	numbers map[string]string // by key
	asked   map[string]int
	closed  map[string]string // outcome by number
}

func (k *keeper) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	k.Lock()
	defer k.Unlock()
	var n struct{ Event, Instance, Change, Outcome string }
	if json.NewDecoder(r.Body).Decode(&n) != nil || r.Header.Get("Idempotency-Key") == "" {
		http.Error(w, "no key", http.StatusBadRequest)
		return
	}
	if k.refuses {
		fmt.Fprint(w, `{"refused": "change freeze until Monday"}`)
		return
	}
	key := r.Header.Get("Idempotency-Key")
	k.asked[key]++
	if n.Event == "open" && k.numbers[key] == "" {
		k.numbers[key] = fmt.Sprintf("CHG%04d", len(k.numbers)+1)
	}
	if n.Event == "close" {
		k.closed[n.Change] = n.Outcome
	}
	if k.asked[key] == 1 {
		panic(http.ErrAbortHandler)
	}
	fmt.Fprintf(w, `{"change": %q}`, k.numbers[key])
}

// TestChangeHookAndReport: a change number is asked for before anything starts and the end is told, each although a reply was lost; a refusal starts
// nothing; the report says what became of an instance, and a follow-up does what it left.
func TestChangeHookAndReport(t *testing.T) {
	s := begin(t)
	k := &keeper{numbers: map[string]string{}, asked: map[string]int{}, closed: map[string]string{}}
	srv := httptest.NewServer(k)
	defer srv.Close()
	address, err := s.Write("change.url", srv.URL+"/hidden\n")
	s.must(err)
	file, err := s.Write(s.name()+".yaml", "name: "+s.name()+"\nreason: November security updates\nstages:\n  - {name: production, clusters: [web]}\n"+
		"change: {url: {file: "+filepath.Base(address)+"}, within: 1m}\n"+policy)
	s.must(err)
	s.publish("1.1")

	k.refuses = true
	logs := s.logs(web...)
	refused := s.run(file, 3)
	if !strings.Contains(refused.Reason, "not started: its change was refused by the change hook (URL): change freeze until Monday") {
		s.Errorf("the refused instance says %q", refused.Reason)
	}
	s.untouched(logs)
	k.Lock()
	k.refuses = false
	k.Unlock()

	first := s.start(file)
	s.gate(first)
	s.say("abort", first)
	if st := s.ends(first); st.State != "aborted" {
		s.Errorf("the instance is %s: %s", st.State, st.Reason)
	}
	s.at("1.1", "web-1")
	s.at("1.0", "web-2", "web-3")
	page, _ := s.cli(0, "report", first, "--audit", s.Daemon.AuditFile())
	for _, want := range []string{"| change | CHG0001 (closed at ", "| web-1 | lab-web | 1.0 | 1.1 |", "| abort | campaign | the test says so |", "soak 1 was cut", "| web | web-2 | not touched", "run --only leftovers --of " + first} {
		if !strings.Contains(page, want) {
			s.Errorf("the report lacks %q:\n%s", want, page)
		}
	}

	r, err := s.Rollpatch(s.ctx, nil, "run", "--detach", "--only", "leftovers", "--of", first, "-i", s.InventoryFile(), file)
	s.must(err)
	if r.Code != 0 || !strings.Contains(r.Stderr, "left over: web web-2") || strings.Contains(r.Stderr, "web-1") {
		s.Fatalf("the follow-up exited %d: %s", r.Code, r.Stderr)
	}
	boots := s.logs("web-1")
	second := s.latest()
	s.gate(second)
	s.say("approve", second, "--cluster", "web")
	s.gateOf(second, 2) // the other one left over: the former instance's canary proves nothing of what it got
	s.say("approve", second, "--cluster", "web")
	if st := s.ends(second); st.State != "done" {
		s.Errorf("the follow-up is %s: %s", st.State, st.Reason)
	}
	s.untouched(boots)
	s.at("1.1", web...)
	s.safe()
	s.eventually("the end to be told", func() error {
		k.Lock()
		defer k.Unlock()
		if len(k.numbers) != 2 || k.asked[first] != 2 || k.closed["CHG0001"] != "aborted" || k.closed["CHG0002"] != "done" {
			return fmt.Errorf("changes %v, asked %v, closed %v; want two, each opened once and closed", k.numbers, k.asked, k.closed)
		}
		return nil
	})
}
