package sim

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// killByEnv kills every process whose environment holds the entry (prefix: one that begins so), until a look finds none: a process
// that forks while it is looked for is found by the next look. Where there is no /proc, only process groups can be ended.
func killByEnv(entry string, prefix bool) {
	deadline := time.Now().Add(5 * time.Second)
	for time.Now().Before(deadline) {
		if !killOnce([]byte(entry), prefix) {
			return
		}
		time.Sleep(time.Millisecond) // the kernel needs a moment to take the killed away
	}
}

func killOnce(entry []byte, prefix bool) (found bool) {
	self := os.Getpid()
	dirs, err := os.ReadDir("/proc")
	if err != nil {
		return false
	}
	for _, d := range dirs {
		pid, err := strconv.Atoi(d.Name())
		if err != nil || pid == self {
			continue
		}
		// Empty for a zombie and for what is just being taken away: neither runs anything.
		env, err := os.ReadFile(filepath.Join("/proc", d.Name(), "environ"))
		if err != nil || !hasEntry(env, entry, prefix) {
			continue
		}
		found = true
		_ = syscall.Kill(pid, syscall.SIGKILL) // gone meanwhile is as good
	}
	return found
}

func hasEntry(env, entry []byte, prefix bool) bool {
	for _, e := range bytes.Split(env, []byte{0}) {
		if bytes.Equal(e, entry) || prefix && bytes.HasPrefix(e, entry) {
			return true
		}
	}
	return false
}
