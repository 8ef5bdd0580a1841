package estate

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// Binaries is the folder of the binaries that were built for the tests, or are built now, in the project's folder.
func Binaries(ctx context.Context, project string) (string, error) {
	if daemon := os.Getenv("ROLLPATCHD_BIN"); daemon != "" {
		return filepath.Dir(daemon), nil
	}
	root, err := filepath.Abs(project)
	if err != nil {
		return "", err
	}
	out, err := exec.CommandContext(ctx, "make", "-C", root, "build").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("make build: %w\n%s", err, out)
	}
	return filepath.Join(root, "build"), nil
}
