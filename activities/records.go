package activities

import (
	"context"
	"fmt"
	"strings"

	"github.com/rollpatch/rollpatch/workflows/audit"
)

// RecordsInput asks for every record in the Consul of a part's cluster.
type RecordsInput struct {
	Part string `json:"part"`
}

// DropInput removes records of one owner, on a person's word.
type DropInput struct {
	Part   string      `json:"part"`
	Owner  Owner       `json:"owner"`
	Keys   []string    `json:"keys"`
	Intent audit.Entry `json:"intent"`
}

// DropResult is the end of the chain after it.
type DropResult struct {
	Audit audit.Head `json:"audit"`
}

// Records lists what stands in Consul: claims of clusters, records of drained and of quarantined members, and of quarantined versions, whose
// lists are put into the store: they are too much for a history.
func (a *Activities) Records(ctx context.Context, in RecordsInput) ([]Claim, error) {
	p, err := a.part(ctx, in.Part)
	if err != nil {
		return nil, err
	}
	all, err := readable(a.Claims.List(ctx, consulOf(p, p.Cluster.Consul, ""), ""))
	if err != nil {
		return nil, err
	}
	for i, c := range all {
		if c.Suspects == nil {
			continue
		}
		s := *c.Suspects
		if s.Body, err = a.save(ctx, s.Versions); err != nil {
			return nil, err
		}
		s.Versions, all[i].Suspects = nil, &s
	}
	return all, nil
}

// Server is the id of the Temporal server that the worker works for: records that name another one are not its own.
func (a *Activities) Server(ctx context.Context) (string, error) { return a.ServerID(ctx) }

// Drop removes records, and only if they are still that owner's.
func (a *Activities) Drop(ctx context.Context, in DropInput) (DropResult, error) {
	p, err := a.part(ctx, in.Part)
	if err != nil {
		return DropResult{}, err
	}
	head, err := a.audited(ctx, in.Intent, func(ctx context.Context) (string, string, error) {
		if err := a.Claims.Release(ctx, consulOf(p, p.Cluster.Consul, ""), in.Owner, in.Keys); err != nil {
			return "", "", fmt.Errorf("records %s: %w", strings.Join(in.Keys, ", "), err)
		}
		return "gone", "", nil
	})
	return DropResult{Audit: head}, err
}
