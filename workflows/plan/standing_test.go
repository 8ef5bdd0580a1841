package plan

import (
	"errors"
	"reflect"
	"testing"

	"github.com/rollpatch/rollpatch/workflows/approval"
)

func TestBehind(t *testing.T) {
	parts := map[string]Part{
		"part of cache": {Planned: &Planned{Platforms: []Platform{{OS: "debian", Packages: []Version{{Name: "openssl", Version: "2"}, {Name: "libc6", Version: "2"}}}, {OS: "rocky", Packages: []Version{{Name: "openssl", Version: "3"}, {Name: "nano"}}}}}},
		"part of web":   {Planned: &Planned{}},
		"part of db":    {},
	}
	p := Plan{Stages: []Stage{
		{Name: "staging", Clusters: []Cluster{{Name: "cache", Part: "part of cache"}}},
		{Name: "production", Clusters: []Cluster{{Name: "web", Part: "part of web"}, {Name: "db", Part: "part of db"}}},
	}}
	read := func(c Cluster) (Part, error) { return parts[c.Part], nil }
	cache := approval.BehindCluster{Name: "cache", Packages: []string{"libc6", "nano", "openssl"}}
	rest := []approval.BehindCluster{{Name: "web"}, {Name: "db", Unasked: true}}
	for gate, want := range map[string][]approval.BehindCluster{
		"start": append([]approval.BehindCluster{cache}, rest...), "stage/staging": {cache}, "stage/production": rest, "stage/other": nil, "soak/web/1": nil,
	} {
		if got, err := p.Behind(gate, read); err != nil || got.Emergency || !reflect.DeepEqual(got.Clusters, want) {
			t.Errorf("behind %s: %+v, %v; want %+v", gate, got, err, want)
		}
	}
	p.Emergency = []string{"openssl"}
	if got, err := p.Behind("start", read); err != nil || !got.Emergency {
		t.Errorf("behind the start of an emergency: %+v, %v", got, err)
	}
	if _, err := p.Behind("start", func(Cluster) (Part, error) { return Part{}, errors.New("no such body") }); err == nil {
		t.Error("a part that cannot be read is none")
	}
}
