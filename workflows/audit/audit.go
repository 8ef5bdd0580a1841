// Package audit is the hash chain of what rollpatch did. It knows nothing of files, clocks or Temporal: entries come in,
// digests come out.
//
// Every workflow has one chain. An action has two entries: its intent, fixed in the workflow's State before the activity is
// scheduled, and its outcome, which the activity adds. A child's last digest is an entry of its parent's chain.
package audit

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"
)

// Kind says which half of an action an entry is.
type Kind string

// The kinds of entries.
const (
	Intent  Kind = "intent"
	Outcome Kind = "outcome"
	Child   Kind = "child"   // Result holds the child's last digest
	Message Kind = "message" // what a person decided
)

// Head is the end of a chain: what a workflow carries in its State.
type Head struct {
	Chain  string `json:"chain"` // workflow id
	Seq    int64  `json:"seq"`
	Digest string `json:"digest"` // of the last entry; "" before the first
}

// Entry is one line of the chain.
type Entry struct {
	Chain  string    `json:"chain"`
	Seq    int64     `json:"seq"`
	Prev   string    `json:"prev"`
	Kind   Kind      `json:"kind"`
	Time   time.Time `json:"time"` // of the workflow for intents, of the worker for outcomes
	Actor  string    `json:"actor"`
	Action string    `json:"action"` // operator word
	Host   string    `json:"host,omitempty"`
	Run    string    `json:"run,omitempty"`
	Detail string    `json:"detail,omitempty"`
	Result string    `json:"result,omitempty"`
	Output string    `json:"output,omitempty"` // digest of the output
	Digest string    `json:"digest"`
}

// Next links e to the head and returns the entry with its digest, and the new head.
func (h Head) Next(e Entry) (Entry, Head) {
	e.Chain, e.Seq, e.Prev = h.Chain, h.Seq+1, h.Digest
	e.Digest = digest(e)
	return e, Head{Chain: h.Chain, Seq: e.Seq, Digest: e.Digest}
}

// Head is the end of a chain whose last entry is e.
func (e Entry) Head() Head { return Head{Chain: e.Chain, Seq: e.Seq, Digest: e.Digest} }

// Verify walks back from head through the entries and says what is missing or changed. Entries of attempts that were never
// reported (the worker died after writing) may stand beside the chain: they are no break of it, and are returned as strays.
func Verify(head Head, entries []Entry) (strays []Entry, err error) {
	byDigest := make(map[string]Entry, len(entries))
	for _, e := range entries {
		if e.Chain != head.Chain {
			continue
		}
		if got := digest(e); got != e.Digest {
			return nil, fmt.Errorf("chain %q: entry %d was changed: its digest is %s, recorded is %s", head.Chain, e.Seq, got, e.Digest)
		}
		byDigest[e.Digest] = e
	}
	on := make(map[string]bool, len(byDigest))
	at, seq := head.Digest, head.Seq
	for ; at != ""; seq-- {
		e, ok := byDigest[at]
		if !ok {
			return nil, fmt.Errorf("chain %q: entry %d (%s) is missing", head.Chain, seq, at)
		}
		if e.Seq != seq {
			return nil, fmt.Errorf("chain %q: entry %d stands where %d belongs", head.Chain, e.Seq, seq)
		}
		on[at] = true
		at = e.Prev
	}
	if seq != 0 {
		return nil, fmt.Errorf("chain %q: it begins after entry %d, not at the first", head.Chain, seq)
	}
	for _, e := range entries {
		if e.Chain == head.Chain && !on[e.Digest] {
			strays = append(strays, e)
		}
	}
	return strays, nil
}

func digest(e Entry) string {
	e.Digest = ""
	e.Time = e.Time.UTC()
	body, err := json.Marshal(e)
	if err != nil {
		panic(err) // an Entry is strings, a number and a time
	}
	sum := sha256.Sum256(body)
	return "sha256:" + hex.EncodeToString(sum[:])
}
