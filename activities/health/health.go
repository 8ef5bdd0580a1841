// Package health asks a host's checks, each once: units, ports, pages and commands, all as seen from the host itself. It must
// not know what a failed check leads to, how often to ask, or how a host is reached.
//
// A check that fails is an answer of the host: its reason says what was seen. Where no answer was had (no connection to the
// host, a question that could not be put) it is an error, which says nothing about the host's health.
package health

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/rollpatch/rollpatch/activities"
	"github.com/rollpatch/rollpatch/inventory"
)

var _ activities.Prober = (*Prober)(nil)

const (
	// checkTimeout is how long a check may take: what is healthy answers sooner.
	checkTimeout = 10 * time.Second
	// hostTimeout is how long the host itself may take to answer a question.
	hostTimeout = 30 * time.Second
	// bodyLimit is how much of a page is searched.
	bodyLimit = 1 << 20
	// reasonLimit bounds what of a host's words enters a reason.
	reasonLimit = 200
)

// Runner is what is asked of a host.
type Runner interface {
	// Query runs a read-only script and returns its output.
	Query(ctx context.Context, t activities.Target, script []byte, env map[string]string) ([]byte, error)
	// Command runs a program as the access user and returns its output. A status other than 0 is an error with a method
	// ExitStatus() int; any other error means that nothing is known.
	Command(ctx context.Context, t activities.Target, argv []string) ([]byte, error)
}

// Prober asks checks.
type Prober struct {
	runner Runner
	dialer activities.Dialer
	check  time.Duration
	host   time.Duration
}

// New returns a Prober that asks hosts through the runner and their ports through the dialer. An error of the dialer that has a
// method Refused() bool which returns true is the answer of the address; any other is trouble on the way to the host.
func New(runner Runner, dialer activities.Dialer) *Prober {
	return &Prober{runner: runner, dialer: dialer, check: checkTimeout, host: hostTimeout}
}

// Probe asks one check.
func (p *Prober) Probe(ctx context.Context, t activities.Target, c inventory.Check) (ok bool, reason string, err error) {
	switch {
	case c.Unit != "":
		ok, reason, err = p.unit(ctx, t, c.Unit)
	case c.TCP != "":
		ok, reason, err = p.twice(ctx, t, func(ctx context.Context) (bool, string, error) { return p.tcp(ctx, t, c.TCP) })
	case c.HTTP != nil:
		ok, reason, err = p.twice(ctx, t, func(ctx context.Context) (bool, string, error) { return p.page(ctx, t, *c.HTTP) })
	case len(c.Command) > 0:
		ok, reason, err = p.command(ctx, t, c.Command)
	default:
		err = errors.New("it names neither unit, tcp, http nor command")
	}
	if err != nil {
		return false, "", fmt.Errorf("check %q: %w", c.Name, err)
	}
	return ok, reason, nil
}

// unit asks systemd. The status tells an inactive unit from a systemd that does not answer, and is printed so that neither can be
// taken for a script that did not run.
func (p *Prober) unit(ctx context.Context, t activities.Target, unit string) (bool, string, error) {
	ctx, cancel := context.WithTimeout(ctx, p.host)
	defer cancel()
	const script = `state=$(systemctl is-active -- "$ROLLPATCH_UNIT") && status=0 || status=$?
printf '%s %s\n' "$status" "$state"
`
	out, err := p.runner.Query(ctx, t, []byte(script), map[string]string{"ROLLPATCH_UNIT": unit})
	if err != nil {
		return false, "", err
	}
	status, state, found := strings.Cut(strings.TrimSpace(string(out)), " ")
	switch {
	case !found || state == "":
		return false, "", fmt.Errorf("systemctl is-active %s: status %q and no state", unit, status)
	case status == "0":
		return true, state, nil
	}
	return false, brief(unit + " is " + state), nil
}

// command runs the program as the access user, and ends it when it takes too long.
func (p *Prober) command(ctx context.Context, t activities.Target, argv []string) (bool, string, error) {
	ctx, cancel := context.WithTimeout(ctx, p.host+p.check)
	defer cancel()
	limit := int(max(1, p.check/time.Second))
	out, err := p.runner.Command(ctx, t, append([]string{"timeout", "-k", "2", strconv.Itoa(limit)}, argv...))
	var exit interface{ ExitStatus() int }
	switch {
	case err == nil:
		return true, brief(lastLine(out)), nil
	case !errors.As(err, &exit):
		return false, "", err
	case exit.ExitStatus() == 124:
		// What timeout itself exits with.
		return false, fmt.Sprintf("%s did not end within %ds", argv[0], limit), nil
	case exit.ExitStatus() == 125:
		return false, "", err // timeout could not do its work
	}
	return false, brief(err.Error()), nil
}

// doubt is a failure that can be the service's or that of the way to it.
type doubt struct{ cause error }

func (d *doubt) Error() string { return d.cause.Error() }
func (d *doubt) Unwrap() error { return d.cause }

// twice tells a service that does not answer from a connection to the host that broke: in doubt the host itself is asked, and
// the service once more. Only a service that fails while its host answers has failed.
func (p *Prober) twice(ctx context.Context, t activities.Target, try func(context.Context) (bool, string, error)) (bool, string, error) {
	once := func() (bool, string, error) {
		ctx, cancel := context.WithTimeout(ctx, p.check)
		defer cancel()
		return try(ctx)
	}
	var in *doubt
	ok, reason, err := once()
	if !errors.As(err, &in) {
		return ok, reason, err
	}
	if err := ctx.Err(); err != nil {
		return false, "", err
	}
	asking, cancel := context.WithTimeout(ctx, p.host)
	defer cancel()
	if _, err := p.runner.Query(asking, t, []byte(":\n"), nil); err != nil {
		return false, "", fmt.Errorf("%w, and the host does not answer: %w", in, err)
	}
	ok, reason, err = once()
	switch {
	case !errors.As(err, &in):
		return ok, reason, err
	case ctx.Err() != nil:
		return false, "", ctx.Err()
	}
	return false, brief(in.Error()), nil
}

// dial connects to the address as seen from the host. refused is the host's own word that there is nobody.
func (p *Prober) dial(ctx context.Context, t activities.Target, addr string) (conn net.Conn, refused error, err error) {
	conn, err = p.dialer.Dial(ctx, t, "tcp", addr)
	var answer interface{ Refused() bool }
	switch {
	case err == nil:
		return conn, nil, nil
	case errors.As(err, &answer) && answer.Refused():
		return nil, err, nil
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return nil, nil, &doubt{fmt.Errorf("no connection to %s within %s", addr, p.check)}
	}
	return nil, nil, err
}

func (p *Prober) tcp(ctx context.Context, t activities.Target, addr string) (bool, string, error) {
	conn, refused, err := p.dial(ctx, t, addr)
	switch {
	case err != nil:
		return false, "", err
	case refused != nil:
		return false, brief(refused.Error()), nil
	}
	// It was open; how it closes says nothing.
	_ = conn.Close()
	return true, addr + " accepts connections", nil
}

// page asks for a page. A redirect is not followed: the status that the server gives is the one that is checked.
func (p *Prober) page(ctx context.Context, t activities.Target, c inventory.HTTPCheck) (bool, string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.URL, nil)
	if err != nil {
		return false, "", err
	}
	req.Header.Set("User-Agent", "rollpatch")
	port := cmp.Or(req.URL.Port(), map[string]string{"http": "80", "https": "443"}[req.URL.Scheme])
	// Connected first, so that nobody there and no good answer are told apart.
	conn, refused, err := p.dial(ctx, t, net.JoinHostPort(req.URL.Hostname(), port))
	switch {
	case err != nil:
		return false, "", err
	case refused != nil:
		return false, brief(refused.Error()), nil
	}
	defer conn.Close()
	transport := &http.Transport{
		DialContext:       func(context.Context, string, string) (net.Conn, error) { return conn, nil },
		DisableKeepAlives: true,
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return false, "", &doubt{p.unanswered(ctx, err)}
	}
	defer resp.Body.Close()
	if want := cmp.Or(c.Status, inventory.DefaultStatus); resp.StatusCode != want {
		return false, fmt.Sprintf("status %d, want %d", resp.StatusCode, want), nil
	}
	if c.Body == "" {
		return true, fmt.Sprintf("status %d", resp.StatusCode), nil
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, bodyLimit))
	switch {
	case strings.Contains(string(body), c.Body):
		return true, brief(fmt.Sprintf("status %d with %q", resp.StatusCode, c.Body)), nil
	case err != nil:
		return false, "", &doubt{p.unanswered(ctx, err)}
	}
	return false, brief(fmt.Sprintf("status %d, but the page does not contain %q", resp.StatusCode, c.Body)), nil
}

func (p *Prober) unanswered(ctx context.Context, err error) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("no answer within %s", p.check)
	}
	return fmt.Errorf("no good answer: %w", err)
}

// Connections counts the established connections to the ports of the host.
func (p *Prober) Connections(ctx context.Context, t activities.Target, ports []int) (int, error) {
	if len(ports) == 0 {
		return 0, errors.New("connections: no port is named")
	}
	var filter []string
	for _, port := range ports {
		filter = append(filter, fmt.Sprintf("sport = :%d", port))
	}
	ctx, cancel := context.WithTimeout(ctx, p.host)
	defer cancel()
	// The last line tells a host without connections from an output that was cut short.
	const script = `ss -Htn state established "( $ROLLPATCH_PORTS )" && echo end
`
	out, err := p.runner.Query(ctx, t, []byte(script), map[string]string{"ROLLPATCH_PORTS": strings.Join(filter, " or ")})
	if err != nil {
		return 0, fmt.Errorf("connections: %w", err)
	}
	count := 0
	lines := bufio.NewScanner(strings.NewReader(string(out)))
	for lines.Scan() {
		switch line := strings.TrimSpace(lines.Text()); line {
		case "":
		case "end":
			return count, nil
		default:
			count++
		}
	}
	return 0, errors.New("connections: the output of ss is not whole")
}

func lastLine(out []byte) string {
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	return strings.TrimSpace(lines[len(lines)-1])
}

// brief bounds a reason and keeps it on one line, whatever a host printed.
func brief(s string) string {
	s = strings.Join(strings.Fields(strings.ToValidUTF8(s, "?")), " ")
	if len(s) > reasonLimit {
		s = strings.ToValidUTF8(s[:reasonLimit], "") + "..."
	}
	return s
}
