package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rollpatch/rollpatch/testenv/estate"
)

func TestMemberComparesWhatWasInstalled(t *testing.T) {
	before := found{versions: map[string]string{"kept": "1", "patched": "1", "removed": "1", labweb: "1.0"}, boot: "a-1", dpkg: 3}
	after := found{versions: map[string]string{"kept": "1", "patched": "2", "added": "1", labweb: "1.0"}, boot: "b-1", dpkg: 10}
	var m Member
	m.compare(before, after)
	if want := map[string]string{"patched": "1", "removed": "1"}; !maps.Equal(m.VersionsBefore, want) {
		t.Errorf("VersionsBefore = %v, want %v", m.VersionsBefore, want)
	}
	if want := map[string]string{"patched": "2", "added": "1"}; !maps.Equal(m.VersionsAfter, want) {
		t.Errorf("VersionsAfter = %v, want %v", m.VersionsAfter, want)
	}
	if m.changed() != 3 || m.Compared != 5 || m.DpkgLines != 7 || m.BootBefore != "a-1" || m.BootAfter != "b-1" {
		t.Errorf("changed %d, member %+v; want 3 changed of 5, 7 lines, boots a-1 and b-1", m.changed(), m)
	}
}

func TestActSaysWhatIsNotAsItShouldBe(t *testing.T) {
	done := Campaign{Instance: "c-1", State: "done"}
	untouched := Member{Host: "web-2", Compared: 2}
	restored := Member{Host: "web-1", Compared: 2, DpkgLines: 9}
	changed := Member{Host: "web-1", DpkgLines: 9, VersionsBefore: map[string]string{"a": "1"}, VersionsAfter: map[string]string{"a": "2"}}
	good := func(a Act) error { return a.wanted("done", 0) }
	for _, c := range []struct {
		name  string
		act   Act
		judge func(Act) error
		want  string // "" for nothing
	}{
		{"a campaign that is done without a failed request is good", Act{Campaign: done, Sent: 9}, good, ""},
		{"one failed request is too many", Act{Campaign: done, Sent: 9, Failed: 1, Errors: map[string]int{"status 503": 1}}, good, "1 of 9 requests failed (status 503)"},
		{"no traffic proves nothing", Act{Campaign: done}, good, "0 of 0 requests failed"},
		{"halted is not done", Act{Campaign: Campaign{Instance: "c-1", State: "halted", Exit: 3}, Sent: 9}, good, "campaign c-1 is halted with exit status 3, want done with 0"},
		{"no campaign at all is not done", Act{Sent: 9}, good, "campaign (none) is unknown"},
		{"a canary that is as before, and a peer that never was touched, are backed out", Act{Members: []Member{restored, untouched}}, Act.backedOut, ""},
		{"a package that stayed changed is not backed out", Act{Members: []Member{changed, untouched}}, Act.backedOut, `host "web-1": packages that are not as they were: 1`},
		{"a peer that was touched is one too many", Act{Members: []Member{restored, restored}}, Act.backedOut, "the update was on 2 hosts, want 1"},
		{"an update that was nowhere shows nothing", Act{Members: []Member{untouched}}, Act.backedOut, "the update was on 0 hosts, want 1"},
	} {
		got := fmt.Sprint(c.judge(c.act))
		if c.want == "" && got != "<nil>" || !strings.Contains(got, c.want) {
			t.Errorf("%s: got %s, want %q", c.name, got, c.want)
		}
	}
}

// servers answer health queries as Consul does: at once, or when the answer is newer than the index asked with.
type servers struct {
	mu      sync.Mutex
	passing []string
	index   int
	news    chan struct{}
}

func (s *servers) set(passing ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.passing, s.index = passing, s.index+1
	close(s.news)
	s.news = make(chan struct{})
}

func (s *servers) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	for {
		s.mu.Lock()
		passing, index, news := s.passing, fmt.Sprint(s.index), s.news
		s.mu.Unlock()
		if r.FormValue("index") != index {
			type entry struct{ Node struct{ Node string } }
			out := make([]entry, len(passing))
			for i, n := range passing {
				out[i].Node.Node = n
			}
			w.Header().Set("X-Consul-Index", index)
			_ = json.NewEncoder(w).Encode(out)
			return
		}
		select {
		case <-news:
		case <-r.Context().Done():
			return
		}
	}
}

func TestOutagesAreWhatConsulDoesNotList(t *testing.T) {
	s := &servers{news: make(chan struct{})}
	s.set("web-1", "web-2", "web-3")
	server := httptest.NewServer(s)
	defer server.Close()
	o := watch(t.Context(), registry{strings.TrimPrefix(server.URL, "http://")}, []cluster{web})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	until := func(what string, ok func() bool) {
		t.Helper()
		for {
			o.mu.Lock()
			done := ok()
			o.mu.Unlock()
			if done {
				return
			}
			select {
			case <-ctx.Done():
				t.Fatalf("%s: %v", what, ctx.Err())
			case <-time.After(time.Millisecond):
			}
		}
	}
	begun := time.Now()
	// The watcher may still be at its first question, and then does not know web-1 yet: it comes and goes until it does.
	here := false
	until("web-1 out", func() bool {
		if here = !here; here {
			s.set("web-1", "web-2", "web-3")
		} else {
			s.set("web-2", "web-3")
		}
		return !here && !o.since["web-1"].IsZero()
	})
	s.set("web-1", "web-2", "web-3")
	until("web-1 in", func() bool { return o.total["web-1"] > 0 })
	s.set("web-1", "web-3")
	until("web-2 out", func() bool { return !o.since["web-2"].IsZero() })
	got := o.stop()
	most := time.Since(begun)
	for host, out := range map[string]bool{"web-1": true, "web-2": true, "web-3": false} {
		if d := got[host]; (d > 0) != out || d > most {
			t.Errorf("%s was out for %v within %v, want out %v", host, d, most, out)
		}
	}
}

// hosts are some whose inventory is there.
type hosts struct{ estate.Hosts }

func (hosts) InventoryFile() string { return "fleet/inventory.yaml" }

// What can be looked at is said only where it stays to be looked at.
func TestToLookAroundWhereItStays(t *testing.T) {
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for keep, want := range map[bool]string{true: "-i fleet/inventory.yaml", false: ""} {
		var out bytes.Buffer
		d := &demo{
			Estate: &estate.Estate{Hosts: hosts{}, Daemon: &estate.Daemon{UI: "http://127.0.0.1:8233"}},
			opts:   Options{Keep: keep}, out: &screen{w: &out},
		}
		d.stay(ended, nil)
		if want == "" && out.Len() > 0 || !strings.Contains(out.String(), want) {
			t.Errorf("keep %t: it prints %q, want %q", keep, out.String(), want)
		}
	}
}

func TestReportTellsTheTwoTimesApart(t *testing.T) {
	act := Act{Campaign: Campaign{Instance: "c-1", State: "done"}, Members: []Member{{Host: "web-1", SecondsOut: 2.5}}}
	got := Report{Act: act, Bad: &act}.text()
	if strings.Count(got, "out of service: how long Consul did not list the member") != 1 || !strings.Contains(got, "2.5 s") {
		t.Errorf("the report says\n%s", got)
	}
}

func TestRunEndsCleanlyWithoutBinaries(t *testing.T) {
	dir := t.TempDir()
	report := filepath.Join(dir, "demo.json")
	if err := os.WriteFile(report, []byte("{}"), 0o644); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	err := Run(t.Context(), Options{Kind: estate.Sim, Dir: filepath.Join(dir, "demo"), Report: report, Bin: dir}, nil, &out)
	if err == nil || !strings.Contains(err.Error(), "rollpatchd") {
		t.Errorf("Run = %v, want one that names rollpatchd", err)
	}
	if _, err := os.Stat(report); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the report of an earlier demo is still there: %v", err)
	}
}

func TestOneDemoAtATime(t *testing.T) {
	o := Options{Dir: t.TempDir(), Report: filepath.Join(t.TempDir(), "demo.json")}
	unlock, err := alone(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := Run(context.Background(), o, nil, &bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), "another demo is running there") {
		t.Errorf("a second demo in the same folder: %v", err)
	}
	unlock()
	if unlock, err = alone(o); err != nil {
		t.Fatalf("after the first has ended: %v", err)
	}
	unlock()
}
