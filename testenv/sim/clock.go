package sim

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// hostClock is where a host keeps how far its clock is off.
const hostClock = "etc/clock"

// Clock has the host's clock differ from everybody else's, until Reset. What is recorded of the host has the true time.
func (f *Fleet) Clock(name string, off time.Duration) error {
	h, err := f.host(name)
	if err != nil {
		return err
	}
	real, err := exec.LookPath("date")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(h.root, hostClock), fmt.Appendf(nil, "%d seconds\n", int(off.Seconds())), 0o644); err != nil {
		return err
	}
	// In one step: commands are called meanwhile.
	script := fmt.Sprintf("#!/bin/sh\nif [ -e \"$ROLLPATCH_ROOT/%[1]s\" ]; then\n\texec %[2]s --date=\"$(cat \"$ROLLPATCH_ROOT/%[1]s\")\" \"$@\"\nfi\nexec %[2]s \"$@\"\n", hostClock, real)
	next := filepath.Join(f.binDir(), ".date")
	if err := os.WriteFile(next, []byte(script), 0o755); err != nil {
		return err
	}
	f.events.add(Call{Host: name, Event: "clock off", Text: off.String()})
	return os.Rename(next, filepath.Join(f.binDir(), "date"))
}

// setClocks has every host tell the true time again.
func (f *Fleet) setClocks() error {
	real, err := exec.LookPath("date")
	if err != nil {
		return err
	}
	next := filepath.Join(f.binDir(), ".date")
	return errors.Join(os.Symlink(real, next), os.Rename(next, filepath.Join(f.binDir(), "date")))
}
