package audit

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// chain links n entries and returns them with the head of each length: heads[i] is the end of the first i entries.
func chain(name string, n int) (entries []Entry, heads []Head) {
	head := Head{Chain: name}
	heads = append(heads, head)
	for i := range n {
		var e Entry
		e, head = head.Next(Entry{
			Kind: Intent, Time: noon.Add(time.Duration(i) * time.Second), Actor: "monthly-1", Action: "patch",
			Host: fmt.Sprintf("web-%d", i), Run: fmt.Sprintf("run-%d", i), Detail: "two packages",
		})
		entries, heads = append(entries, e), append(heads, head)
	}
	return entries, heads
}

func TestVerify(t *testing.T) {
	three, heads := chain("host/web-1", 3)
	head := heads[3]
	other, _ := chain("host/web-2", 2)
	beside, _ := heads[1].Next(Entry{Kind: Outcome, Time: noon, Action: "drain", Result: "reported by nobody"})
	skipped, _ := Head{Chain: head.Chain, Seq: 7, Digest: head.Digest}.Next(Entry{Kind: Intent, Action: "reboot"})
	changed := func(i int, change func(*Entry)) []Entry {
		out := append([]Entry{}, three...)
		change(&out[i])
		return out
	}
	for _, row := range []struct {
		says    string
		head    Head
		entries []Entry
		strays  int
		want    string // in the error; "" for none
	}{
		{"an empty chain has nothing to miss", heads[0], nil, 0, ""},
		{"a whole chain holds", head, three, 0, ""},
		{"the order of the lines does not matter", head, []Entry{three[2], three[0], three[1]}, 0, ""},
		{"the same line twice is no break", head, append([]Entry{three[1]}, three...), 0, ""},
		{"lines of another chain are not looked at", head, append(append([]Entry{}, other...), three...), 0, ""},
		{"an entry that nobody reported is a stray", head, append([]Entry{beside}, three...), 1, ""},
		{"entries after the head are strays", heads[2], three, 1, ""},
		{"a missing first entry is named", head, three[1:], 0, `chain "host/web-1": entry 1 (`},
		{"a missing entry in the middle is named", head, []Entry{three[0], three[2]}, 0, `chain "host/web-1": entry 2 (`},
		{"a missing last entry is named", head, three[:2], 0, `chain "host/web-1": entry 3 (`},
		{"nothing at all is a missing end", head, nil, 0, `entry 3 (`},
		{"a changed result is found", head, changed(1, func(e *Entry) { e.Result = "exited 0" }), 0, "entry 2 was changed"},
		{"a changed number is found", head, changed(2, func(e *Entry) { e.Seq = 9 }), 0, "entry 9 was changed"},
		{"a changed time is found", head, changed(0, func(e *Entry) { e.Time = e.Time.Add(1) }), 0, "entry 1 was changed"},
		{"a link that was cut short is found", head, changed(2, func(e *Entry) { e.Prev = "" }), 0, "entry 3 was changed"},
		{"an entry with a number of its own does not fit", skipped.Head(), append([]Entry{skipped}, three...), 0, "entry 3 stands where 7 belongs"},
		{"a head that counts more than there is, is found", Head{Chain: head.Chain, Seq: 4, Digest: head.Digest}, three, 0, "entry 3 stands where 4 belongs"},
		{"a head that counts less than there is, is found", Head{Chain: head.Chain, Seq: 2, Digest: head.Digest}, three, 0, "entry 3 stands where 2 belongs"},
		{"a chain cannot be passed off as another", Head{Chain: "host/web-9", Seq: 3, Digest: head.Digest}, three, 0, `chain "host/web-9": entry 3 (`},
	} {
		t.Run(row.says, func(t *testing.T) {
			strays, err := Verify(row.head, row.entries)
			switch {
			case row.want == "" && err != nil:
				t.Fatalf("Verify(%+v, %d entries) = %v, want no error", row.head, len(row.entries), err)
			case row.want != "" && (err == nil || !strings.Contains(err.Error(), row.want)):
				t.Fatalf("Verify(%+v, %d entries) = %v, want an error with %q", row.head, len(row.entries), err, row.want)
			case len(strays) != row.strays:
				t.Fatalf("Verify(%+v, %d entries) has %d strays, want %d: %+v", row.head, len(row.entries), len(strays), row.strays, strays)
			}
		})
	}
}

func TestNextIsTheSameForTheSameInstant(t *testing.T) {
	head := Head{Chain: "campaign/monthly-1"}
	in, _ := head.Next(Entry{Kind: Message, Time: noon, Action: "approve"})
	elsewhere, _ := head.Next(Entry{Kind: Message, Time: noon.In(time.FixedZone("here", 7200)), Action: "approve"})
	if in.Digest != elsewhere.Digest {
		t.Errorf("the digest of noon in UTC is %s, elsewhere %s, want the same", in.Digest, elsewhere.Digest)
	}
	if got := in.Head(); got != (Head{Chain: head.Chain, Seq: 1, Digest: in.Digest}) {
		t.Errorf("Head() = %+v, want the end of a chain of one", got)
	}
}

func TestNextOwnsTheLinks(t *testing.T) {
	head := Head{Chain: "host/web-1", Seq: 4, Digest: "sha256:before"}
	e, next := head.Next(Entry{Chain: "host/web-9", Seq: 99, Prev: "sha256:invented", Digest: "sha256:invented", Action: "drain"})
	if e.Chain != head.Chain || e.Seq != 5 || e.Prev != head.Digest || next != e.Head() {
		t.Errorf("Next = %+v, %+v, want links taken from the head %+v alone", e, next, head)
	}
}

// An auditor reads lines, so a change is a change of a line: whatever byte of it is changed, either the line can no longer
// be read, or it says the same as before, or Verify finds it.
func TestPropertyAChangedByteIsFound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		entries, head := drawChain(t)
		at := rapid.IntRange(0, len(entries)-1).Draw(t, "entry")
		line, err := json.Marshal(entries[at])
		if err != nil {
			t.Fatal(err)
		}
		pos := rapid.IntRange(0, len(line)-1).Draw(t, "byte")
		line[pos] ^= byte(rapid.IntRange(1, 255).Draw(t, "flip"))
		var e Entry
		if json.Unmarshal(line, &e) != nil {
			return
		}
		if says(e) == says(entries[at]) {
			return
		}
		changed := append([]Entry{}, entries...)
		changed[at] = e
		if _, err := Verify(head, changed); err == nil {
			t.Fatalf("entry %d changed at byte %d to %s was not found", at+1, pos, line)
		}
	})
}

func TestPropertyAMissingEntryIsFound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		entries, head := drawChain(t)
		at := rapid.IntRange(0, len(entries)-1).Draw(t, "missing")
		left := append(append([]Entry{}, entries[:at]...), entries[at+1:]...)
		if _, err := Verify(head, left); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("entry %d (", at+1)) {
			t.Fatalf("Verify without entry %d of %d = %v, want it named", at+1, len(entries), err)
		}
	})
}

func TestPropertyAWholeChainHolds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		entries, head := drawChain(t)
		order := rapid.Permutation(entries).Draw(t, "order")
		strays, err := Verify(head, order)
		if err != nil || len(strays) != 0 {
			t.Fatalf("Verify of a whole chain of %d = %d strays, %v, want none", len(entries), len(strays), err)
		}
	})
}

func drawChain(t *rapid.T) ([]Entry, Head) {
	head := Head{Chain: rapid.StringMatching(`(host|cluster)/[a-z]{1,5}`).Draw(t, "chain")}
	var entries []Entry
	for range rapid.IntRange(1, 8).Draw(t, "length") {
		var e Entry
		e, head = head.Next(Entry{
			Kind:   rapid.SampledFrom([]Kind{Intent, Outcome, Child, Message}).Draw(t, "kind"),
			Time:   noon.Add(time.Duration(rapid.Int64Range(0, 1e15).Draw(t, "after"))),
			Actor:  rapid.StringMatching(`[a-z@.]{0,8}`).Draw(t, "actor"),
			Action: rapid.SampledFrom([]string{"drain", "patch", "reboot"}).Draw(t, "action"),
			Host:   rapid.StringMatching(`([a-z]{1,5}-[0-9])?`).Draw(t, "host"),
			Detail: rapid.StringMatching(`[ -~]{0,20}`).Draw(t, "detail"),
			Result: rapid.StringMatching(`[ -~]{0,20}`).Draw(t, "result"),
		})
		entries = append(entries, e)
	}
	return entries, head
}

// says is everything that an entry states, its instant without the zone it is written in.
func says(e Entry) string {
	e.Time = e.Time.UTC()
	return fmt.Sprintf("%+v", e)
}

func TestKnowsNothingOfTheWorld(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Fields(string(out)); len(got) != 1 {
		t.Errorf("audit imports %v, want the standard library alone", got)
	}
}

func TestVerifyFindsForgedAndCutChains(t *testing.T) {
	head := Head{Chain: "campaign/x"}
	first, head := head.Next(Entry{Kind: Intent, Action: "drain", Host: "web-1"})
	second, head := head.Next(Entry{Kind: Outcome, Action: "drain", Host: "web-1", Result: "pass"})
	forged := first
	forged.Host = "web-2" // under the digest of the true entry
	for name, tc := range map[string]struct {
		head    Head
		entries []Entry
	}{
		"a forged line before the true one":   {head, []Entry{forged, first, second}},
		"a forged line after the true one":    {head, []Entry{first, second, forged}},
		"a head whose entries are all gone":   {Head{Chain: head.Chain, Seq: 2}, nil},
		"a head that counts more than it has": {Head{Chain: head.Chain, Seq: 3, Digest: head.Digest}, []Entry{first, second}},
	} {
		if _, err := Verify(tc.head, tc.entries); err == nil {
			t.Errorf("%s: Verify found nothing", name)
		}
	}
	if strays, err := Verify(head, []Entry{first, second}); err != nil || len(strays) > 0 {
		t.Errorf("the true chain: %v, %d strays", err, len(strays))
	}
}
