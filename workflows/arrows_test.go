package workflows_test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const modulePath = "github.com/rollpatch/rollpatch/"

// goPackage is what go list says of one package. Paths within the module have lost its path.
type goPackage struct {
	ImportPath   string
	Imports      []string // of its code, not of its tests
	Deps         []string // of its code, however deep
	TestImports  []string
	XTestImports []string
}

// arrow is one rule about who may import whom.
type arrow struct {
	rule   string
	of     func(path string) bool              // whose imports it is about
	looks  func(p goPackage) []string          // at which of them
	allows func(path, imported string) bool    // and which of those are right
	broken struct{ path, imports, dep string } // an example that must be found
}

var (
	purePackages   = []string{"workflows/rollout", "workflows/calendar", "workflows/approval", "workflows/audit", "workflows/staging", "workflows/preflight", "workflows/fingerprint", "workflows/advisory"}
	productFolders = []string{"activities", "cmd", "inventory", "playbooks", "testenv", "workflows"}
)

func direct(p goPackage) []string    { return p.Imports }
func deep(p goPackage) []string      { return p.Deps }
func withTests(p goPackage) []string { return slices.Concat(p.Deps, p.TestImports, p.XTestImports) }

func under(path, folder string) bool { return path == folder || strings.HasPrefix(path, folder+"/") }
func pure(path string) bool          { return slices.Contains(purePackages, path) }
func is(name string) func(string) bool {
	return func(path string) bool { return path == name }
}

// ours says that a path is within the module; standard, that it is Go's own.
func ours(path string) bool {
	return slices.ContainsFunc(productFolders, func(f string) bool { return under(path, f) })
}
func standard(path string) bool {
	head, _, _ := strings.Cut(path, "/")
	return !strings.Contains(head, ".") && !ours(path)
}

// sibling is the name of a package's folder under activities.
func sibling(path string) string {
	name, _, _ := strings.Cut(strings.TrimPrefix(path, "activities/"), "/")
	return name
}

var arrows = []arrow{
	{
		rule: "the pure packages import the standard library only",
		of:   pure, looks: deep, allows: func(_, imported string) bool { return standard(imported) },
		broken: example("workflows/rollout", "", "github.com/google/uuid"),
	},
	{
		rule: "workflows/plan may use inventory, playbooks and the pure packages",
		of:   is("workflows/plan"), looks: direct,
		allows: func(_, imported string) bool {
			return standard(imported) || pure(imported) || under(imported, "inventory") || under(imported, "playbooks")
		},
		broken: example("workflows/plan", "activities", ""),
	},
	{
		rule: "workflows may use the pure packages, plan, the root of activities and Temporal's SDK",
		of:   is("workflows"), looks: direct,
		allows: func(_, imported string) bool {
			return standard(imported) || pure(imported) || imported == "workflows/plan" || imported == "activities" ||
				under(imported, "go.temporal.io/sdk") || under(imported, "go.temporal.io/api")
		},
		broken: example("workflows", "activities/consul", ""),
	},
	{
		rule: "workflows and what is under it reach no SSH, no Consul and no worker's machinery",
		of:   func(path string) bool { return under(path, "workflows") }, looks: deep,
		allows: func(_, imported string) bool {
			return !under(imported, "github.com/hashicorp/consul") && !under(imported, "golang.org/x/crypto/ssh") &&
				(!under(imported, "activities") || imported == "activities")
		},
		broken: example("workflows", "", "golang.org/x/crypto/ssh/agent"),
	},
	{
		rule: "activities may use the pure packages and plan, never workflows",
		of:   func(path string) bool { return under(path, "activities") }, looks: withTests,
		allows: func(_, imported string) bool {
			return !under(imported, "workflows") || pure(imported) || imported == "workflows/plan"
		},
		broken: example("activities/sshrun", "", "workflows"),
	},
	{
		rule: "the root of activities knows none of the packages under it",
		of:   is("activities"), looks: deep, allows: func(_, imported string) bool { return !strings.HasPrefix(imported, "activities/") },
		broken: example("activities", "", "activities/store"),
	},
	{
		rule: "siblings under activities never import each other",
		of:   func(path string) bool { return strings.HasPrefix(path, "activities/") }, looks: withTests,
		allows: func(path, imported string) bool {
			return !strings.HasPrefix(imported, "activities/") || sibling(path) == sibling(imported)
		},
		broken: example("activities/notify", "", "activities/secret"),
	},
	{
		rule: "inventory and playbooks are leaves",
		of:   func(path string) bool { return under(path, "inventory") || under(path, "playbooks") }, looks: deep,
		allows: func(path, imported string) bool {
			folder, _, _ := strings.Cut(path, "/")
			return !ours(imported) || under(imported, folder)
		},
		broken: example("playbooks", "", "inventory/file"),
	},
	{
		rule: "only cmd/lab and tests import testenv",
		of:   func(path string) bool { return !under(path, "cmd/lab") && !under(path, "testenv") }, looks: deep,
		allows: func(_, imported string) bool { return !under(imported, "testenv") },
		broken: example("cmd/rollpatch", "", "testenv/sim"),
	},
	{
		rule: "only cmd/rollpatchd imports Temporal's server",
		of:   func(path string) bool { return !under(path, "cmd/rollpatchd") }, looks: withTests,
		allows: func(_, imported string) bool { return !under(imported, "go.temporal.io/server") },
		broken: example("cmd/rollpatch", "", "go.temporal.io/server/temporal"),
	},
	{
		rule: "only cmd imports cmd",
		of:   func(path string) bool { return !under(path, "cmd") }, looks: withTests,
		allows: func(_, imported string) bool { return !under(imported, "cmd") },
		broken: example("testenv/e2e", "", "cmd/internal/wiring"),
	},
	{
		rule: "there is no other top-level folder of code",
		of:   func(path string) bool { return true }, looks: func(p goPackage) []string { return []string{p.ImportPath} },
		allows: func(path, _ string) bool { return ours(path) },
		broken: example("util", "", ""),
	},
}

func example(path, imports, dep string) struct{ path, imports, dep string } {
	return struct{ path, imports, dep string }{path, imports, dep}
}

// astray lists the imports that break the rule.
func (a arrow) astray(pkgs []goPackage) []string {
	var wrong []string
	for _, p := range pkgs {
		if !a.of(p.ImportPath) {
			continue
		}
		for _, imported := range a.looks(p) {
			if !a.allows(p.ImportPath, imported) {
				wrong = append(wrong, p.ImportPath+" -> "+imported)
			}
		}
	}
	slices.Sort(wrong)
	return slices.Compact(wrong)
}

// TestArrows holds the house's arrows over every package that go list finds.
func TestArrows(t *testing.T) {
	t.Parallel()
	pkgs := listPackages(t)
	for _, a := range arrows {
		for _, wrong := range a.astray(pkgs) {
			t.Errorf("%s: %s", a.rule, wrong)
		}
	}
}

// TestArrowsAreFoundBroken shows each rule an import that it must refuse.
func TestArrowsAreFoundBroken(t *testing.T) {
	t.Parallel()
	for _, a := range arrows {
		bad := goPackage{ImportPath: a.broken.path, Imports: []string{"fmt"}, Deps: []string{"fmt"}}
		if a.broken.imports != "" {
			bad.Imports = append(bad.Imports, a.broken.imports)
		}
		if a.broken.dep != "" {
			bad.Deps = append(bad.Deps, a.broken.dep)
		}
		if got := a.astray([]goPackage{bad}); len(got) != 1 {
			t.Errorf("%s: of %+v it finds %q, want one", a.rule, bad, got)
		}
	}
}

func listPackages(t *testing.T) []goPackage {
	t.Helper()
	// -e: a package that is broken elsewhere still has its arrows.
	cmd := exec.Command("go", "list", "-e", "-json=ImportPath,Imports,Deps,TestImports,XTestImports", "./...")
	cmd.Dir = ".."
	out, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			t.Fatalf("go list: %v: %s", err, exit.Stderr)
		}
		t.Fatalf("go list: %v", err)
	}
	var pkgs []goPackage
	dec := json.NewDecoder(strings.NewReader(string(out)))
	for {
		var p goPackage
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("go list: %v", err)
		}
		p.ImportPath = strings.TrimPrefix(p.ImportPath, modulePath)
		for _, list := range [][]string{p.Imports, p.Deps, p.TestImports, p.XTestImports} {
			for i := range list {
				list[i] = strings.TrimPrefix(list[i], modulePath)
			}
		}
		pkgs = append(pkgs, p)
	}
	for _, must := range []string{"activities", "inventory", "workflows", "workflows/rollout"} {
		if !slices.ContainsFunc(pkgs, func(p goPackage) bool { return p.ImportPath == must }) {
			t.Fatalf("go list names no %s: %v", must, pkgs)
		}
	}
	return pkgs
}
