package activities

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/rollpatch/rollpatch/workflows/plan"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

// pulseScript tells what does not change on a host that nothing happens to. It is the kernel's and systemd's: no family of packages has another.
// It comes often, so it starts few programs.
const pulseScript = `root="${ROLLPATCH_ROOT:-}"
read -r boot <"$root/proc/sys/kernel/random/boot_id"
printf 'boot\t%s\n' "$boot"
while read -r key count; do
	[ "$key" != oom_kill ] || printf 'killed\t%s\n' "$count"
done 2>/dev/null <"$root/proc/vmstat"
[ -z "${ROLLPATCH_UNITS-}" ] || systemctl show -p Id -p NRestarts $ROLLPATCH_UNITS 2>/dev/null | {
	while IFS='=' read -r key value; do
		case $key in
		'') unit= count= ;; # the next unit
		Id) unit=$value ;;
		NRestarts) count=$value ;;
		esac
		[ -z "${unit-}" ] || [ -z "${count-}" ] || { printf 'crashes\t%s\t%s\n' "$unit" "$count" && unit= count=; }
	done
}
`

// pulseFor is how long one member has for its pulse. A host that lost its disk may let us in and answer no more: then it is not known.
const pulseFor = 15 * time.Second

// pulses asks the patched members for theirs. The error says of whom nothing is known; what the others told is there all the same.
func (a *Activities) pulses(ctx context.Context, p plan.Part, in WatchInput) (map[string]rollout.Pulse, error) {
	var units []string
	for _, c := range p.Cluster.Checks {
		if c.Unit != "" {
			units = append(units, c.Unit)
		}
	}
	all := make([]rollout.Pulse, len(in.Patched))
	failed := make([]error, len(in.Patched))
	var asking sync.WaitGroup
	for i, host := range in.Patched {
		asking.Go(func() {
			own, cancel := context.WithTimeout(ctx, pulseFor)
			defer cancel()
			if all[i], failed[i] = a.pulse(own, in.Part, host, units); failed[i] != nil {
				failed[i] = fmt.Errorf("whether %s has booted since is not known: %w", host, failed[i])
			}
		})
	}
	asking.Wait()
	told := map[string]rollout.Pulse{}
	for i, host := range in.Patched {
		if failed[i] == nil {
			told[host] = all[i]
		}
	}
	return told, errors.Join(failed...)
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
