package activities

import (
	"context"
	"slices"

	"go.uber.org/zap"

	"github.com/rollpatch/rollpatch/workflows/rollout"
)

// Hosts keep the folders of their last runs, and of those of the last month, for whoever asks what happened there.
const (
	pruneDays = 30
	pruneKeep = 50
)

// Prune has the host remove the folders of old runs as it starts a new one.
type Prune struct {
	Days       int      // younger ones stay
	Keep       int      // and so many of the newest
	Unfinished []string // and those of these instances, whatever their age
}

// Instances knows the instances of the Temporal server.
type Instances interface {
	// Unfinished names every instance of which a workflow runs.
	Unfinished(ctx context.Context) ([]string, error)
}

// prune is what the host may forget as the step's run starts. Only the fetch, and a drain by command, have it done: the member still serves then. While the claims
// of the host's clusters are ours no other instance works there, so that an instance of another server is not in question either.
func (a *Activities) prune(ctx context.Context, in StepInput) *Prune {
	if in.Intent.Action != string(rollout.StepFetch) && in.Intent.Action != string(rollout.StepDrain) {
		return nil
	}
	unfinished, err := a.Instances.Unfinished(ctx)
	if err != nil { // what cannot be told is kept
		if a.Log != nil {
			a.Log.Warn("old run folders are kept: nobody knows which instances have ended", zap.String("host", in.Host), zap.Error(err))
		}
		return nil
	}
	if !slices.Contains(unfinished, in.Instance) {
		unfinished = append(unfinished, in.Instance)
	}
	return &Prune{Days: pruneDays, Keep: pruneKeep, Unfinished: unfinished}
}
