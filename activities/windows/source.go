package windows

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/rollpatch/rollpatch/inventory"
	"github.com/rollpatch/rollpatch/inventory/recur"
	"github.com/rollpatch/rollpatch/workflows/calendar"
)

// The bounds of a calendar: it comes from elsewhere.
const (
	mostBytes = 4 << 20
	patience  = 30 * time.Second // for all there is to one
)

// Secrets finds what a reference stands for.
type Secrets interface {
	Resolve(ctx context.Context, s inventory.Secret) (string, error)
}

// Reader reads calendars where it runs.
type Reader struct {
	secrets  Secrets
	client   *http.Client
	patience time.Duration
}

// New returns a Reader.
func New(secrets Secrets) *Reader {
	return &Reader{secrets: secrets, client: &http.Client{}, patience: patience}
}

// body is a calendar's text, or why there is none.
type body struct {
	raw []byte
	err error
}

// events are those of a calendar.
func (r *reading) events(ctx context.Context, c inventory.ICal, zone *time.Location) ([]calendar.Span, error) {
	ctx, cancel := context.WithTimeout(ctx, r.patience)
	defer cancel()
	source := sourceOf(c)
	raw, err := r.text(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", source, err)
	}
	parsed, err := recur.ParseCalendar(raw, zone)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", source, err)
	}
	events, err := parsed.Between(ctx, r.from, r.until)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", source, err)
	}
	var out []calendar.Span
	for _, e := range events {
		if c.Takes(e.Summary) {
			out = append(out, calendar.Span{Start: e.Start, End: e.End, Name: e.Summary, Source: source})
		}
	}
	return out, nil
}

// sourceOf names a calendar without its secret.
func sourceOf(c inventory.ICal) string {
	switch {
	case c.File != "":
		return "calendar " + c.File
	case c.URL.Env != "":
		return "calendar at the address in " + c.URL.Env
	case c.URL.File != "":
		return "calendar at the address in " + c.URL.File
	}
	return "calendar at the address that a command prints"
}

// text reads a calendar, once in a reading.
func (r *reading) text(ctx context.Context, c inventory.ICal) ([]byte, error) {
	key := digest(c.File, c.URL)
	got, ok := r.files[key]
	if !ok {
		got.raw, got.err = r.read(ctx, c)
		r.files[key] = got
	}
	return got.raw, got.err
}

func (r *Reader) read(ctx context.Context, c inventory.ICal) ([]byte, error) {
	if c.File != "" {
		f, err := os.Open(c.File)
		if err != nil {
			return nil, cause(err)
		}
		defer f.Close()
		if info, err := f.Stat(); err == nil && !info.Mode().IsRegular() {
			return nil, errors.New("is no file") // a pipe would be waited for without end
		}
		return limited(f)
	}
	address, err := r.secrets.Resolve(ctx, *c.URL)
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
		return nil, errors.New("is no address that begins with https:// or http://") // not repeated: it may be a secret
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, errors.New("is no address that can be asked")
	}
	req.Header.Set("Accept", "text/calendar")
	resp, err := r.client.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return nil, fmt.Errorf("no answer within %s", r.patience)
		}
		return nil, cause(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the answer was %s", resp.Status)
	}
	raw, err := limited(resp.Body)
	if err != nil && ctx.Err() != nil {
		return nil, fmt.Errorf("no whole answer within %s", r.patience)
	}
	return raw, err
}

// cause leaves out the address and the path of what failed: the one may be a secret, the other is said already.
func cause(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	var p *os.PathError
	if errors.As(err, &p) {
		err = p.Err
	}
	return err
}

func limited(from io.Reader) ([]byte, error) {
	raw, err := io.ReadAll(io.LimitReader(from, mostBytes+1))
	if err == nil && len(raw) > mostBytes {
		return nil, fmt.Errorf("is larger than %d MiB", mostBytes>>20)
	}
	return raw, err
}
