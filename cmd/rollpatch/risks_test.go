package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rollpatch/rollpatch/inventory/risks"
)

func documentedRisks() (string, error) {
	return documented("risks.md", "rollpatch inventory risks shop.yaml")
}

// documentedShop is the inventory whose risks the page shows.
func documentedShop() (string, error) {
	raw, err := os.ReadFile(filepath.Join(top, "docs", "risks.md"))
	if err != nil {
		return "", err
	}
	_, text, found := strings.Cut(string(raw), "\n```yaml\n")
	text, _, closed := strings.Cut(text, "```")
	if !found || !closed {
		return "", errors.New("docs/risks.md shows no inventory")
	}
	return text, nil
}

func TestEveryKindOfRiskIsDocumented(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join(top, "docs", "risks.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range risks.Kinds() {
		if !strings.Contains(string(raw), "\n| `"+string(k)+"` | ") {
			t.Errorf("docs/risks.md has no row of %s", k)
		}
	}
}
