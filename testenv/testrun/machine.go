package testrun

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
)

const (
	labReal = "real"
	labSim  = "sim"
	labAuto = "auto"
)

func parseLab(value string) (string, error) {
	switch value {
	case "":
		return labAuto, nil
	case labReal, labSim, labAuto:
		return value, nil
	}
	return "", fmt.Errorf("LAB=%s is none of %s, %s, %s", value, labReal, labSim, labAuto)
}

// machine is what the tests have to run on.
type machine struct {
	asked   string // what LAB says
	lab     string // real or sim: what the tests are told
	missing string // why real hosts cannot be had
	built   string // folder of binaries made in this run; empty: tests build their own
	consul  func(ctx context.Context, log io.Writer) (string, error)
	log     io.Writer
}

func inspectMachine(asked string, lab Lab, log io.Writer) machine {
	m := machine{asked: asked, lab: labSim, consul: lab.Consul, log: log}
	if asked == labSim {
		return m
	}
	if m.missing = lab.Missing(); m.missing == "" {
		m.lab = labReal
	}
	return m
}

// need returns "" when program is there, if need be after installing packages,
// and otherwise why it is not.
func (m machine) need(ctx context.Context, program string, packages ...string) string {
	if _, err := exec.LookPath(program); err == nil {
		return ""
	}
	install := append([]string{"-y", "-q", "-o", "DPkg::Lock::Timeout=300", "install", "--no-install-recommends"}, packages...)
	remedy := "apt-get install " + strings.Join(packages, " ")
	if _, err := exec.LookPath("apt-get"); err != nil || os.Geteuid() != 0 {
		return fmt.Sprintf("no %s here (%s, as root)", program, remedy)
	}
	fmt.Fprintf(m.log, "testrun: no %s here: %s\n", program, remedy)
	if _, err := output(aptGet(ctx, install...)); err == nil {
		return ""
	}
	// A machine fresh from its image has no list of packages yet.
	if _, err := output(aptGet(ctx, "-q", "-o", "DPkg::Lock::Timeout=300", "update")); err != nil {
		return fmt.Sprintf("no %s here, and apt-get update fails: %v", program, err)
	}
	if _, err := output(aptGet(ctx, install...)); err != nil {
		return fmt.Sprintf("no %s here, and it cannot be installed: %v", program, err)
	}
	return ""
}

func aptGet(ctx context.Context, args ...string) *exec.Cmd {
	cmd := command(ctx, "apt-get", args...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	return cmd
}
