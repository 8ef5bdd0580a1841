package rollout

import (
	"strings"
	"testing"
)

// Where only some members of a cluster are worked on, nobody else has proven what they get: the last wave soaks as well.
func TestOnlySomeMembersSoak(t *testing.T) {
	alone := patient
	alone.Unattended, alone.SoakApproval = true, false
	for _, r := range []struct {
		sentence, path string
		policy         ClusterPolicy
		members        int
		of             int
		want, told     string
	}{
		{"the one that is left soaks", toSoak, patient, 1, 2, "soak 1", ""},
		{"and a person agrees to it", toGate, patient, 1, 2, "gate 1", "gate"},
		{"then it is done", toGate + "approve", patient, 1, 2, "next release: done", "gate"},
		{"a soak that fails brings it back", toSoak + "watch=fail may", patient, 1, 2, "next backout web-1", "fail"},
		{"unattended the soak's end is enough", toGate, alone, 1, 2, "next release: done", ""},
		{"where it gets nothing nothing soaks", toWave1 + "web-1=unchanged", patient, 1, 2, "next release: done", ""},
		{"an abort ends it while it soaks", toSoak + "abort", patient, 1, 2, "next release: aborted: aborted by jane: because; members that stay patched: 1", ""},
		{"two of three: after the first", toSoak, patient, 2, 3, "soak 1", ""},
		{"and after the last", toWave2 + "web-2=patched", patient, 2, 3, "soak 2", "gate"},
		{"with a gate of its own", toWave2 + "web-2=patched watch=pass*3 +24h", patient, 2, 3, "gate 2", "gate gate"},
		{"and then it is done", toWave2 + "web-2=patched watch=pass*3 +24h approve", patient, 2, 3, "next release: done", "gate gate"},
		{"the last one has nothing to do", toWave2 + "web-2=unchanged", patient, 2, 3, "next release: done", "gate"},
		{"the first one has nothing to do", toWave1 + "web-1=unchanged web-2=patched watch=pass*3 +24h approve", patient, 2, 3, "next release: done", "gate"},
		{"all of a cluster soak as ever", toWave2 + "web-2=patched", patient, 2, 0, "next release: done", "gate"},
	} {
		c, now := newCluster(r.members, 1, r.policy), epoch
		c.Size = r.of
		for _, word := range strings.Fields(unroll(r.path)) {
			c, now = playCluster(t, c, word, now)
		}
		if got := standingCluster(c, now); got != r.want {
			t.Errorf("%s: after %q\n got %s\nwant %s", r.sentence, r.path, got, r.want)
		}
		if got := events(c.Outbox); got != r.told {
			t.Errorf("%s: people were told %q, want %q", r.sentence, got, r.told)
		}
	}
}
