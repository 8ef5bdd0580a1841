// Package auditlog keeps audit entries as JSON lines in one file: it knows files, locks and power cuts. It must not know
// what an entry means, how a chain is verified, or who asks.
//
// Several goroutines and several processes may append to the same file. An entry is one line, written by one write under a
// file lock, and on disk before Append returns.
package auditlog

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/rollpatch/rollpatch/activities"
	"github.com/rollpatch/rollpatch/workflows/audit"
)

var _ activities.AuditSink = (*Log)(nil)

// torn ends a line that a power cut or a full disk cut short. The entry was never acknowledged, so whoever wrote it writes it
// again; the mark tells an auditor that the line was found like this, and not made so later.
const torn = " #torn"

// lookBack is how much of an existing file is read for entries that an earlier worker wrote without being able to say so.
const lookBack = 4 << 20

// lockPoll is how often a lock that another process holds is asked for again.
const lockPoll = 5 * time.Millisecond

// Log is an open file of entries.
type Log struct {
	path string

	mu     sync.Mutex
	file   *os.File
	read   int64             // the file is known up to here
	last   map[string]string // chain: digest of its last entry within what is known
	closed bool
}

// Open opens the file for appending, and creates it and its folder where needed. A last line that was cut short is ended.
func Open(path string) (*Log, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("audit log: %w", err)
	}
	file, err := os.OpenFile(path, os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("audit log: %w", err)
	}
	l := &Log{path: path, file: file, last: map[string]string{}}
	if err := l.begin(); err != nil {
		return nil, errors.Join(l.wrap(err), file.Close())
	}
	return l, nil
}

func (l *Log) begin() error {
	// The name of a new file is on disk only when its folder is.
	if err := syncFolder(filepath.Dir(l.path)); err != nil {
		return err
	}
	unlock, err := lock(context.Background(), l.file, syscall.LOCK_EX)
	if err != nil {
		return err
	}
	defer unlock()
	size, err := l.settle()
	if err != nil {
		return err
	}
	if l.read = max(0, size-lookBack); l.read > 0 {
		rest, err := bufio.NewReader(io.NewSectionReader(l.file, l.read, size-l.read)).ReadBytes('\n')
		if err != nil {
			return err
		}
		l.read += int64(len(rest))
	}
	return l.learn(size)
}

// Append writes the entry. An entry that is the last of its chain already is not written again, so that an attempt repeated
// after its worker died leaves one line; where the file no longer knows, the same line stands twice, which breaks no chain.
func (l *Log) Append(ctx context.Context, e audit.Entry) error {
	line, err := json.Marshal(e)
	if err != nil {
		return l.wrap(err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return l.wrap(os.ErrClosed)
	}
	unlock, err := lock(ctx, l.file, syscall.LOCK_EX)
	if err != nil {
		return l.wrap(err)
	}
	defer unlock()
	size, err := l.settle()
	if err != nil {
		return l.wrap(err)
	}
	if err := l.learn(size); err != nil {
		return l.wrap(err)
	}
	if l.last[e.Chain] != e.Digest {
		n, err := l.file.Write(append(line, '\n'))
		if err != nil {
			return l.wrap(err)
		}
		l.read += int64(n)
	}
	// Also for an entry found: the process that wrote it may have died before its own sync.
	if err := l.file.Sync(); err != nil {
		// After a failed sync the system may call lost pages clean. What was written is in doubt, so none of it may be taken
		// for written when it comes again.
		clear(l.last)
		return l.wrap(err)
	}
	l.last[e.Chain] = e.Digest
	return nil
}

// Close closes the file.
func (l *Log) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil
	}
	l.closed = true
	if err := l.file.Close(); err != nil {
		return l.wrap(err)
	}
	return nil
}

func (l *Log) wrap(err error) error { return fmt.Errorf("audit log %q: %w", l.path, err) }

// settle ends a last line that was cut short and returns the size of the file, which ends with a line's end from there on.
func (l *Log) settle() (int64, error) {
	info, err := l.file.Stat()
	if err != nil {
		return 0, err
	}
	size := info.Size()
	tail, err := lastLine(l.file, size)
	if err != nil || len(tail) == 0 {
		return size, err
	}
	end := torn + "\n"
	if _, whole := parse(tail); whole {
		end = "\n"
	}
	n, err := l.file.WriteString(end)
	if err != nil {
		return 0, err
	}
	return size + int64(n), l.file.Sync()
}

// learn reads what other processes appended since, up to size.
func (l *Log) learn(size int64) error {
	if size < l.read {
		return fmt.Errorf("the file became shorter: %d bytes were written, %d are left", l.read, size)
	}
	lines := bufio.NewReader(io.NewSectionReader(l.file, l.read, size-l.read))
	for l.read < size {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return err
		}
		l.read += int64(len(line))
		if e, ok := parse(line); ok {
			l.last[e.Chain] = e.Digest
		}
	}
	return nil
}

// lastLine returns what stands after the last line's end.
func lastLine(file io.ReaderAt, size int64) ([]byte, error) {
	var tail []byte
	for size > 0 {
		block := make([]byte, min(size, 4096))
		if _, err := file.ReadAt(block, size-int64(len(block))); err != nil {
			return nil, err
		}
		if at := bytes.LastIndexByte(block, '\n'); at >= 0 {
			return append(block[at+1:], tail...), nil
		}
		tail = append(block, tail...)
		size -= int64(len(block))
	}
	return tail, nil
}

// Read returns the entries of the file in the order they were written. Lines that were cut short and marked so are passed
// over, and so is a last line without an end; any other line that cannot be read is an error that names it. What could be
// read is returned in every case: audit.Verify says what is missing.
func Read(path string) ([]audit.Entry, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("audit log: %w", err)
	}
	defer file.Close()
	unlock, err := lock(context.Background(), file, syscall.LOCK_SH)
	if err != nil {
		return nil, fmt.Errorf("audit log %q: %w", path, err)
	}
	defer unlock()
	var (
		entries []audit.Entry
		broken  []error
		lines   = bufio.NewReader(file)
	)
	for number := 1; ; number++ {
		line, err := lines.ReadBytes('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return entries, fmt.Errorf("audit log %q: %w", path, err)
		}
		ended := err == nil
		e, ok := parse(line)
		switch {
		case ok:
			entries = append(entries, e)
		case ended && !bytes.HasSuffix(line, []byte(torn+"\n")):
			broken = append(broken, fmt.Errorf("%s:%d: this line is no audit entry", path, number))
		}
		if !ended {
			return entries, errors.Join(broken...)
		}
	}
}

func parse(line []byte) (e audit.Entry, ok bool) {
	err := json.Unmarshal(line, &e)
	return e, err == nil && e.Digest != ""
}

// lock takes the file's lock and returns what gives it back. It never waits without looking at ctx: a worker that is stopped
// while it holds the lock must not stop the others in silence.
func lock(ctx context.Context, file *os.File, how int) (unlock func(), err error) {
	tick := time.NewTicker(lockPoll)
	defer tick.Stop()
	for {
		err := syscall.Flock(int(file.Fd()), how|syscall.LOCK_NB)
		switch {
		case err == nil:
			// Nothing can be done about an unlock that fails, and closing the file unlocks as well.
			return func() { _ = syscall.Flock(int(file.Fd()), syscall.LOCK_UN) }, nil
		case errors.Is(err, syscall.EINTR):
		case !errors.Is(err, syscall.EWOULDBLOCK):
			return nil, fmt.Errorf("lock: %w", err)
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("another process holds the lock: %w", ctx.Err())
		case <-tick.C:
		}
	}
}

func syncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
