package inventory_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/rollpatch/rollpatch/inventory"
)

func TestDependents(t *testing.T) {
	needs := func(name string, on ...string) inventory.Cluster {
		return inventory.Cluster{Name: name, DependsOn: on, Owner: "owner of " + name, Contact: "contact of " + name}
	}
	for _, row := range []struct {
		says     string
		clusters []inventory.Cluster
		of, want string
	}{
		{"nobody needs it", []inventory.Cluster{needs("db"), needs("web")}, "db", "[]"},
		{"a chain", []inventory.Cluster{needs("front", "web"), needs("web", "db"), needs("db")}, "db", "[{web [db web]} {front [db web front]}]"},
		{"not who it needs itself", []inventory.Cluster{needs("web", "db"), needs("db")}, "web", "[]"},
		{"the shortest chain of two", []inventory.Cluster{needs("front", "web", "db"), needs("web", "db"), needs("db")}, "db", "[{front [db front]} {web [db web]}]"},
		{"two chains that part do not write over each other", []inventory.Cluster{needs("db"), needs("a", "db"), needs("b", "a"), needs("c", "a"), needs("d", "b"), needs("e", "b")}, "db",
			"[{a [db a]} {b [db a b]} {c [db a c]} {d [db a b d]} {e [db a b e]}]"},
		{"a circle ends", []inventory.Cluster{needs("a", "b"), needs("b", "c"), needs("c", "a")}, "a", "[{c [a c]} {b [a c b]}]"},
	} {
		var got []string
		for _, d := range (inventory.Inventory{Clusters: row.clusters}).Dependents()(row.of) {
			got = append(got, fmt.Sprintf("{%s %s}", d.Name, d.Chain))
			if d.Owner != "owner of "+d.Name || d.Contact != "contact of "+d.Name {
				t.Errorf("%s: of %s are to be told %q, %q", row.says, d.Name, d.Owner, d.Contact)
			}
		}
		if fmt.Sprint(got) != row.want {
			t.Errorf("%s: %s, want %s", row.says, got, row.want)
		}
	}
}

// Plans of earlier builds have the names alone.
func TestDependentOfAnEarlierPlan(t *testing.T) {
	var got []inventory.Dependent
	if err := json.Unmarshal([]byte(`["web", {"name": "front", "chain": ["db", "front"], "owner": "olu"}]`), &got); err != nil {
		t.Fatal(err)
	}
	if want := "[{web []  } {front [db front] olu }]"; fmt.Sprint(got) != want {
		t.Errorf("read %v, want %s", got, want)
	}
	if err := json.Unmarshal([]byte(`[7]`), &got); err == nil {
		t.Error("a number is no dependent")
	}
}
