//go:build !linux

package testenv

import (
	"errors"
	"syscall"
)

const (
	mountPrivate = 0
	mountShared  = 0
)

func mount(string, string, string, uintptr, string) error { return errors.ErrUnsupported }

func unmount(string) error { return errors.ErrUnsupported }

func ownNamespaces() *syscall.SysProcAttr { return &syscall.SysProcAttr{} }

func probeNamespaces() *syscall.SysProcAttr { return &syscall.SysProcAttr{} }
