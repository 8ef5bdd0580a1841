//go:build !linux

package chaos

import (
	"errors"
	"runtime"
)

// fullDisk needs limits that can be set on another process.
func fullDisk(bool) func(*scene) error {
	return func(*scene) error {
		return errors.New("no limit on another process's files can be set on " + runtime.GOOS)
	}
}
