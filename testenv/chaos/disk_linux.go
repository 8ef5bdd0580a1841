package chaos

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// fullDisk lets rollpatchd's files grow no further, its database among them: what it writes beyond their beginnings fails, as on a full
// disk, and what stands can be read.
func fullDisk(full bool) func(*scene) error {
	return func(s *scene) error {
		limit := unix.Rlimit{Cur: unix.RLIM_INFINITY, Max: unix.RLIM_INFINITY}
		if full {
			limit.Cur = 4096
		}
		if err := unix.Prlimit(s.Daemon.PID, unix.RLIMIT_FSIZE, &limit, nil); err != nil {
			return fmt.Errorf("limit of rollpatchd's files: %w", err)
		}
		return nil
	}
}
