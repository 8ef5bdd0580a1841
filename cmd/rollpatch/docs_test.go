package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/rollpatch/rollpatch/cmd/internal/wiring"
	"github.com/rollpatch/rollpatch/inventory"
	"github.com/rollpatch/rollpatch/inventory/campaign"
	"github.com/rollpatch/rollpatch/inventory/file"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

const top = "../.."

// page is one document that people read.
type page struct{ name, text string }

func pages(t *testing.T) []page {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(top, "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	var out []page
	for _, path := range append([]string{filepath.Join(top, "README.md"), filepath.Join(top, "CONTRIBUTING.md")}, found...) {
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		name, err := filepath.Rel(top, path)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, page{name, string(raw)})
	}
	if len(out) < 4 {
		t.Fatalf("got %d pages, want README, CONTRIBUTING, architecture and operations at least", len(out))
	}
	return out
}

func pageOf(t *testing.T, name string) string {
	t.Helper()
	for _, p := range pages(t) {
		if p.name == name {
			return p.text
		}
	}
	t.Fatalf("there is no %s", name)
	return ""
}

// block is what stands between two fences.
type block struct {
	lang string
	line int // of its first line
	text string
}

var fence = regexp.MustCompile("(?ms)^```([a-z]*)\n(.*?)^```$")

func (p page) blocks() []block {
	var out []block
	for _, m := range fence.FindAllStringSubmatchIndex(p.text, -1) {
		out = append(out, block{lang: p.text[m[2]:m[3]], line: 1 + strings.Count(p.text[:m[4]], "\n"), text: p.text[m[4]:m[5]]})
	}
	return out
}

// shellWords splits a line as a shell does, up to a pipe, a redirection or a second command.
func shellWords(line string) ([]string, error) {
	var (
		out    []string
		word   strings.Builder
		quote  rune
		inWord bool
	)
	end := func() {
		if inWord {
			out, inWord = append(out, word.String()), false
			word.Reset()
		}
	}
	for _, r := range line {
		switch {
		case quote == 0 && !inWord && r == '#':
			return out, nil
		case quote != 0 && r == quote:
			quote = 0
		case quote != 0:
			word.WriteRune(r)
		case r == '"' || r == '\'':
			quote, inWord = r, true
		case r == ' ':
			end()
		case strings.ContainsRune("|>&;", r):
			end()
			return out, nil
		default:
			word.WriteRune(r)
			inWord = true
		}
	}
	end()
	if quote != 0 {
		return nil, fmt.Errorf("a quote is not closed: %s", line)
	}
	return out, nil
}

func TestShellWords(t *testing.T) {
	for line, want := range map[string][]string{
		`rollpatch approve monthly --reason "pages are fine"`: {"rollpatch", "approve", "monthly", "--reason", "pages are fine"},
		`rollpatch list -o json | jq -r '.[0].instance'`:      {"rollpatch", "list", "-o", "json"},
		`rollpatch why ''`:              {"rollpatch", "why", ""},
		`make demo   # brings up a lab`: {"make", "demo"},
	} {
		if got, err := shellWords(line); err != nil || !slices.Equal(got, want) {
			t.Errorf("shellWords(%s) = %q, %v, want %q", line, got, err, want)
		}
	}
	if got, err := shellWords(`rollpatch approve --reason "never closed`); err == nil {
		t.Errorf("words of an open quote = %q, want an error", got)
	}
}

// understood says what the CLI itself would find wrong with a command line, doing nothing of what it says.
func understood(argv []string) error {
	d := &desk{in: strings.NewReader(""), out: &bytes.Buffer{}, err: &bytes.Buffer{}, now: time.Now, terminal: func(any) bool { return false }}
	app := d.app()
	asked := false
	var muted func([]*cli.Command)
	muted = func(cmds []*cli.Command) {
		for _, c := range cmds {
			if muted(c.Subcommands); len(c.Subcommands) > 0 {
				continue // said alone it complains, and does nothing
			}
			c.Action = func(c *cli.Context) error {
				asked = true
				switch form := c.Command.ArgsUsage; {
				case form == "" && c.NArg() > 0:
					return fmt.Errorf("%s takes no argument, got %q", called(c), c.Args().Slice())
				case form != "" && !strings.HasPrefix(form, "[") && c.NArg() != 1:
					return fmt.Errorf("%s takes %s, got %q", called(c), form, c.Args().Slice())
				}
				return nil
			}
		}
	}
	muted(app.Commands)
	if err := app.RunContext(context.Background(), append([]string{app.Name}, interspersed(app, argv)...)); err != nil {
		return err
	}
	if !asked && !slices.Contains(argv, "--help") {
		return fmt.Errorf("no command is named")
	}
	return nil
}

func TestUnderstood(t *testing.T) {
	for _, good := range []string{"run -i other.yaml campaign.yaml", "status", "why web-1", `abort monthly --reason "..."`, "freeze now", "freeze --help", "claims break web -i other.yaml", "claims list", "inventory import ansible a b --user ops", "inventory import consul --user ops", "access scan --accept", "inventory risks", "inventory risks other.yaml -o json"} {
		argv, _ := shellWords(good)
		if err := understood(argv); err != nil {
			t.Errorf("rollpatch %s: %v", good, err)
		}
	}
	for _, bad := range []string{"", "schedule", "schedule later", "freeze", "freeze later", "claims break", "claims list web", "claims list --return", "inventory import", "inventory import chef", "inventory import consul web", "access", "access scan web", "run", "run --soon campaign.yaml", "status one two three --flag", "list web"} {
		argv, _ := shellWords(bad)
		if understood(argv) == nil {
			t.Errorf("rollpatch %s is understood", bad)
		}
	}
}

var (
	typed   = regexp.MustCompile(`(?m)^\$ (.*)$`)
	inline  = regexp.MustCompile("`((?:[A-Z_]+=[^ `]+ )*(?:rollpatch|rollpatchd|make) [^`]+)`")
	shown   = regexp.MustCompile(`(?m)^    ((?:[A-Z_]+=\S+ )*make .*)$`)
	targets = regexp.MustCompile(`(?m)^([a-z-]+):.*## `)
)

// TestDocumentedCommands holds every command of the docs against the command lines that there are.
func TestDocumentedCommands(t *testing.T) {
	makefile, err := os.ReadFile(filepath.Join(top, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	var made []string
	for _, m := range targets.FindAllStringSubmatch(string(makefile), -1) {
		made = append(made, m[1])
	}
	daemon := daemonFlags(t)
	seen := map[string]int{}
	// A command that prose mentions may lack its arguments; one that is typed may not.
	check := func(where, line string, isTyped bool) {
		argv, err := shellWords(line)
		for len(argv) > 0 && (strings.Contains(argv[0], "=") || argv[0] == "sudo") {
			argv = argv[1:]
		}
		if err != nil || len(argv) == 0 {
			t.Errorf("%s: %q: %v", where, line, err)
			return
		}
		seen[argv[0]]++
		switch argv[0] {
		case "rollpatch":
			if !isTyped && len(argv) == 2 {
				argv = append(argv, "--help")
			}
			if err := understood(argv[1:]); err != nil {
				t.Errorf("%s: %s: %v", where, line, err)
			}
		case "rollpatchd":
			for _, a := range argv[1:] {
				name, _, _ := strings.Cut(strings.TrimLeft(a, "-"), "=")
				if strings.HasPrefix(a, "-") && !slices.Contains(daemon, name) {
					t.Errorf("%s: %s: rollpatchd has no flag %s, only %v", where, line, a, daemon)
				}
			}
		case "make":
			for _, a := range argv[1:] {
				if !strings.Contains(a, "=") && !slices.Contains(made, a) {
					t.Errorf("%s: %s: there is no target %s, only %v", where, line, a, made)
				}
			}
		}
	}
	for _, p := range pages(t) {
		prose := p.text
		for _, b := range p.blocks() {
			prose = strings.Replace(prose, b.text, "", 1)
			if b.lang != "console" {
				continue
			}
			lines := typed.FindAllStringSubmatch(b.text, -1)
			if len(lines) == 0 {
				t.Errorf("%s:%d: a session in which nothing is typed", p.name, b.line)
			}
			for _, m := range lines {
				check(fmt.Sprintf("%s:%d", p.name, b.line), m[1], true)
			}
		}
		for _, m := range slices.Concat(inline.FindAllStringSubmatch(prose, -1), shown.FindAllStringSubmatch(prose, -1)) {
			check(p.name, m[1], false)
		}
	}
	for _, name := range []string{"rollpatch", "rollpatchd", "make"} {
		if seen[name] == 0 {
			t.Errorf("the docs type no %s: the test looks at nothing", name)
		}
	}
}

// daemonFlags are read from its source: it may be imported by nobody.
func daemonFlags(t *testing.T) []string {
	t.Helper()
	source, err := os.ReadFile("../rollpatchd/main.go")
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, m := range regexp.MustCompile(`Flag\{Name: "([a-z-]+)"`).FindAllStringSubmatch(string(source), -1) {
		out = append(out, m[1])
	}
	for _, f := range wiring.Flags() {
		out = append(out, f.Names()...)
	}
	if len(out) < 10 {
		t.Fatalf("found the flags %v alone", out)
	}
	return append(out, "help")
}

// TestDocumentedFiles reads every inventory and campaign of the docs; a campaign is held against the inventory before it.
func TestDocumentedFiles(t *testing.T) {
	inventories, campaigns := 0, 0
	for _, p := range pages(t) {
		var inv inventory.Inventory
		for _, b := range p.blocks() {
			if b.lang != "yaml" {
				continue
			}
			source := file.Source{Name: fmt.Sprintf("%s:%d", p.name, b.line), Raw: []byte(b.text)}
			switch {
			case hasHosts.MatchString(b.text):
				inventories++
				doc, err := file.ParseInventory(source)
				if err != nil {
					t.Error(err)
				}
				inv = doc.Value
			case hasStages.MatchString(b.text):
				campaigns++
				doc, err := file.ParseCampaign(source)
				if err == nil {
					err = file.CheckCampaign(doc, inv)
				}
				if err != nil {
					t.Error(err)
				}
			default:
				t.Errorf("%s: neither an inventory nor a campaign", source.Name)
			}
		}
	}
	if inventories == 0 || campaigns == 0 {
		t.Errorf("%d inventories and %d campaigns in the docs, want some of both", inventories, campaigns)
	}
}

// leaves are told of in one row of a table, whatever they hold.
var leaves = []reflect.Type{
	reflect.TypeFor[inventory.Secret](), reflect.TypeFor[inventory.Labels](), reflect.TypeFor[inventory.Budget](), reflect.TypeFor[inventory.Duration](), reflect.TypeFor[inventory.Script](),
	reflect.TypeFor[inventory.Limit](),
	// These have a page of their own: TestDocumentedWindows.
	reflect.TypeFor[[]inventory.Window](), reflect.TypeFor[[]inventory.Freeze](), reflect.TypeFor[campaign.Windows](),
	// And this one: TestDocumentedSchedules.
	reflect.TypeFor[campaign.Schedule](),
}

// keys lists the keys that a file may have, as the README spells them. What the path of an override points to is told of where it is first.
func keys(t reflect.Type, at string, overrides ...string) []string {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case slices.Contains(leaves, t) || slices.Contains(overrides, at):
		return []string{at}
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Struct:
		return keys(t.Elem(), at+"[]", overrides...)
	case t.Kind() != reflect.Struct:
		return []string{at}
	}
	var out []string
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		path := name
		if at != "" {
			path = at + "." + name
		}
		out = append(out, keys(f.Type, path, overrides...)...)
	}
	return out
}

var keyRow = regexp.MustCompile("(?m)^\\| `([a-z_.\\[\\]]+)` \\| ([^|]*) \\| ([^|]*) \\| ([^|]*) \\|$")

// TestDocumentedKeys holds the README's tables of keys against the types of the two files, and defaults of the policy against the code.
func TestDocumentedKeys(t *testing.T) {
	rows := map[string]string{}
	for _, m := range keyRow.FindAllStringSubmatch(pageOf(t, "README.md"), -1) {
		if _, twice := rows[m[1]]; twice {
			t.Errorf("README.md: %s has two rows", m[1])
		}
		rows[m[1]] = strings.Trim(m[3], "`")
	}
	want := slices.Concat(
		keys(reflect.TypeFor[inventory.Inventory](), "", "hosts[].access", "clusters[].consul"),
		keys(reflect.TypeFor[campaign.Campaign](), "", "stages[].gate", "gates.soak"),
	)
	for _, k := range want {
		if _, ok := rows[k]; !ok {
			t.Errorf("README.md: no table has a row for %s", k)
		}
	}
	for k := range rows {
		if !slices.Contains(want, k) {
			t.Errorf("README.md: %s is no key of either file", k)
		}
	}
	var defaults map[string]any
	raw, err := json.Marshal(campaign.Default(false))
	if err == nil {
		err = json.Unmarshal(raw, &defaults)
	}
	if err != nil {
		t.Fatal(err)
	}
	compared := 0
	for k, got := range rows {
		path, ok := strings.CutPrefix(k, "policy.")
		if !ok {
			continue
		}
		value := any(defaults)
		for _, step := range strings.Split(path, ".") {
			m, _ := value.(map[string]any)
			value = m[step]
		}
		compared++
		if value == nil { // what is left out unless it is given
			value = "never"
		}
		if k == "policy.fingerprint" {
			value = "by item" // docs/fingerprint.md has them: TestDocumentedFingerprint
		}
		want := fmt.Sprint(value)
		if _, list := value.([]any); list {
			want = strings.ReplaceAll(want, " ", ", ")
		}
		if got != want {
			t.Errorf("README.md: the default of %s is %q there, and %q", k, got, want)
		}
	}
	if compared < 10 {
		t.Errorf("%d defaults were compared", compared)
	}
}

// TestDocumentedWindows holds the table of docs/windows.md against the types.
func TestDocumentedWindows(t *testing.T) {
	window, freeze := keys(reflect.TypeFor[inventory.Window](), ""), keys(reflect.TypeFor[inventory.Freeze](), "")
	want := map[string]string{}
	for _, k := range slices.Concat(window, freeze) {
		switch {
		case slices.Contains(window, k) && slices.Contains(freeze, k):
			want[k] = "both"
		case slices.Contains(window, k):
			want[k] = "window"
		default:
			want[k] = "freeze"
		}
	}
	rows := map[string]string{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z_.]+)` \\| ([a-z]+) \\| [^|]* \\|$").FindAllStringSubmatch(pageOf(t, "docs/windows.md"), -1) {
		rows[m[1]] = m[2]
	}
	if !maps.Equal(rows, want) {
		t.Errorf("docs/windows.md has rows for %v, want %v", rows, want)
	}
}

// TestDocumentedSchedules holds the table of docs/schedules.md against the type.
func TestDocumentedSchedules(t *testing.T) {
	var want, rows []string
	for f := range reflect.TypeFor[campaign.Schedule]().Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		want = append(want, name)
	}
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z]+)` \\| [^|]* \\|$").FindAllStringSubmatch(pageOf(t, "docs/schedules.md"), -1) {
		rows = append(rows, m[1])
	}
	if !slices.Equal(rows, want) {
		t.Errorf("docs/schedules.md has rows for %v, want %v", rows, want)
	}
}

// TestDocumentedMonth runs what docs/schedules.md shows of a month, with the files of that page, and holds the dates there against it.
func TestDocumentedMonth(t *testing.T) {
	dir, shown := t.TempDir(), ""
	names := []string{"inventory.yaml", "monthly.yaml"}
	for _, b := range (page{text: pageOf(t, "docs/schedules.md")}).blocks() {
		if b.lang == "yaml" && len(names) > 0 {
			if err := os.WriteFile(filepath.Join(dir, names[0]), []byte(b.text), 0o600); err != nil {
				t.Fatal(err)
			}
			names = names[1:]
		}
		if first, rest, _ := strings.Cut(b.text, "\n"); first == "$ rollpatch schedule next monthly.yaml" {
			shown = rest
		}
	}
	var stdout, stderr bytes.Buffer
	d := &desk{
		in: strings.NewReader(""), out: &stdout, err: &stderr, environ: []string{"HOME=" + dir}, getwd: func() (string, error) { return dir, nil }, terminal: func(any) bool { return false },
		now: func() time.Time { return time.Date(2026, 11, 1, 1, 0, 0, 0, time.UTC) },
	}
	code := d.run(t.Context(), []string{"schedule", "next", "-i", filepath.Join(dir, "inventory.yaml"), filepath.Join(dir, "monthly.yaml")})
	if code != 0 || stdout.String() != shown {
		t.Errorf("schedule next ended with %d and\n%s\n%s\nwant what docs/schedules.md shows:\n%s", code, stdout.String(), stderr.String(), shown)
	}
}

// phases are the rows of the table of commands and states, each as a cluster that stands there.
func phases() map[string]rollout.Cluster {
	at := func(p rollout.Phase, members ...rollout.Slot) rollout.Cluster {
		return rollout.Cluster{Instance: "monthly-1", Name: "web", Phase: p, Members: members, SoakNo: 1, Verdict: rollout.Pass, Manifest: "sha256:m"}
	}
	patched, waiting := rollout.Slot{Host: "web-1", Outcome: rollout.Patched}, rollout.Slot{Host: "web-2"}
	failed, quarantined := rollout.Slot{Host: "web-3", Outcome: rollout.BackedOut}, rollout.Slot{Host: "web-3", Outcome: rollout.Quarantined}
	holding := func(m rollout.Mode, s rollout.Step) rollout.Slot {
		return rollout.Slot{Host: "web-3", Running: true, Mode: m, HoldsAt: s, Holds: "unreachable"}
	}
	stopped := at(rollout.PhaseHold, patched, waiting)
	stopped.BackoutFor = "reject by jane"
	back := at(rollout.PhaseBackout, patched, holding(rollout.ModeBackout, rollout.StepBackout))
	back.BackoutFor = stopped.BackoutFor
	closed := func(p rollout.Phase, m ...rollout.Slot) rollout.Cluster {
		c := at(p, m...)
		c.Policy.Windows, c.Closed, c.WaitFor = true, true, "no window is open"
		if p == rollout.PhaseBackout {
			c.BackoutFor = "soak failed"
		}
		return c
	}
	out := closed(rollout.PhaseBackout, patched, holding(rollout.ModeBackout, rollout.StepBackout))
	out.Closed = false
	running := rollout.Slot{Host: "web-1", Running: true, Mode: rollout.ModePatch}
	doubted := at(rollout.PhaseSoak, patched, waiting)
	doubted.Doubted, doubted.Verdict = true, rollout.Inconclusive
	trouble := func(p rollout.Phase, m rollout.Slot) rollout.Cluster {
		c := at(p, m)
		c.Stuck, c.Held, c.WaitFor = time.Now(), true, "no answer"
		return c
	}
	failing := at(rollout.PhaseGate, patched, waiting)
	failing.Verdict = rollout.Inconclusive
	refused := at(rollout.PhaseHold, patched, waiting)
	refused.AskFor = "soak failed"
	expired := at(rollout.PhaseHold, patched, waiting)
	expired.Gate.Expired = true
	halfway := at(rollout.PhaseHold, patched, waiting)
	halfway.BackoutFor, halfway.Auto = "soak failed", true
	unnamed := at(rollout.PhaseHold, patched, waiting)
	unnamed.AskFor, unnamed.Manifest = "web-1 told no manifest", ""
	paused := at(rollout.PhaseRoll, waiting)
	paused.Paused = "by jane"
	return map[string]rollout.Cluster{
		"claim or roll, waits for its window":                   closed(rollout.PhaseRoll, patched, waiting),
		"backout, waits for its window":                         closed(rollout.PhaseBackout, patched, waiting),
		"backout, a member waits out of service for its window": out,
		"claim":                                at(rollout.PhaseClaim, waiting),
		"roll, a member on its way":            at(rollout.PhaseRoll, running, waiting),
		"roll, held by a person":               paused,
		"settle":                               at(rollout.PhaseSettle, patched, waiting),
		"soak":                                 at(rollout.PhaseSoak, patched, waiting),
		"soak, in doubt":                       doubted,
		"gate":                                 at(rollout.PhaseGate, patched, waiting),
		"gate, checks not passing":             failing,
		"hold, its gate expired":               expired,
		"hold, some patched":                   at(rollout.PhaseHold, patched, failed, waiting),
		"hold, none patched":                   at(rollout.PhaseHold, failed, waiting),
		"hold, a member in quarantine or lost": at(rollout.PhaseHold, patched, quarantined, waiting),
		"hold, its member was patched after a Terminate":        at(rollout.PhaseHold, patched, waiting),
		"hold, a backout could not begin":                       stopped,
		"roll, a member holds":                                  at(rollout.PhaseRoll, holding(rollout.ModePatch, rollout.StepReboot), waiting),
		"roll, a member holds before its undrain or quarantine": at(rollout.PhaseRoll, holding(rollout.ModePatch, rollout.StepUndrain), waiting),
		"backout, a member holds":                               back,
		"ask":                                                   at(rollout.PhaseAsk, patched, waiting),
		"hold, backout refused":                                 refused,
		"hold, backout refused of a canary without a manifest":  unnamed,
		"hold, a backout was stopped on its way":                halfway,
		"backout":                                               at(rollout.PhaseBackout, patched, waiting),
		"release":                                               at(rollout.PhaseRelease, patched),
		"claim, in trouble":                                     trouble(rollout.PhaseClaim, waiting),
		"release, in trouble":                                   trouble(rollout.PhaseRelease, patched),
	}
}

// TestDocumentedStates holds docs/operations.md's table of commands and states against what the rules accept.
func TestDocumentedStates(t *testing.T) {
	m := rollout.Message{Actor: "jane", Reason: "because"}
	may := map[string]func(rollout.Cluster) error{
		"approve": func(c rollout.Cluster) error { return c.MayApprove(m) },
		"reject":  func(c rollout.Cluster) error { return c.MayReject(m) },
		"backout": func(c rollout.Cluster) error { return c.MayBackout(m) },
		"resume":  func(c rollout.Cluster) error { return c.MayResume(m) },
		"retry":   func(c rollout.Cluster) error { return c.MayRetry(m) },
		"skip":    func(c rollout.Cluster) error { return c.MaySkip(m) },
		"extend": func(c rollout.Cluster) error {
			longer := m
			longer.For = "12h"
			return c.MayExtend(longer)
		},
	}
	cut := func(line string) []string {
		var cells []string
		for _, c := range strings.Split(strings.Trim(line, "|"), "|") {
			cells = append(cells, strings.TrimSpace(c))
		}
		return cells
	}
	var header []string
	left := phases()
	for line := range strings.Lines(pageOf(t, "docs/operations.md")) {
		cells := cut(strings.TrimSpace(line))
		switch {
		case cells[0] == "the cluster is in":
			header = cells
			continue
		case header == nil || !strings.HasPrefix(line, "|"):
			continue
		}
		c, ok := left[cells[0]]
		if !ok {
			continue
		}
		delete(left, cells[0])
		for i, word := range header {
			ask, ok := may[strings.Trim(word, "`")]
			if !ok {
				continue
			}
			err := ask(c)
			if refused := strings.HasPrefix(cells[i], "refused"); refused != (err != nil) {
				t.Errorf("docs/operations.md: %s in %q is %q, and the rules say %v", word, cells[0], cells[i], err)
			}
		}
	}
	for state := range left {
		t.Errorf("docs/operations.md: the table of commands and states has no row %q", state)
	}
	if len(header) != 10 {
		t.Errorf("docs/operations.md: the table of commands and states has the columns %q, want the state and nine commands", header)
	}
}

var (
	testName = regexp.MustCompile(`\b(?:Test|Fuzz)[A-Z][A-Za-z0-9]*\b`)
	testFunc = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)[A-Z][A-Za-z0-9]*)\(`)
)

// TestDocumentedTests looks for the tests that docs/architecture.md calls on.
func TestDocumentedTests(t *testing.T) {
	have := map[string]bool{}
	for _, folder := range []string{"activities", "cmd", "inventory", "playbooks", "testenv", "workflows"} {
		err := filepath.WalkDir(filepath.Join(top, folder), func(path string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() || !strings.HasSuffix(path, "_test.go") {
				return err
			}
			raw, err := os.ReadFile(path)
			for _, m := range testFunc.FindAllSubmatch(raw, -1) {
				have[string(m[1])] = true
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	named := testName.FindAllString(pageOf(t, "docs/architecture.md"), -1)
	if len(named) < 20 {
		t.Errorf("docs/architecture.md names %d tests", len(named))
	}
	for _, name := range named {
		if !have[name] {
			t.Errorf("docs/architecture.md: there is no %s", name)
		}
	}
}

// TestDocumentedFingerprint holds the table of the fingerprint's items against the policy's defaults.
func TestDocumentedFingerprint(t *testing.T) {
	got := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| (`[^|]*`) \\| [^|]* \\| ([^|]*) \\|$").FindAllStringSubmatch(pageOf(t, "docs/fingerprint.md"), -1) {
		for _, item := range strings.Split(strings.ReplaceAll(m[1], "`", ""), ", ") {
			got[item] = true
			if want := string(campaign.Policy{}.FingerprintRules()[item].Action); !strings.Contains(m[2], want) || want == "" {
				t.Errorf("docs/fingerprint.md: a difference of %s does %q there, and %q", item, m[2], want)
			}
		}
	}
	if want := len(campaign.Policy{}.FingerprintRules()); len(got) != want {
		t.Errorf("docs/fingerprint.md: %d items, and there are %d", len(got), want)
	}
}
