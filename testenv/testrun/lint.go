package testrun

import (
	"bufio"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// check is one thing that lint looks at. It returns why it was skipped, or what
// is wrong, or neither.
type check struct {
	name string
	run  func(context.Context, machine) (skipped string, err error)
}

var lintChecks = []check{
	{"gofmt", gofmt},
	{"shellcheck", shellcheck},
	{"go mod tidy", modTidy},
	{"go vet", tool("go", "vet", "./...")},
	{"staticcheck", goTool("staticcheck", "./...")},
	{"workflowcheck", goTool("workflowcheck", "-config", "testenv/tools/workflowcheck.yaml", "./workflows/...")},
	{"govulncheck", govulncheck},
}

func tool(name string, args ...string) func(context.Context, machine) (string, error) {
	return func(ctx context.Context, _ machine) (string, error) {
		_, err := output(command(ctx, name, args...))
		return "", err
	}
}

// goTool runs a tool whose version testenv/tools/go.mod pins. That is a module
// of its own so that the tools' needs do not become the product's.
func goTool(name string, args ...string) func(context.Context, machine) (string, error) {
	return tool("go", append([]string{"tool", "-modfile=testenv/tools/go.mod", name}, args...)...)
}

func gofmt(ctx context.Context, _ machine) (string, error) {
	files, err := sources(func(path string) (bool, error) { return strings.HasSuffix(path, ".go"), nil })
	if err != nil {
		return "", err
	}
	unformatted, err := output(command(ctx, "gofmt", append([]string{"-l"}, files...)...))
	if err != nil {
		return "", err
	}
	if unformatted != "" {
		return "", errors.New("gofmt -w would change:\n" + unformatted)
	}
	return "", nil
}

func shellcheck(ctx context.Context, m machine) (string, error) {
	scripts, err := sources(isShell)
	if err != nil {
		return "", err
	}
	if missing := m.need(ctx, "shellcheck", "shellcheck"); missing != "" {
		return missing, nil
	}
	_, err = output(command(ctx, "shellcheck", append([]string{"--external-sources"}, scripts...)...))
	return "", err
}

func modTidy(ctx context.Context, _ machine) (string, error) {
	var problems []error
	for _, dir := range []string{".", "testenv/tools"} {
		_, err := output(command(ctx, "go", "-C", dir, "mod", "tidy", "-diff"))
		problems = append(problems, err)
	}
	return "", errors.Join(problems...)
}

func govulncheck(ctx context.Context, m machine) (string, error) {
	_, err := goTool("govulncheck", "./...")(ctx, m)
	// It says so before it looks at any code.
	if err != nil && strings.Contains(err.Error(), "govulncheck: fetching vulnerabilities:") {
		return "its database of vulnerabilities could not be reached", nil
	}
	return "", err
}

var shebang = regexp.MustCompile(`^#!\s*(/usr)?/bin/(env )?(sh|bash|dash)\b`)

func isShell(path string) (bool, error) {
	if strings.HasSuffix(path, ".sh") {
		return true, nil
	}
	if filepath.Ext(path) != "" {
		return false, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	return lines.Scan() && shebang.MatchString(lines.Text()), nil
}

// sources are the files of the project that match, whatever folder they are in.
func sources(match func(path string) (bool, error)) ([]string, error) {
	var found []string
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && (path == ".git" || path == "build") {
			return filepath.SkipDir
		}
		if !entry.Type().IsRegular() {
			return nil
		}
		ok, err := match(path)
		if ok {
			found = append(found, path)
		}
		return err
	})
	return found, err
}
