package staging

import (
	"strings"
	"testing"
	"time"
)

var (
	trixie = Platform{"debian", "13", "amd64"}
	now    = time.Date(2026, 12, 10, 0, 0, 0, 0, time.UTC)
	three  = Rule{Stage: "staging", MinAge: 72 * time.Hour}
	web11  = Version{Name: "web", Version: "1.1", SHA256: "aa"}
)

// had is a record of so long ago.
func had(ago time.Duration, vs ...Version) Record {
	return Record{Stage: "staging", Cluster: "cache", Instance: "weekly-1", At: now.Add(-ago), Platform: trixie, Versions: vs}
}

// urgent is one of an emergency.
func urgent(ago time.Duration) Record {
	return with(had(ago, web11), func(r *Record) { r.Emergency = true })
}

func with(r Record, change func(*Record)) Record { change(&r); return r }

func TestJudge(t *testing.T) {
	t.Parallel()
	day := 24 * time.Hour
	lib := Version{Name: "lib", Version: "2"}
	shut := Shut{Version: Version{Name: "web", Version: "1.1"}, Platform: trixie, Name: "cache/12ab"}
	for _, row := range []struct {
		sentence string
		rule     Rule
		want     []Version
		records  []Record
		shut     []Shut
		ok       bool
		lacks    string
		waits    string
		ready    time.Duration // from now
	}{
		{"what finished long ago may go", three, []Version{web11}, []Record{had(4*day, web11)}, nil, true, "", "", 0},
		{"exactly long enough ago", three, []Version{web11}, []Record{had(3*day, web11)}, nil, true, "", "", 0},
		{"nothing to bring needs no record", three, nil, nil, nil, true, "", "", 0},
		{"no age is asked for", Rule{Stage: "staging"}, []Version{web11}, []Record{had(0, web11)}, nil, true, "", "", 0},
		{"a moment too young", three, []Version{web11}, []Record{had(3*day-time.Second, web11)}, nil, false, "", "web 1.1 finished in stage staging at 2026-12-07T00:00:01Z (cache in weekly-1), and that has to be 3d ago: until 2026-12-10T00:00:01Z", time.Second},
		{"a record of the future is young", three, []Version{web11}, []Record{had(-day, web11)}, nil, false, "", "until 2026-12-14", 4 * day},
		{"the youngest of several is waited for", three, []Version{web11, lib}, []Record{had(day, web11), had(2*day, lib)}, nil, false, "", "", 2 * day},
		{"the oldest record of a version counts", three, []Version{web11}, []Record{had(day, web11), had(9*day, web11), had(2*day, web11)}, nil, true, "", "", 0},
		{"no record", three, []Version{web11}, nil, nil, false, "stage staging has to be through with it first: web 1.1 has not finished there", "", 0},
		{"one of two", three, []Version{web11, lib}, []Record{had(9*day, web11)}, nil, false, "lib 2 has not finished there", "", 0},
		{"a newer version than staging had", three, []Version{{Name: "web", Version: "1.2"}}, []Record{had(9*day, web11)}, nil, false, "web 1.2 has not finished there (1.1 has)", "", 0},
		{"of another stage", three, []Version{web11}, []Record{with(had(9*day, web11), func(r *Record) { r.Stage = "test" })}, nil, false, "has not finished", "", 0},
		{"on another release", three, []Version{web11}, []Record{with(had(9*day, web11), func(r *Record) { r.Release = "12" })}, nil, false, "has not finished", "", 0},
		{"on another architecture", three, []Version{web11}, []Record{with(had(9*day, web11), func(r *Record) { r.Arch = "arm64" })}, nil, false, "has not finished", "", 0},
		{"in an emergency", three, []Version{web11}, []Record{urgent(9 * day)}, nil, false, "web 1.1 has not finished there (that version has, in the emergency weekly-1, which does not count: requires: {emergency: true} would count it)", "", 0},
		{"in an emergency, beside another version", three, []Version{web11}, []Record{urgent(9 * day), had(day, Version{Name: "web", Version: "1.0"})}, nil, false, "in the emergency weekly-1", "", 0},
		{"in an emergency, and then as usual", three, []Version{web11}, []Record{urgent(9 * day), had(day, web11)}, nil, false, "", "finished in stage staging at 2026-12-09", 2 * day},
		{"in an emergency, where that counts", Rule{Stage: "staging", MinAge: 72 * time.Hour, Emergency: true}, []Version{web11}, []Record{urgent(9 * day)}, nil, true, "", "", 0},
		{"in quarantine there", three, []Version{web11}, []Record{had(9*day, web11)}, []Shut{shut}, false, "web 1.1 has not finished there (it is in quarantine there, as cache/12ab)", "", 0},
		{"in quarantine on any platform", three, []Version{web11}, []Record{had(9*day, web11)}, []Shut{{Version: shut.Version, Name: "x"}}, false, "in quarantine", "", 0},
		{"another version in quarantine", three, []Version{web11}, []Record{had(9*day, web11)}, []Shut{{Version: Version{Name: "web", Version: "1.0"}, Name: "x"}}, true, "", "", 0},
		{"in quarantine on another platform", three, []Version{web11}, []Record{had(9*day, web11)}, []Shut{{Version: shut.Version, Platform: Platform{"debian", "12", "amd64"}, Name: "x"}}, true, "", "", 0},
		{"the same version in another file", three, []Version{{Name: "web", Version: "1.1", SHA256: "bb"}}, []Record{had(9*day, web11)}, nil, false, "(that version has, as another file: sha256 aa, and this one is bb)", "", 0},
		{"a file that nobody knows yet", three, []Version{{Name: "web", Version: "1.1"}}, []Record{had(9*day, web11)}, nil, true, "", "", 0},
		{"that very file later counts from then", three, []Version{{Name: "web", Version: "1.1", SHA256: "bb"}}, []Record{had(9*day, web11), had(day, Version{Name: "web", Version: "1.1", SHA256: "bb"})}, nil, false, "", "finished", 2 * day},
	} {
		a := row.rule.Judge(trixie, row.want, row.records, row.shut, now)
		if a.OK() != row.ok || (a.Lacks() == "") != (row.lacks == "") || !strings.Contains(a.Lacks(), row.lacks) || !strings.Contains(a.Waits(), row.waits) {
			t.Errorf("%s: ok %t, lacks %q, waits %q; want %t, %q, %q", row.sentence, a.OK(), a.Lacks(), a.Waits(), row.ok, row.lacks, row.waits)
		}
		if want := now.Add(row.ready); row.ready != 0 && !a.Ready.Equal(want) || row.ready == 0 && !a.Ready.IsZero() {
			t.Errorf("%s: ready at %s, want %s", row.sentence, a.Ready, want)
		}
		if got := append(a.Proven(), a.Open()...); len(got) != len(row.want) || (len(a.Open()) == 0) != row.ok {
			t.Errorf("%s: %d lines for %d versions: %q", row.sentence, len(got), len(row.want), got)
		}
	}
}

// Many versions are told in a few words: people read them in one line of a status.
func TestManyAreToldInShort(t *testing.T) {
	t.Parallel()
	var want []Version
	for _, name := range strings.Split("a b c d e f g", " ") {
		want = append(want, Version{Name: name, Version: "1"})
	}
	if got := three.Judge(trixie, want, nil, nil, now).Lacks(); !strings.HasSuffix(got, "e 1 has not finished there, and 2 more") {
		t.Errorf("lacks %q", got)
	}
}
