// Package standin is the client half of a simulated host's commands: apt-get, dpkg, systemctl and the others are links to the
// program that runs the fleet, and this package turns such a process into one question to it. It knows nothing of packages,
// units or hosts: what a command does and prints is decided by the fleet at the other end of the socket.
//
// It runs from init, before the packages that are larger than it, because a playbook script starts dozens of such commands and
// what counts is how soon each is gone. For the same reason it imports only os and syscall.
package standin

import (
	"os"
	"syscall"
)

// The variables that make a process a stand-in. Env holds the socket of the fleet, EnvHost the host and EnvBoot the boot that the
// process belongs to; the fleet refuses what belongs to an earlier boot.
const (
	Env     = "ROLLPATCH_SIM"
	EnvHost = "ROLLPATCH_SIM_HOST"
	EnvBoot = "ROLLPATCH_SIM_BOOT"
	EnvUnit = "INVOCATION_ID" // as systemd gives it to a unit's processes
)

// The first byte of an answer: the command ended with the status in the second byte, or the process has to become the command
// whose NUL-separated words follow.
const (
	AnswerExit byte = 'x'
	AnswerExec byte = 'e' // as root, for sudo
)

func init() {
	socket := os.Getenv(Env)
	if socket == "" {
		return
	}
	// Not os.Exit: under the race detector that waits a second for races yet to come.
	syscall.Exit(run(socket))
}

func run(socket string) int {
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err == nil {
		syscall.CloseOnExec(fd)
		err = syscall.Connect(fd, &syscall.SockaddrUnix{Name: socket})
	}
	if err != nil {
		return fail("the fleet does not answer: " + err.Error())
	}
	cwd, _ := os.Getwd()
	words := append([]string{os.Getenv(EnvHost), os.Getenv(EnvBoot), cwd, os.Getenv("USER"), os.Getenv(EnvUnit)}, os.Args...)
	n := 0
	for _, w := range words {
		n += len(w) + 1
	}
	msg := make([]byte, 4, 4+n)
	msg[0], msg[1], msg[2], msg[3] = byte(n>>24), byte(n>>16), byte(n>>8), byte(n)
	for _, w := range words {
		msg = append(append(msg, w...), 0)
	}
	// The first byte carries stdin, stdout and stderr: the fleet reads and writes them itself.
	if err := syscall.Sendmsg(fd, msg[:1], syscall.UnixRights(0, 1, 2), nil, 0); err != nil {
		return fail(err.Error())
	}
	for rest := msg[1:]; len(rest) > 0; {
		w, err := syscall.Write(fd, rest)
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			return fail(err.Error())
		}
		rest = rest[w:]
	}
	var answer []byte
	buf := make([]byte, 4096)
	for {
		r, err := syscall.Read(fd, buf)
		if err == syscall.EINTR {
			continue
		}
		if err != nil || r == 0 {
			break
		}
		answer = append(answer, buf[:r]...)
	}
	switch {
	case len(answer) == 2 && answer[0] == AnswerExit:
		return int(answer[1])
	case len(answer) > 1 && answer[0] == AnswerExec:
		argv := split(answer[1:])
		path := argv[0]
		if !contains(path, '/') {
			path = lookup(path)
		}
		err := syscall.Exec(path, argv, rootEnv())
		os.Stderr.WriteString(argv[0] + ": " + err.Error() + "\n")
		return 127
	}
	return fail("the fleet hung up")
}

// rootEnv is what sudo leaves of the environment: what makes the process one of its host's, and nothing that the caller set.
func rootEnv() []string {
	env := []string{"USER=root", "LOGNAME=root", "SUDO_USER=" + os.Getenv("USER")}
	for _, name := range []string{"PATH", "LANG", "TMPDIR", "ROLLPATCH_ROOT", Env, EnvHost, EnvBoot} {
		env = append(env, name+"="+os.Getenv(name))
	}
	return append(env, "HOME="+os.Getenv("ROLLPATCH_ROOT")+"/root")
}

func fail(msg string) int {
	os.Stderr.WriteString(os.Args[0] + ": " + msg + "\n")
	return 255
}

func split(b []byte) (words []string) {
	start := 0
	for i, c := range b {
		if c == 0 {
			words = append(words, string(b[start:i]))
			start = i + 1
		}
	}
	return words
}

func contains(s string, c byte) bool {
	for i := 0; i < len(s); i++ {
		if s[i] == c {
			return true
		}
	}
	return false
}

func lookup(name string) string {
	path, start := os.Getenv("PATH"), 0
	for i := 0; i <= len(path); i++ {
		if i < len(path) && path[i] != ':' {
			continue
		}
		file := path[start:i] + "/" + name
		var st syscall.Stat_t
		if syscall.Stat(file, &st) == nil && st.Mode&0o111 != 0 {
			return file
		}
		start = i + 1
	}
	return name
}
