package activities

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/rollpatch/rollpatch/workflows/plan"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

// pulseScript tells what does not change on a host that nothing happens to. It is the kernel's and systemd's: no family of packages has another.
const pulseScript = `root="${ROLLPATCH_ROOT:-}"
printf 'boot\t%s\n' "$(cat "$root/proc/sys/kernel/random/boot_id")"
printf 'killed\t%s\n' "$(awk '$1 == "oom_kill" { print $2 }' "$root/proc/vmstat" 2>/dev/null)"
for unit in ${ROLLPATCH_UNITS-}; do
	printf 'crashes\t%s\t%s\n' "$unit" "$(systemctl show -p NRestarts --value "$unit" 2>/dev/null)"
done
`

// pulses asks the patched members for theirs. The error says of whom nothing is known; what the others told is there all the same.
func (a *Activities) pulses(ctx context.Context, p plan.Part, in WatchInput) (map[string]rollout.Pulse, error) {
	var units []string
	for _, c := range p.Cluster.Checks {
		if c.Unit != "" {
			units = append(units, c.Unit)
		}
	}
	all, unknown := map[string]rollout.Pulse{}, error(nil)
	for _, host := range in.Patched {
		pulse, err := a.pulse(ctx, in.Part, host, units)
		if err != nil {
			unknown = errors.Join(unknown, fmt.Errorf("whether %s has booted since is not known: %w", host, err))
			continue
		}
		all[host] = pulse
	}
	return all, unknown
}

func (a *Activities) pulse(ctx context.Context, part, host string, units []string) (rollout.Pulse, error) {
	s, err := a.scene(ctx, part, host)
	if err != nil {
		return rollout.Pulse{}, err
	}
	out, err := a.Runner.Query(ctx, s.target, []byte(pulseScript), map[string]string{"ROLLPATCH_UNITS": strings.Join(units, " ")})
	if err != nil {
		return rollout.Pulse{}, err
	}
	return parsePulse(out)
}

// parsePulse reads what the script told. A count that the host does not keep is none.
func parsePulse(out []byte) (p rollout.Pulse, err error) {
	for line := range bytes.Lines(out) {
		words := strings.Split(strings.TrimRight(string(line), "\n"), "\t")
		switch {
		case len(words) == 2 && words[0] == "boot":
			p.Boot = words[1]
		case len(words) == 2 && words[0] == "killed":
			p.Killed, _ = strconv.ParseInt(words[1], 10, 64)
		case len(words) == 3 && words[0] == "crashes":
			if n, err := strconv.ParseInt(words[2], 10, 64); err == nil {
				p.Crashes = append(p.Crashes, rollout.Crashes{Unit: words[1], N: n})
			}
		}
	}
	if p.Boot == "" {
		return p, errors.New("it does not tell its boot id")
	}
	return p, nil
}
