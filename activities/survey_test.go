package activities

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rollpatch/rollpatch/inventory"
	"github.com/rollpatch/rollpatch/workflows/plan"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

// twoClusters share web-2; cache has a Consul and a segment of its own.
func twoClusters() inventory.Inventory {
	token := &inventory.Secret{Env: "ROLLPATCH_TEST_TOKEN"}
	inv := inventory.Inventory{
		Hosts: []inventory.Host{{Name: "web-1", Address: "10.0.0.1"}, {Name: "web-2", Address: "10.0.0.2"}, {Name: "db-1", Address: "10.0.0.3"}, {Name: "cache-1", Address: "10.0.0.4", Segment: "dmz"}},
		Clusters: []inventory.Cluster{
			{Name: "web", Members: []string{"web-1", "web-2"}, Services: []inventory.Service{{Name: "http", Port: 80}}, Consul: inventory.Consul{Token: token}},
			{Name: "db", Members: []string{"web-2", "db-1"}, Services: []inventory.Service{{Name: "sql", Port: 5432}}, Consul: inventory.Consul{Token: token}},
			{Name: "cache", Members: []string{"cache-1"}, Services: []inventory.Service{{Name: "redis", Port: 6379}}, Consul: inventory.Consul{Address: "127.0.0.1:9500", Hosts: []string{"cache-1"}, Token: token}},
		},
	}
	inv.Consul.Hosts = []string{"web-1", "db-1"}
	inv.Access.User = "patch"
	return inv.Resolve()
}

type none struct{}

func TestWays(t *testing.T) {
	w := newWorld()
	w.estate = twoClusters()
	a := w.activities()
	got, err := do(t, nil, func(ctx context.Context, _ none) (Ways, error) { return a.Ways(ctx) }, none{})
	if err != nil || got.Server != theServer || got.Problem != "" || len(got.Ways) != 2 {
		t.Fatalf("%+v, %v; want two ways", got, err)
	}
	if got.Ways[0].Cluster != "web" || got.Ways[1].Cluster != "cache" || got.Ways[1].Segment != "dmz" {
		t.Errorf("ways %+v, want one through web, and one through cache in its segment", got.Ways)
	}
	for _, way := range got.Ways {
		if _, ok := w.bodies[way.Part]; !ok {
			t.Errorf("the part of %s is not in the store", way.Cluster)
		}
	}
	w.proveNoSecret(t, got)

	for says, trouble := range map[string]error{"--inventory FILE": ErrNoInventory, "inventory.yaml:4": errors.New("inventory.yaml:4: hosts: unknown key")} {
		w := newWorld()
		w.unread = trouble
		a := w.activities()
		got, err := do(t, nil, func(ctx context.Context, _ none) (Ways, error) { return a.Ways(ctx) }, none{})
		if err != nil || !strings.Contains(got.Problem, says) || len(got.Ways) > 0 {
			t.Errorf("%+v, %v; want the problem %q", got, err, says)
		}
	}
}

func TestASurveyListsRecordsAndMaintenanceThatNamesUs(t *testing.T) {
	w := newWorld()
	w.records["drain/web-1"] = Claim{Key: "drain/web-1", Owner: instance, Server: theServer}
	w.records["versions/web/1"] = Claim{Key: "versions/web/1", Owner: instance, Server: theServer, Suspects: &Suspects{Cluster: "web", Versions: []Change{{Name: "nginx", New: "2"}}, Count: 1}}
	w.instances[0].Maintenance = []string{Reason(instance, "web-1")}
	w.instances[1].Maintenance = []string{"jane looks at the disk"}
	w.instances[2].Maintenance = []string{"rollpatch is broken, says jane"}
	part, _ := w.Put(t.Context(), plan.Body(webPart()))
	got, err := do(t, nil, w.activities().Survey, RecordsInput{Part: part})
	if err != nil || len(got.Records) != 2 || got.Records[0].Server != theServer {
		t.Fatalf("%+v, %v", got, err)
	}
	if s := got.Records[1].Suspects; s == nil || s.Count != 1 || s.Versions != nil {
		t.Errorf("suspects %+v: want them without the list of versions, which may be too much for a history", s)
	}
	want := []rollout.Mark{
		{Node: "web-1", Service: "http", Reason: Reason(instance, "web-1"), Instance: instance, Host: "web-1"},
		{Node: "web-3", Service: "http", Reason: "rollpatch is broken, says jane"}, // nobody knows whose
	}
	if !slices.Equal(got.Marks, want) {
		t.Errorf("marks %+v, want %+v", got.Marks, want)
	}
	w.proveNoSecret(t, got)
	if i, j := slices.Index(w.log, "marked"), len(w.accesses); i < 0 || j != 2 {
		t.Errorf("asked %v", w.log)
	}
}

func TestASurveyOfAConsulThatIsAwayIsNoEmptyOne(t *testing.T) {
	for says, trouble := range map[string]func(*world){
		"its records":     func(w *world) { w.claims = errAway },
		"its maintenance": func(w *world) { w.catalog = func(int) error { return errAway } },
	} {
		w := newWorld()
		w.records["cluster/web"] = Claim{Key: "cluster/web", Owner: instance, Server: theServer}
		part, _ := w.Put(t.Context(), plan.Body(webPart()))
		trouble(w)
		got, err := do(t, nil, w.activities().Survey, RecordsInput{Part: part})
		if err != nil || got.Problem == "" || len(got.Records)+len(got.Marks) > 0 {
			t.Errorf("%s: %+v, %v; want what is wrong, and nothing else", says, got, err)
		}
	}
}

// One record that nobody can read keeps nobody from the others.
func TestARecordThatCannotBeReadIsListedAsThat(t *testing.T) {
	w := newWorld()
	w.records["drain/web-1"] = Claim{Key: "drain/web-1", Owner: instance, Server: theServer}
	w.records["drain/web-2"] = Claim{Key: "drain/web-2", Broken: "no JSON"}
	part, _ := w.Put(t.Context(), plan.Body(webPart()))
	got, err := do(t, nil, w.activities().Survey, RecordsInput{Part: part})
	if err != nil || got.Problem != "" || len(got.Records) != 2 || got.Records[1] != w.records["drain/web-2"] {
		t.Errorf("a survey: %+v, %v; want both records", got, err)
	}
	list, err := do(t, nil, w.activities().Records, RecordsInput{Part: part})
	if err != nil || len(list) != 2 || list[1] != w.records["drain/web-2"] {
		t.Errorf("a list: %+v, %v; want both records", list, err)
	}
}

func TestHomes(t *testing.T) {
	w := newWorld()
	w.estate = twoClusters()
	got, err := do(t, nil, w.activities().Homes, HomesInput{Suspects: []rollout.Suspect{
		{Instance: "monthly-1", Clusters: []string{"db"}, Hosts: []string{"web-2", "old-1"}}, {Instance: "weekly-1", Clusters: []string{"cache", "gone"}},
		{Instance: "daily-1", Clusters: []string{"web"}},
	}})
	if err != nil || len(got.Reach) != 3 {
		t.Fatalf("%+v, %v", got, err)
	}
	if r := got.Reach[0]; r.Instance != "monthly-1" || !slices.Equal(r.Clusters, []string{"db", "web"}) || !slices.Equal(r.Hosts, []string{"db-1", "old-1", "web-1", "web-2"}) {
		t.Errorf("reach %+v: want the clusters that share a host, and all of their members", r)
	}
	if r := got.Reach[1]; !slices.Equal(r.Clusters, []string{"cache", "gone"}) || !slices.Equal(r.Hosts, []string{"cache-1"}) {
		t.Errorf("reach %+v: a cluster that left the inventory may still be worked on", r)
	}
	if r := got.Reach[2]; !slices.Equal(r.Clusters, []string{"db", "web"}) {
		t.Errorf("reach %+v: one claim may be of the cluster that shares a host", r)
	}
	home, ok := got.Homes["web-2"]
	if !ok || home.Cluster != "db" || !home.Member.Unattended || home.Member.WaitMax != 30*time.Minute || home.Limits[rollout.StepCheck] == 0 {
		t.Errorf("home %+v: want the cluster that its instance has claimed, and the policy of nobody there", home)
	}
	if _, ok := w.bodies[home.Part]; !ok {
		t.Error("its part is not in the store")
	}
	if _, ok := got.Homes["old-1"]; ok {
		t.Error("a host that left the inventory has a home")
	}
}

func TestAskAllAnswersInOrderOrNotAtAll(t *testing.T) {
	w := newWorld()
	w.ask = func(id string) (AskResult, error) {
		return AskResult{Status: id, Result: []byte("{}")}, nil
	}
	got, err := do(t, nil, w.activities().AskAll, AskAllInput{WorkflowIDs: []string{"b", "a"}})
	if err != nil || len(got) != 2 || got[0].Status != "b" || got[1].Status != "a" || got[0].Result != nil {
		t.Errorf("%+v, %v", got, err)
	}
	w.ask = func(id string) (AskResult, error) {
		if id == "a" {
			return AskResult{}, errAway
		}
		return AskResult{}, nil
	}
	if got, err := do(t, nil, w.activities().AskAll, AskAllInput{WorkflowIDs: []string{"b", "a"}}); err == nil || len(got) > 0 {
		t.Errorf("%+v, %v; want an error: who cannot be asked for is not gone", got, err)
	}
}

// Every record says which server its instance runs on, and whom it would tell; where that cannot be told nothing is written.
func TestRecordsSayWhoseTheyAre(t *testing.T) {
	write := func(w *world) error {
		part, _ := w.Put(t.Context(), plan.Body(webPart()))
		a := w.activities()
		_, err := do(t, nil, a.Claim, ClaimInput{Instance: instance, Part: part, Plan: "sha256:plan", Intent: intent("claim", "")})
		if err == nil {
			_, err = do(t, nil, a.Drain, StepInput{Instance: instance, Part: part, Plan: "sha256:plan", Host: "web-1", Intent: intent("drain", "web-1")})
		}
		if err == nil {
			_, err = do(t, nil, a.Quarantine, StepInput{Instance: instance, Part: part, Plan: "sha256:plan", Host: "web-1", Intent: intent("quarantine", "web-1")})
		}
		return err
	}
	w := newWorld()
	if err := write(w); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"cluster/web", "drain/web-1", "quarantine/web-1"} {
		if r := w.records[key]; r.Server != theServer || r.Plan != "sha256:plan" || r.Owner != instance {
			t.Errorf("%s is written as %+v", key, r)
		}
	}
	w = newWorld()
	w.server = errAway
	if err := write(w); err != nil || len(w.records) > 0 || w.did("enter http") > 0 {
		t.Errorf("without knowing the server: %v, wrote %+v, did %v", err, w.records, w.log)
	}
}
