package file_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/invopop/jsonschema"

	"github.com/rollpatch/rollpatch/inventory"
	"github.com/rollpatch/rollpatch/inventory/campaign"
	"github.com/rollpatch/rollpatch/inventory/file"
)

// schema describes a file to editors, from nothing but the types that it is read into and their comments.
func schema(t *testing.T, title string, of any) []byte {
	t.Helper()
	r := &jsonschema.Reflector{
		Anonymous: true, ExpandedStruct: true, FieldNameTag: "yaml", RequiredFromJSONSchemaTags: true,
		Mapper: func(t reflect.Type) *jsonschema.Schema {
			switch t {
			case reflect.TypeFor[inventory.Duration]():
				return &jsonschema.Schema{Type: "string", Pattern: "^([0-9]+(ms|s|m|h|d))+$", Examples: []any{"90s", "15m", "24h", "2d"}}
			case reflect.TypeFor[inventory.Budget]():
				return &jsonschema.Schema{OneOf: []*jsonschema.Schema{{Type: "integer", Minimum: "1"}, {Type: "string", Pattern: "^[1-9][0-9]*%?$"}}}
			}
			if t == reflect.TypeFor[inventory.Script]() {
				return &jsonschema.Schema{Type: "string"}
			}
			if t == reflect.TypeFor[inventory.Limit]() {
				return &jsonschema.Schema{OneOf: []*jsonschema.Schema{{Type: "integer", Minimum: "1"}, {Type: "string", Pattern: "^[1-9][0-9]*( or [1-9][0-9]*%|%)?$"}}}
			}
			if enum, ok := reflect.Zero(t).Interface().(inventory.Enum); ok && t.Kind() == reflect.String {
				s := &jsonschema.Schema{Type: "string"}
				for _, v := range enum.Values() {
					s.Enum = append(s.Enum, v)
				}
				return s
			}
			return nil
		},
	}
	// Comments are found by import path: that of this folder, joined with where they lie from here.
	if err := r.AddGoComments(reflect.TypeFor[file.Source]().PkgPath(), ".."); err != nil {
		t.Fatal(err)
	}
	s := r.Reflect(of)
	if w := s.Definitions["Windows"]; w != nil {
		either := *w
		list := &jsonschema.Schema{Type: "array", Items: &jsonschema.Schema{Ref: "#/$defs/Window"}}
		s.Definitions["Windows"] = &jsonschema.Schema{OneOf: []*jsonschema.Schema{list, &either}, Description: w.Description}
		either.Description = ""
	}
	s.Title = title
	raw, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return append(raw, '\n')
}

func TestSchema(t *testing.T) {
	for name, raw := range map[string][]byte{
		"inventory.schema.json": schema(t, "rollpatch inventory", inventory.Inventory{}),
		"campaign.schema.json":  schema(t, "rollpatch campaign", campaign.Campaign{}),
	} {
		path := filepath.Join("../../docs/schema", name)
		if *update {
			if err := os.WriteFile(path, raw, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if string(raw) != string(want) {
			t.Errorf("%s is stale; write it anew with: go test ./inventory/file -run Schema -update", name)
		}
	}
}

// The schema calls required what the rules miss, and nothing else.
func TestRequired(t *testing.T) {
	inv, err := file.ParseInventory(read(t, "inventory-good.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	c, err := file.ParseCampaign(read(t, "campaign-good.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	// Who logs in is missed only where neither the host nor the inventory says it, which no schema can tell.
	for i := range inv.Value.Hosts {
		inv.Value.Hosts[i].Access.User = "patch"
	}
	required(t, reflect.ValueOf(&inv.Value).Elem(), "", func() []inventory.Problem { return inv.Value.Validate() })
	required(t, reflect.ValueOf(&c.Value).Elem(), "", func() []inventory.Problem { return c.Value.Validate() })
}

// required empties each field in turn and asks the rules whether the key at path is missed.
func required(t *testing.T, v reflect.Value, path string, validate func() []inventory.Problem) {
	t.Helper()
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			required(t, v.Elem(), path, validate)
		}
	case reflect.Slice:
		for i := range v.Len() {
			required(t, v.Index(i), fmt.Sprintf("%s[%d]", path, i), validate)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			key, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("yaml"), ",")
			if key == "" {
				continue
			}
			here := strings.TrimPrefix(path+"."+key, ".")
			if key == "-" { // written as a list, without a key
				here = path
			}
			kept := reflect.New(v.Field(i).Type()).Elem()
			kept.Set(v.Field(i))
			v.Field(i).SetZero()
			missed := slices.ContainsFunc(validate(), func(p inventory.Problem) bool { return p.Path == here })
			v.Field(i).Set(kept)
			// What a cluster needs for its drain hangs on which drain it has, which no schema can tell either.
			if t := reflect.TypeFor[inventory.Cluster](); v.Type() == t && slices.Contains([]string{"services", "drain_commands", "ports", "checks"}, key) {
				missed = false
			}
			// So does what a window or a freeze needs on which rule it has.
			if t := v.Type(); t == reflect.TypeFor[inventory.Window]() || t == reflect.TypeFor[inventory.Freeze]() {
				missed = missed && slices.Contains([]string{"name", "reason"}, key)
			}
			if tagged := strings.Contains(v.Type().Field(i).Tag.Get("jsonschema"), "required"); tagged != missed {
				t.Errorf("%s: required by the schema: %v, missed by the rules: %v", here, tagged, missed)
			}
			required(t, v.Field(i), here, validate)
		}
	}
}
