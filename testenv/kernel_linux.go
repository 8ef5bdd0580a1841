package testenv

import "syscall"

// What only Linux has, so that everything else here also builds where real hosts cannot be had.

const (
	mountPrivate = syscall.MS_REC | syscall.MS_PRIVATE
	mountShared  = syscall.MS_REC | syscall.MS_SHARED
)

func mount(source, target, kind string, flags uintptr, data string) error {
	return syscall.Mount(source, target, kind, flags, data)
}

func unmount(target string) error { return syscall.Unmount(target, 0) }

// ownNamespaces gives a supervisor processes and mounts of its own: what it started ends with it, however it ends.
func ownNamespaces() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setsid: true, Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS}
}

// probeNamespaces are all that a lab needs of them.
func probeNamespaces() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS, Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNET}
}
