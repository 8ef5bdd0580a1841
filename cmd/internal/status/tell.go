package status

import (
	"strconv"
	"strings"

	"github.com/rollpatch/rollpatch/workflows/rollout"
)

// does is what a member's step is about, for whoever asks why it takes so long.
var does = map[rollout.Step]string{
	rollout.StepInspect:    "it is looked at: its packages, its boot id, somebody else's maintenance",
	rollout.StepFetch:      "its packages are fetched while it serves",
	rollout.StepDrain:      "it is taken out of service: the servers must no longer list it, and its connections must end",
	rollout.StepReboot:     "it reboots: another boot id must prove it",
	rollout.StepPower:      "its power is cycled: it went down for its reboot and did not come back",
	rollout.StepCheck:      "its checks are asked until they pass",
	rollout.StepUndrain:    "it is put back into service: the servers must list it",
	rollout.StepBackout:    "its former versions are being restored",
	rollout.StepQuarantine: "its quarantine is being put on record",
}

// Told is the whole sentence on a member on its way, where Reason is what the step beside it does not say.
func (m Member) Told() string {
	own := m.own
	switch {
	case own != "":
	case m.Step == string(rollout.StepPatch) && m.Count == 1:
		own = "the package of its transaction is being changed"
	case m.Step == string(rollout.StepPatch):
		own = "the " + strconv.Itoa(m.Count) + " packages of its transaction are being changed"
	case does[rollout.Step(m.Step)] != "":
		own = does[rollout.Step(m.Step)]
	case m.Step == "":
		own = "its workflow begins"
	default:
		own = "it has ended, and its cluster is about to hear of it"
	}
	if late := strings.TrimPrefix(strings.TrimPrefix(m.Reason, m.own), "; "); late != "" {
		own += "; " + late
	}
	return own
}

// Waits says that a member waits for a cause that can clear itself.
func (m Member) Waits() bool { return m.waitFor != "" && !m.Held }
