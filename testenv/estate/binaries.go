package estate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
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

// AnotherMark ends what comes before each script of another build, so that a host's own record shows which build a script is of.
const AnotherMark = "# of another build"

// another are the builds of this process, by the folder that they differ from.
var another = struct {
	sync.Mutex
	dirs map[string]string
}{dirs: map[string]string{}}

// Another is the folder of another build of the binaries in bin, as an upgrade brings one: each of its scripts differs from theirs, and
// so do its files. It is built from the module that the process works in; the tree stays as it is.
func Another(ctx context.Context, bin string) (string, error) {
	another.Lock()
	defer another.Unlock()
	if dir, built := another.dirs[bin]; built {
		return dir, nil
	}
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return "", fmt.Errorf("another build: go list: %w", err)
	}
	root, dir := strings.TrimSpace(string(out)), filepath.Join(bin, "another")
	if dir, err = filepath.Abs(dir); err != nil {
		return "", err
	}
	lib := filepath.Join(root, "playbooks", "apt", "lib.sh")
	text, err := os.ReadFile(lib)
	if err != nil {
		return "", fmt.Errorf("another build: %w", err)
	}
	other, overlay := filepath.Join(dir, "lib.sh"), filepath.Join(dir, "overlay.json")
	replace, err := json.Marshal(map[string]any{"Replace": map[string]string{lib: other}})
	if err := errors.Join(err, os.MkdirAll(dir, 0o755), os.WriteFile(other, append(text, "\n"+AnotherMark+"\n"...), 0o644), os.WriteFile(overlay, replace, 0o644)); err != nil {
		return "", fmt.Errorf("another build: %w", err)
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-ldflags", "-s -w", "-overlay", overlay, "-o", dir+string(filepath.Separator), "./cmd/rollpatch", "./cmd/rollpatchd")
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("another build: %w\n%s", err, out)
	}
	another.dirs[bin] = dir
	return dir, nil
}
