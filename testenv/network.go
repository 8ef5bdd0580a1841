package testenv

import (
	"context"
	"os"
	"strings"
)

// startNetwork makes the lab's bridge. One of that name is a leftover: the
// caller holds the number's lock, so no living lab owns it.
func startNetwork(ctx context.Context, number int) error {
	stopNetwork(ctx, number)
	bridge := bridgeName(number)
	for _, argv := range [][]string{
		{"ip", "link", "add", bridge, "type", "bridge", "forward_delay", "0"},
		{"ip", "address", "add", gateway(number) + "/24", "dev", bridge},
		{"ip", "link", "set", bridge, "up"},
	} {
		if _, err := command(ctx, argv...); err != nil {
			return err
		}
	}
	if !bridgeFiltered() {
		return nil
	}
	_, err := command(ctx, append([]string{"iptables", "-w", "-I"}, forwardRule(bridge)...)...)
	return err
}

func stopNetwork(ctx context.Context, number int) {
	bridge := bridgeName(number)
	// Both fail when there is nothing to remove, which is what is wanted.
	if bridgeFiltered() {
		_, _ = command(ctx, append([]string{"iptables", "-w", "-D"}, forwardRule(bridge)...)...)
	}
	_, _ = command(ctx, "ip", "link", "delete", bridge)
}

// dropCable removes the network interface of a host that was killed: the kernel does so too, but takes its time, and meanwhile the host cannot be
// started, since the name is taken.
func dropCable(ctx context.Context, number int, host string) {
	// It fails when there is nothing to remove, which is what is wanted.
	_, _ = command(ctx, "ip", "link", "delete", cableName(number, host))
}

func forwardRule(bridge string) []string {
	return []string{"FORWARD", "-i", bridge, "-o", bridge, "-j", "ACCEPT"}
}

// bridgeFiltered says whether packets between hosts pass the machine's packet
// filter, which container engines switch on and then close.
func bridgeFiltered() bool {
	raw, err := os.ReadFile("/proc/sys/net/bridge/bridge-nf-call-iptables")
	return err == nil && strings.TrimSpace(string(raw)) == "1"
}
