package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rollpatch/rollpatch/inventory/file"
	"github.com/rollpatch/rollpatch/workflows/plan"
)

// nightRequest is the change request of the lab's patch night, from what its hosts once said.
func nightRequest(t *testing.T) document {
	t.Helper()
	read := func(name string) []byte {
		raw, err := os.ReadFile(filepath.Join("testdata", "change", name))
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	inv, err := file.ParseInventory(file.Source{Name: "inventory.yaml", Raw: read("inventory.yaml")})
	if err != nil {
		t.Fatal(err)
	}
	c, err := file.ParseCampaign(file.Source{Name: "campaign.yaml", Raw: read("campaign.yaml")})
	if err != nil {
		t.Fatal(err)
	}
	s := plan.Saved{Made: time.Date(2026, 11, 22, 10, 40, 0, 0, time.UTC), By: "ann@desk"}
	if err := json.Unmarshal(read("answers.json"), &s.Answers); err != nil {
		t.Fatal(err)
	}
	p, parts := plan.Build(c.Value, inv.Value.Resolve())
	s.Plan, s.Parts = plan.Answered(p, parts, s.Answers)
	s.Digest = plan.Digest(s.Plan)
	return request(s, plan.Foresee(s.Plan, s.Parts, s.Answers), nil, "campaign.yaml")
}

// The example of the docs is what the program prints.
func TestRequestOfTheDocs(t *testing.T) {
	var b bytes.Buffer
	if err := nightRequest(t).markdown(&b); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(top, "docs", "change-request.md")
	if *update {
		if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got := pageOf(t, "docs/change-request.md"); got != b.String() {
		t.Errorf("docs/change-request.md is not what the program prints; go test ./cmd/rollpatch -run TestRequestOfTheDocs -update writes it anew")
	}
	for _, want := range []string{"Affected systems", "What will be done", "Expected impact", "How it is validated", "From the administrator's side", "From the end user's side", "Backout plan", "Approvers", "Window", "Risks", "Versions"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("it does not say %q", want)
		}
	}
}

// The page is whole: it needs nothing from anywhere, and runs nothing.
func TestRequestPage(t *testing.T) {
	var b bytes.Buffer
	if err := nightRequest(t).html(&b); err != nil {
		t.Fatal(err)
	}
	if m := regexp.MustCompile(`(?i)<(script|link|img|iframe|object)|@import|url\(|\bon[a-z]+=|https?://[^1]`).FindString(b.String()); m != "" {
		t.Errorf("the page holds %q", m)
	}
}

func TestDocument(t *testing.T) {
	d := document{title: "A <b> & c", sections: []section{
		{blocks: []passage{text("one | two\nthree"), {list: []string{"# no heading", "- no list", "a_b"}}}},
		{"More", []passage{{head: []string{"x", "y"}, rows: [][]string{{"a|b", ""}}}, {code: "rollpatch list <x>"}}},
	}}
	var md, page bytes.Buffer
	if err := d.markdown(&md); err != nil {
		t.Fatal(err)
	}
	if err := d.html(&page); err != nil {
		t.Fatal(err)
	}
	want := "# A \\<b\\> & c\n\none \\| two three\n\n- \\# no heading\n- \\- no list\n- a\\_b\n\n## More\n\n| x | y |\n| --- | --- |\n| a\\|b | - |\n\n```\nrollpatch list <x>\n```\n"
	if md.String() != want {
		t.Errorf("Markdown\n%s\nwant\n%s", md.String(), want)
	}
	for _, want := range []string{"<h1>A &lt;b&gt; &amp; c</h1>", "<p>one | two three</p>", "<li># no heading</li>", "<h2>More</h2>", "<tr><th>x</th><th>y</th></tr>", "<tr><td>a|b</td><td>-</td></tr>", "<pre>rollpatch list &lt;x&gt;</pre>"} {
		if !strings.Contains(page.String(), want) {
			t.Errorf("the page lacks %q", want)
		}
	}
}

// Plans of earlier builds have the names of who needs a cluster, and not how.
func TestRequestOfAnEarlierPlan(t *testing.T) {
	var s plan.Saved
	if err := json.Unmarshal([]byte(`{"plan": {"stages": [{"name": "production", "clusters": [{"name": "db", "affects": ["web"]}]}]}, "parts": {"db": {}}}`), &s); err != nil {
		t.Fatal(err)
	}
	if got := (requesting{Saved: s}).beside().rows; len(got) != 1 || !slices.Equal(got[0], []string{"web", "", "", "db"}) {
		t.Errorf("beside the plan stand %q, want web, which needs db", got)
	}
}
