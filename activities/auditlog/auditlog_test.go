package auditlog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rollpatch/rollpatch/workflows/audit"
)

// appender makes the test binary a second process that appends one chain to a file.
const appender = "ROLLPATCH_TEST_APPENDER"

func TestMain(m *testing.M) {
	if chain := os.Getenv(appender); chain != "" {
		log, err := Open(os.Args[1])
		if err == nil {
			_, err = appendChain(log, chain, 50)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func appendChain(log *Log, chain string, n int) (audit.Head, error) {
	head := audit.Head{Chain: chain}
	for i := range n {
		e, next := head.Next(audit.Entry{Kind: audit.Intent, Time: time.Unix(int64(i), 0), Action: "patch", Detail: "one\ntwo"})
		if err := log.Append(context.Background(), e); err != nil {
			return head, err
		}
		head = next
	}
	return head, nil
}

func open(t *testing.T, path string) *Log {
	t.Helper()
	log, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := log.Close(); err != nil {
			t.Error(err)
		}
	})
	return log
}

func logPath(t *testing.T) string { return filepath.Join(t.TempDir(), "new", "folder", "audit.jsonl") }

func lines(t *testing.T, path string) int {
	t.Helper()
	body, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Count(body, []byte("\n"))
}

func verify(t *testing.T, path string, heads ...audit.Head) {
	t.Helper()
	entries, err := Read(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, head := range heads {
		if strays, err := audit.Verify(head, entries); err != nil || len(strays) != 0 {
			t.Errorf("Verify(%+v) = %d strays, %v, want a whole chain", head, len(strays), err)
		}
	}
}

func TestEntriesComeBack(t *testing.T) {
	path := logPath(t)
	head, err := appendChain(open(t, path), "host/web-1", 3)
	if err != nil {
		t.Fatal(err)
	}
	verify(t, path, head)
	if got := lines(t, path); got != 3 {
		t.Errorf("three entries are %d lines, want one each", got)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file is %v, %v, want it for its owner only", info.Mode(), err)
	}
}

func TestGoroutinesAndProcessesShareOneFile(t *testing.T) {
	path := logPath(t)
	log := open(t, path)
	var (
		wg    sync.WaitGroup
		heads = make([]audit.Head, 6)
		errs  = make([]error, 6)
	)
	for i := range heads {
		wg.Go(func() {
			chain := fmt.Sprintf("host/web-%d", i)
			if i%2 == 0 {
				heads[i], errs[i] = appendChain(log, chain, 50)
				return
			}
			cmd := exec.Command(os.Args[0], path)
			cmd.Env = append(os.Environ(), appender+"="+chain)
			if out, err := cmd.CombinedOutput(); err != nil {
				errs[i] = fmt.Errorf("second process: %w: %s", err, out)
			}
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	entries, err := Read(path)
	if err != nil || len(entries) != 300 {
		t.Fatalf("Read = %d entries, %v, want 300", len(entries), err)
	}
	for i := range heads {
		if i%2 == 1 {
			chain := fmt.Sprintf("host/web-%d", i)
			for _, e := range entries {
				if e.Chain == chain {
					heads[i] = e.Head()
				}
			}
		}
		if heads[i].Seq != 50 {
			t.Errorf("chain %d ends at %+v, want 50 entries", i, heads[i])
		}
	}
	verify(t, path, heads...)
}

func TestAnEntryThatIsThereIsNotWrittenTwice(t *testing.T) {
	path := logPath(t)
	log := open(t, path)
	head, err := appendChain(log, "host/web-1", 2)
	if err != nil {
		t.Fatal(err)
	}
	e, next := head.Next(audit.Entry{Kind: audit.Intent, Action: "reboot"})
	for _, who := range []struct {
		says string
		log  *Log
	}{
		{"the worker that wrote it", log},
		{"the worker that wrote it, again", log},
		{"a worker that was there already", open(t, path)},
		{"the worker that came after", open(t, path)},
	} {
		if err := who.log.Append(t.Context(), e); err != nil {
			t.Fatalf("%s: %v", who.says, err)
		}
		if got := lines(t, path); got != 3 {
			t.Fatalf("%s: the file has %d lines, want 3", who.says, got)
		}
	}
	if _, err := appendChain(open(t, path), "host/web-2", 1); err != nil {
		t.Fatal(err)
	}
	if err := log.Append(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	if got := lines(t, path); got != 4 {
		t.Errorf("after another worker's entry of another chain the file has %d lines, want 4", got)
	}
	verify(t, path, next)
}

func TestALineThatWasCutShortIsEndedAndMarked(t *testing.T) {
	whole, head := audit.Head{Chain: "host/web-1"}.Next(audit.Entry{Kind: audit.Intent, Action: "drain", Detail: strings.Repeat("long ", 2000)})
	second, end := head.Next(audit.Entry{Kind: audit.Outcome, Action: "drain"})
	path := logPath(t)
	log := open(t, path)
	for _, e := range []audit.Entry{whole, second} {
		if err := log.Append(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	body, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	first := bytes.IndexByte(body, '\n') + 1
	for cut := range len(body) {
		if cut > 40 && cut < first-40 && cut%997 != 0 {
			continue
		}
		path := filepath.Join(t.TempDir(), "audit.jsonl")
		if err := os.WriteFile(path, body[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Read(path); err != nil {
			t.Fatalf("cut at %d: Read before it is opened = %v, want the last line passed over", cut, err)
		}
		log, err := Open(path)
		if err != nil {
			t.Fatalf("cut at %d: %v", cut, err)
		}
		for _, e := range []audit.Entry{whole, second} {
			if err := log.Append(t.Context(), e); err != nil {
				t.Fatalf("cut at %d: %v", cut, err)
			}
		}
		if err := log.Close(); err != nil {
			t.Fatal(err)
		}
		entries, err := Read(path)
		if err != nil {
			t.Fatalf("cut at %d: %v", cut, err)
		}
		if strays, err := audit.Verify(end, entries); err != nil || len(strays) != 0 {
			t.Fatalf("cut at %d: Verify = %d strays, %v, want a whole chain", cut, len(strays), err)
		}
	}
}

func TestALineCutShortByAnotherProcessIsEndedBeforeTheNext(t *testing.T) {
	path := logPath(t)
	log := open(t, path)
	head, err := appendChain(log, "host/web-1", 1)
	if err != nil {
		t.Fatal(err)
	}
	other, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if _, err := other.WriteString(`{"chain":"host/web-2","se`); err != nil {
		t.Fatal(err)
	}
	e, head := head.Next(audit.Entry{Kind: audit.Outcome, Action: "patch"})
	if err := log.Append(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	verify(t, path, head)
}

func TestReadNamesALineThatNobodyCutShort(t *testing.T) {
	path := logPath(t)
	head, err := appendChain(open(t, path), "host/web-1", 3)
	if err != nil {
		t.Fatal(err)
	}
	body, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	rows := bytes.SplitAfter(body, []byte("\n"))
	for _, bad := range []string{"{}\n", "\n", "not json\n", "{\"chain\":\n"} {
		if err := os.WriteFile(path, bytes.Join([][]byte{rows[0], []byte(bad), rows[1], rows[2]}, nil), 0o600); err != nil {
			t.Fatal(err)
		}
		entries, err := Read(path)
		if err == nil || !strings.Contains(err.Error(), "audit.jsonl:2: ") {
			t.Errorf("Read with the line %q = %v, want it named by its number", bad, err)
		}
		if _, err := audit.Verify(head, entries); err != nil {
			t.Errorf("Read with the line %q returned %d entries: %v, want the others whole", bad, len(entries), err)
		}
	}
}

func TestAppendDoesNotHangOnALockThatIsNotGivenBack(t *testing.T) {
	path := logPath(t)
	log := open(t, path)
	stopped, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer stopped.Close()
	if err := syscall.Flock(int(stopped.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	e, head := audit.Head{Chain: "host/web-1"}.Next(audit.Entry{Kind: audit.Intent, Action: "drain"})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := log.Append(ctx, e); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "holds the lock") {
		t.Fatalf("Append while another holds the lock = %v, want the deadline and its cause", err)
	}
	if err := syscall.Flock(int(stopped.Fd()), syscall.LOCK_UN); err != nil {
		t.Fatal(err)
	}
	if err := log.Append(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	verify(t, path, head)
}

func TestAppendSaysWhenTheEntryIsNotOnDisk(t *testing.T) {
	e, _ := audit.Head{Chain: "host/web-1"}.Next(audit.Entry{Kind: audit.Intent, Action: "drain"})
	t.Run("closed", func(t *testing.T) {
		log := open(t, logPath(t))
		if err := log.Close(); err != nil {
			t.Fatal(err)
		}
		if err := log.Append(t.Context(), e); !errors.Is(err, os.ErrClosed) {
			t.Errorf("Append to a closed log = %v, want os.ErrClosed", err)
		}
	})
	t.Run("cut down by somebody", func(t *testing.T) {
		path := logPath(t)
		log := open(t, path)
		if err := log.Append(t.Context(), e); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(path, 0); err != nil {
			t.Fatal(err)
		}
		next, _ := e.Head().Next(audit.Entry{Kind: audit.Outcome, Action: "drain"})
		if err := log.Append(t.Context(), next); err == nil || !strings.Contains(err.Error(), "became shorter") {
			t.Errorf("Append to a log that lost entries = %v, want that said", err)
		}
	})
	t.Run("full disk", func(t *testing.T) {
		full, err := os.OpenFile("/dev/full", os.O_WRONLY|os.O_APPEND, 0)
		if err != nil {
			t.Fatal(err)
		}
		log := &Log{path: "/dev/full", file: full, last: map[string]string{}}
		if err := log.Append(t.Context(), e); !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("Append to a full disk = %v, want no space left", err)
		}
		if err := log.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestALongLogIsNotReadWholeAtStart(t *testing.T) {
	path := logPath(t)
	log := open(t, path)
	head := audit.Head{Chain: "host/web-1"}
	for range 12 {
		e, next := head.Next(audit.Entry{Kind: audit.Outcome, Action: "patch", Detail: strings.Repeat("x", lookBack/8)})
		if err := log.Append(t.Context(), e); err != nil {
			t.Fatal(err)
		}
		head = next
	}
	again := open(t, path)
	e, next := head.Next(audit.Entry{Kind: audit.Intent, Action: "reboot"})
	for range 2 {
		if err := again.Append(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	if got := lines(t, path); got != 13 {
		t.Errorf("the file has %d lines, want 13", got)
	}
	verify(t, path, next)
}
