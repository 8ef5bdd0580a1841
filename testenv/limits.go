package testenv

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// limits are kernel settings that many hosts on one machine share. Each host's
// service manager and daemons hold some thirty inotify instances; Debian allows
// one user 128, and a host that finds none left hangs in its boot without a word to anyone.
var limits = []struct {
	path string
	need int
}{
	{"/proc/sys/fs/inotify/max_user_instances", 8192},
	{"/proc/sys/fs/inotify/max_user_watches", 524288},
}

// raiseLimits raises what is lower, until the machine's next boot.
func raiseLimits(c *cache) error {
	for _, l := range limits {
		raw, err := os.ReadFile(l.path)
		if err != nil {
			return err
		}
		have, err := strconv.Atoi(strings.TrimSpace(string(raw)))
		if err != nil {
			return fmt.Errorf("%s: %w", l.path, err)
		}
		if have >= l.need {
			continue
		}
		c.sayf("raising %s from %d to %d: six hosts share it", l.path, have, l.need)
		if err := os.WriteFile(l.path, []byte(strconv.Itoa(l.need)), 0o644); err != nil {
			return err
		}
	}
	return nil
}
