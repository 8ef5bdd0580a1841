package fingerprint

import (
	"math/rand"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// rows are those of a script, written as item: value.
func rows(lines ...string) (all [][]string) {
	for _, l := range lines {
		item, rest, _ := strings.Cut(l, ": ")
		all = append(all, append([]string{item}, strings.Split(rest, " | ")...))
	}
	return append(all, []string{"whole"})
}

func read(t *testing.T, s Stray, lines ...string) Print {
	t.Helper()
	p, err := Read(rows(lines...), s, every(Fail))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func every(a Action, allow ...string) map[string]Rule {
	all := map[string]Rule{}
	for item := range kinds {
		all[item] = Rule{a, allow}
	}
	return all
}

func TestCompare(t *testing.T) {
	for _, row := range []struct {
		sentence    string
		before, now []string
		stray       Stray
		rules       map[string]Rule
		want        []Difference
		untold      []string
	}{
		{"another name is one change", []string{"hostname: mq-1"}, []string{"hostname: localhost"}, Stray{}, every(Fail), []Difference{{"hostname", "mq-1", "localhost", true}}, nil},
		{"policy may warn", []string{"hostname: mq-1"}, []string{"hostname: localhost"}, Stray{}, every(Warn), []Difference{{"hostname", "mq-1", "localhost", false}}, nil},
		{"or ignore", []string{"hostname: mq-1"}, []string{"hostname: localhost"}, Stray{}, every(Ignore), nil, nil},
		{"an item without a rule is not compared", []string{"hostname: mq-1"}, []string{"hostname: localhost"}, Stray{}, nil, nil, nil},
		{"a mount that is gone fails", []string{"mounts: / ext4", "mounts: /srv xfs"}, []string{"mounts: / ext4"}, Stray{}, every(Fail), []Difference{{"mounts", "/srv xfs", "", true}}, nil},
		{"a new mount is a warning", []string{"mounts: / ext4"}, []string{"mounts: / ext4", "mounts: /srv xfs"}, Stray{}, every(Fail), []Difference{{"mounts", "", "/srv xfs", false}}, nil},
		{"another file system in its place fails", []string{"mounts: /srv xfs"}, []string{"mounts: /srv tmpfs"}, Stray{}, every(Fail), []Difference{{"mounts", "/srv xfs", "/srv tmpfs", true}}, nil},
		{"what does not listen any more fails", []string{"listeners: tcp/*:5672 beam.smp", "told: listeners"}, []string{"told: listeners"}, Stray{}, every(Fail), []Difference{{"listeners", "tcp/*:5672 beam.smp", "", true}}, nil},
		{"another process on the same port is a warning", []string{"listeners: tcp/*:80 nginx"}, []string{"listeners: tcp/*:80 apache2"}, Stray{}, every(Fail), []Difference{{"listeners", "tcp/*:80 nginx", "tcp/*:80 apache2", false}}, nil},
		{"a unit that newly fails fails", []string{"told: failed-units"}, []string{"failed-units: a.service"}, Stray{}, every(Fail), []Difference{{"failed-units", "", "a.service", true}}, nil},
		{"a unit that failed before is nobody's fault", []string{"failed-units: a.service"}, []string{"failed-units: a.service"}, Stray{}, every(Fail), nil, nil},
		{"nor is its recovery", []string{"failed-units: a.service"}, []string{"told: failed-units"}, Stray{}, every(Fail), nil, nil},
		{"patterns allow what may come and go", []string{"listeners: tcp/*:1234 x"}, []string{"told: listeners"}, Stray{}, every(Fail, "tcp/*:123* *"), nil, nil},
		{"and nothing else", []string{"listeners: tcp/*:1244 x"}, []string{"told: listeners"}, Stray{}, every(Fail, "tcp/*:123* *"), []Difference{{"listeners", "tcp/*:1244 x", "", true}}, nil},
		{"one that went with its address is a warning, as the address is", []string{"listeners: tcp/192.0.2.9:53 named", "addresses: eth0 192.0.2.9/24"}, []string{"told: listeners", "told: addresses"}, Stray{},
			map[string]Rule{"listeners": {Action: Fail}, "addresses": {Action: Warn}}, []Difference{{"addresses", "eth0 192.0.2.9/24", "", false}, {"listeners", "tcp/192.0.2.9:53 named", "", false}}, nil},
		{"one whose address is still there fails", []string{"listeners: tcp/192.0.2.9:53 named", "addresses: eth0 192.0.2.9/24"}, []string{"told: listeners", "addresses: eth0 192.0.2.9/24"}, Stray{}, every(Fail),
			[]Difference{{"listeners", "tcp/192.0.2.9:53 named", "", true}}, nil},
		{"what would be a warning and is not told any more is one", []string{"fqdn: a.example"}, nil, Stray{}, every(Warn), []Difference{{"fqdn", "is not told any more", "", false}}, nil},
		{"what is not told any more is not known", []string{"mounts: / ext4"}, nil, Stray{}, every(Fail), nil, []string{"mounts"}},
		{"unless nobody wants to know", []string{"mounts: / ext4"}, nil, Stray{}, every(Ignore), nil, nil},
		{"what was not told before is not compared", nil, []string{"mounts: / ext4"}, Stray{}, every(Fail), nil, nil},
		{"a mount by hand that a reboot took", []string{"mounts: / ext4", "mounts: /mnt/x ext4"}, []string{"mounts: / ext4"}, Stray{Mounts: []string{"/mnt/x"}}, every(Fail), nil, nil},
		{"or left", []string{"mounts: / ext4", "mounts: /mnt/x ext4"}, []string{"mounts: / ext4", "mounts: /mnt/x ext4"}, Stray{Mounts: []string{"/mnt/x"}}, every(Fail), nil, nil},
		{"a service by hand, and what it listened on", []string{"running-units: a.service", "listeners: tcp/*:99 a | a.service", "told: listeners", "told: running-units"}, []string{"told: listeners", "told: running-units"}, Stray{Units: []string{"a.service"}}, every(Fail), nil, nil},
		{"what somebody started from a login", []string{"listeners: tcp/*:99 nc | session", "told: listeners"}, []string{"told: listeners"}, Stray{}, every(Fail), nil, nil},
		{"a route by hand", []string{"routes: 10.9.0.0/16 via 10.0.0.1 dev eth0", "told: routes"}, []string{"told: routes"}, Stray{Routes: []string{"10.9.0.0/16 via 10.0.0.1 dev eth0"}}, every(Fail), nil, nil},
		{"a setting by hand", []string{"sysctl: vm.swappiness 1"}, []string{"sysctl: vm.swappiness 60"}, Stray{Sysctls: []string{"vm.swappiness"}}, every(Fail), nil, nil},
		{"the default route is gone", []string{"default-route: via 10.0.0.1 dev eth0"}, []string{"told: default-route"}, Stray{}, every(Fail), []Difference{{"default-route", "via 10.0.0.1 dev eth0", "", true}}, nil},
		{
			"those that fail come first", []string{"dns: nameserver 10.0.0.1", "hostname: a"}, []string{"dns: nameserver 10.0.0.2", "hostname: b"}, Stray{}, map[string]Rule{"dns": {Action: Warn}, "hostname": {Action: Fail}},
			[]Difference{{"hostname", "a", "b", true}, {"dns", "nameserver 10.0.0.1", "", false}, {"dns", "", "nameserver 10.0.0.2", false}}, nil,
		},
	} {
		got := Compare(read(t, row.stray, row.before...), read(t, Stray{}, row.now...), row.rules)
		if !reflect.DeepEqual(got, Result{row.want, row.untold}) {
			t.Errorf("%s: got %+v, want %+v, untold %q", row.sentence, got, row.want, row.untold)
		}
	}
}

// The same rows in any order are no difference; and whatever differs, each row of either side is told at most once.
func TestCompareProperties(t *testing.T) {
	for seed := range int64(500) {
		r := rand.New(rand.NewSource(seed))
		some := func() (all [][]string) {
			for item := range kinds {
				all = append(all, []string{"told", item})
				for range r.Intn(4) {
					all = append(all, []string{item, "k" + string(rune('a'+r.Intn(5))) + " v" + string(rune('a'+r.Intn(3)))})
				}
			}
			return append(all, []string{"whole"})
		}
		one := some()
		other := slices.Clone(one)
		r.Shuffle(len(other), func(i, j int) { other[i], other[j] = other[j], other[i] })
		a, errA := Read(one, Stray{}, every(Fail))
		b, errB := Read(other, Stray{}, every(Fail))
		c, errC := Read(some(), Stray{}, every(Fail))
		if errA != nil || errB != nil || errC != nil {
			t.Fatal(errA, errB, errC)
		}
		if got := Compare(a, b, every(Fail)); len(got.Differences) > 0 || len(got.Untold) > 0 {
			t.Fatalf("seed %d: the same in another order: %+v", seed, got)
		}
		told := map[string]int{}
		for _, d := range Compare(a, c, every(Fail)).Differences {
			if d.Gone == "" && d.New == "" || d.Gone == d.New {
				t.Fatalf("seed %d: no difference: %+v", seed, d)
			}
			if d.Gone != "" {
				told["-"+d.Item+d.Gone]++
			}
			if d.New != "" {
				told["+"+d.Item+d.New]++
			}
		}
		for row, n := range told {
			if n > 1 {
				t.Fatalf("seed %d: %q is told %d times", seed, row, n)
			}
		}
	}
}

func TestReadIsWhole(t *testing.T) {
	if _, err := Read([][]string{{"hostname", "a"}}, Stray{}, every(Fail)); err == nil {
		t.Error("what was cut off was read")
	}
	long := [][]string{}
	for i := range most + 1 {
		long = append(long, []string{"users", strings.Repeat("a", i+1)})
	}
	if p, err := Read(append(long, []string{"whole"}), Stray{}, every(Ignore)); err != nil || len(p.Rows) > 0 {
		t.Errorf("what nobody compares may be as long as it is: %v, %d items", err, len(p.Rows))
	}
	if _, err := Read(append(long, []string{"whole"}), Stray{}, every(Fail)); err == nil {
		t.Error("rows without end were kept")
	}
}

func TestMatch(t *testing.T) {
	for _, row := range []struct {
		pattern, row string
		want         bool
	}{
		{"", "", true}, {"a", "a", true}, {"a", "ab", false}, {"*", "x/y z", true}, {"a*", "ab", true}, {"*b", "ab", true}, {"a*b", "ab", true}, {"a*b", "a", false},
		{"a*a", "a", false}, {"a*b*c", "aXbYc", true}, {"a*b*c", "acb", false}, {"tcp/*:80 *", "tcp/[::]:80 nginx", true}, {"tcp/*:80 *", "udp/[::]:80 nginx", false},
	} {
		if got := Match(row.pattern, row.row); got != row.want {
			t.Errorf("Match(%q, %q) = %t, want %t", row.pattern, row.row, got, row.want)
		}
	}
}
