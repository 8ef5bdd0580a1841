package testenv_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/rollpatch/rollpatch/testenv"
	"github.com/rollpatch/rollpatch/testenv/labtest"
)

// ownerDir makes the test binary a program that owns a lab in that folder and waits to be killed.
const ownerDir = "ROLLPATCH_TEST_LAB_OWNER"

func TestMain(m *testing.M) {
	if dir := os.Getenv(ownerDir); dir != "" {
		lab, err := testenv.Up(context.Background(), testenv.Options{Dir: dir, Log: os.Stderr, Owned: true})
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		fmt.Println("up", lab.Number)
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// processes of the lab's hosts, each seen to be alive.
func processes(t *testing.T, lab *testenv.Lab) []int {
	t.Helper()
	st, err := lab.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var pids []int
	for _, h := range st.Hosts {
		if err := syscall.Kill(h.PID, 0); h.PID == 0 || err != nil {
			t.Fatalf("%s: process %d: %v", h.Name, h.PID, err)
		}
		pids = append(pids, h.PID)
	}
	return pids
}

func awaitEnd(t *testing.T, dir string, pids []int) {
	t.Helper()
	await(t, "the lab's end", func() error {
		if _, err := testenv.Attach(dir); !errors.Is(err, testenv.ErrDown) {
			return fmt.Errorf("attach: %v", err)
		}
		for _, pid := range pids {
			if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
				return fmt.Errorf("process %d of a host: %v", pid, err)
			}
		}
		return nil
	})
}

func TestLabEndsWithItsOwner(t *testing.T) {
	labtest.Wanted(t)
	dir := t.TempDir()
	owner := exec.CommandContext(t.Context(), "/proc/self/exe")
	owner.Env = append(os.Environ(), ownerDir+"="+dir)
	owner.Stderr = os.Stderr
	if _, err := owner.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := owner.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := owner.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("the owner said %q: %v", line, err)
	}
	lab, err := testenv.Attach(dir)
	if err != nil {
		t.Fatal(err)
	}
	pids := processes(t, lab)
	if err := owner.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = owner.Wait() // it was killed
	awaitEnd(t, dir, pids)
	bridge := "rplab" + strings.TrimSpace(strings.TrimPrefix(line, "up"))
	await(t, "the bridge's end", func() error {
		if _, err := net.InterfaceByName(bridge); err == nil {
			return errors.New("it is still there")
		}
		return nil
	})
}

func TestLabSurvivesNothingOfAKilledSupervisor(t *testing.T) {
	labtest.Wanted(t)
	dir := t.TempDir()
	up := func() *testenv.Lab {
		lab, err := testenv.Up(t.Context(), testenv.Options{Dir: dir, Owned: true})
		if err != nil {
			t.Fatal(err)
		}
		return lab
	}
	lab := up()
	if again := up(); again.Number != lab.Number {
		t.Errorf("a second up made lab %d beside lab %d", again.Number, lab.Number)
	}
	pids := processes(t, lab)
	raw, err := os.ReadFile(filepath.Join(dir, "lab.pid"))
	if err != nil {
		t.Fatal(err)
	}
	supervisor, err := strconv.Atoi(strings.TrimSpace(string(raw)))
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(supervisor, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	awaitEnd(t, dir, pids)
	// What it left on the machine is in nobody's way.
	lab = up()
	pids = processes(t, lab)
	if err := lab.Down(); err != nil {
		t.Fatal(err)
	}
	awaitEnd(t, dir, pids)
}
