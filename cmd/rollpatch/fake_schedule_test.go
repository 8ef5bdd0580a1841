package main

import (
	"context"

	"github.com/rollpatch/rollpatch/cmd/internal/status"
	"github.com/rollpatch/rollpatch/workflows/calendar"
)

func (f *fake) Schedules(context.Context) ([]scheduled, error) { return f.Frames[f.at].Schedules, nil }

func (f *fake) Schedule(_ context.Context, name string) (scheduled, error) {
	for _, s := range f.Frames[f.at].Schedules {
		if s.Name == name {
			return s, nil
		}
	}
	return scheduled{}, status.ErrNotFound
}

// Put keeps only what a test looks at: the whole of it is longer than anybody reads.
func (f *fake) Put(ctx context.Context, s scheduling) (bool, error) {
	_, err := f.Schedule(ctx, s.Firing.Name)
	put := map[string]any{
		"put": s.Firing.Name, "files": s.Firing.Files, "by": s.Firing.By, "batches": len(s.Firing.Ask.Batches), "catch_up": calendar.Length(s.CatchUp), "note": s.Note, "at": s.At[:min(len(s.At), 2)],
	}
	if s.Firing.Request != nil {
		put["request"] = s.Firing.Request.Statement
	}
	return err == nil, f.record(put)
}

func (f *fake) Change(_ context.Context, name, word, note string) error {
	return f.record(map[string]any{"schedule": name, "word": word, "note": note})
}
