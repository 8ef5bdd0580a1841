package sshrun

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	mrand "math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rollpatch/rollpatch/activities"
)

//go:embed starter.sh
var starter string

//go:embed wrapper.sh
var wrapper string

var (
	_ activities.Runner = (*Pool)(nil)
	_ activities.Dialer = (*Pool)(nil)
)

var (
	runID  = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,199}$`)
	laneID = regexp.MustCompile(`^([A-Za-z0-9][A-Za-z0-9._-]{0,62}/[A-Za-z0-9][A-Za-z0-9._-]{0,62})?$`)
	bootID = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)
)

// marker comes before everything we read: what a login shell prints by itself is not ours.
const marker = "@rollpatch "

// maxLine bounds one line of the starter's answer.
const maxLine = 64 << 10

// Run starts the run, or attaches to it, and follows it to its end over as many connections as it takes. It returns an error only when
// ctx ends, when the host is not who it should be or does not let us in, or when the start itself cannot be carried out there.
func (p *Pool) Run(ctx context.Context, t activities.Target, r activities.Run, seen func(activities.RunOutcome)) (activities.RunOutcome, error) {
	input, err := startInput(r, p.o.MaxOutput)
	if err != nil {
		return activities.RunOutcome{}, fmt.Errorf("host %q: run %q: %w", t.Host, r.ID, err)
	}
	attach := ""
	if !r.BeginBy.IsZero() {
		attach = attachInput(r, p.o.MaxOutput)
	}
	return p.follow(ctx, t, r.ID, func() string {
		if attach != "" && time.Now().After(r.BeginBy) {
			return attach
		}
		return input
	}, seen)
}

// Attach follows what the host has on record under the id of a run that it refused to start, as Run does; it starts nothing.
func (p *Pool) Attach(ctx context.Context, t activities.Target, r activities.Run, seen func(activities.RunOutcome)) (activities.RunOutcome, error) {
	if err := named(r); err != nil {
		return activities.RunOutcome{}, fmt.Errorf("host %q: run %q: %w", t.Host, r.ID, err)
	}
	input := attachInput(r, p.o.MaxOutput)
	return p.follow(ctx, t, r.ID, func() string { return input }, seen)
}

// attachInput is what the starter needs to know to attach to a run.
func attachInput(r activities.Run, limit int) string {
	var b strings.Builder
	assign(&b, "mode", "attach")
	assignRun(&b, r, limit)
	return b.String()
}

// follow asks until the run has ended, or the host says something else of it. What it asks is made anew for each connection.
func (p *Pool) follow(ctx context.Context, t activities.Target, id string, input func() string, seen func(activities.RunOutcome)) (activities.RunOutcome, error) {
	heard := false
	told := func(o activities.RunOutcome) {
		heard = true
		if seen != nil {
			seen(o)
		}
	}
	for pause := firstPause; ; pause = min(2*pause, maxPenalty) {
		out, err := p.ask(ctx, t, input, told)
		if !errors.Is(err, ErrUnreachable) {
			return out, err
		}
		if ctx.Err() != nil {
			return activities.RunOutcome{}, fmt.Errorf("run %q is not followed any longer: %w", id, err)
		}
		if heard {
			// The last connection was of use; only attempts in a row are spaced.
			heard, pause = false, firstPause
		}
		if err := sleep(ctx, pause/2+mrand.N(pause/2)); err != nil {
			return activities.RunOutcome{}, fmt.Errorf("run %q is not followed any longer: %w", id, unreachable(t.Host, err))
		}
	}
}

// startInput is what the starter needs to know of a run.
func startInput(r activities.Run, limit int) (string, error) {
	if err := named(r); err != nil {
		return "", err
	}
	if r.Deadline <= 0 {
		return "", errors.New("no deadline")
	}
	if err := noNUL(r.Script); err != nil {
		return "", err
	}
	env, err := exports(r.Env)
	if err != nil {
		return "", err
	}
	seconds := int64((r.Deadline + time.Second - 1) / time.Second)
	var b strings.Builder
	assign(&b, "mode", "start")
	assignRun(&b, r, limit)
	assign(&b, "digest", Digest(r))
	assign(&b, "unit", Unit(r.ID))
	assign(&b, "deadline", strconv.FormatInt(seconds, 10))
	assign(&b, "script", string(r.Script))
	assign(&b, "env", env)
	assign(&b, "wrapper", wrapper)
	if p := r.Prune; p != nil {
		for _, instance := range p.Unfinished {
			if !runID.MatchString(instance) {
				return "", fmt.Errorf("%q is no name of an instance", instance)
			}
		}
		assign(&b, "prune_days", strconv.Itoa(p.Days))
		assign(&b, "prune_keep", strconv.Itoa(p.Keep))
		assign(&b, "unfinished", strings.Join(p.Unfinished, " "))
	}
	return b.String(), nil
}

// named says what is wrong with a run's id or number.
func named(r activities.Run) error {
	if !runID.MatchString(r.ID) {
		return errors.New("not an id: letters, digits, dot, dash and underscore, at most 200")
	}
	if !laneID.MatchString(r.Lane) {
		return errors.New("not a lane: cluster/member")
	}
	if r.Seq < 1 {
		return fmt.Errorf("number %d is below 1", r.Seq)
	}
	return nil
}

func assignRun(b *strings.Builder, r activities.Run, limit int) {
	assign(b, "id", r.ID)
	assign(b, "seq", strconv.FormatInt(r.Seq, 10))
	assign(b, "lane", r.Lane)
	assign(b, "limit", strconv.Itoa(limit))
}

// Digest is what a host holds a run's id to: its script and its arguments.
func Digest(r activities.Run) string {
	h := sha256.New()
	fmt.Fprintf(h, "%d\n%s", len(r.Script), r.Script)
	for _, name := range slices.Sorted(maps.Keys(r.Env)) {
		fmt.Fprintf(h, "%s\n%d\n%s", name, len(r.Env[name]), r.Env[name])
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil))
}

// Unit is the name of a run's unit on the host.
func Unit(id string) string {
	sum := sha256.Sum256([]byte(id))
	return "rollpatch-" + hex.EncodeToString(sum[:8])
}

// ask sends the starter and reads its answer.
func (p *Pool) ask(ctx context.Context, t activities.Target, input func() string, seen func(activities.RunOutcome)) (activities.RunOutcome, error) {
	nonce := newNonce()
	var out activities.RunOutcome
	err := p.with(ctx, t, func(c *conn) error {
		var b strings.Builder // only now: the way here may have taken long
		assign(&b, "nonce", nonce)
		b.WriteString(input())
		b.WriteString(starter)
		return c.exec(ctx, rootShell(t), []byte(b.String()), func(r io.Reader) error {
			var err error
			out, err = parseAnswer(r, nonce, p.o.MaxOutput, seen)
			if errors.Is(err, io.ErrUnexpectedEOF) {
				return unreachable(t.Host, errors.New("the answer broke off"))
			}
			return err
		})
	})
	if err != nil {
		return activities.RunOutcome{}, err
	}
	return out, nil
}

// parseAnswer reads the starter's answer. One that is cut short is io.ErrUnexpectedEOF: it may not be told from another state.
func parseAnswer(r io.Reader, nonce string, limit int, seen func(activities.RunOutcome)) (activities.RunOutcome, error) {
	var out activities.RunOutcome
	in := bufio.NewReaderSize(r, maxLine)
	if err := skipTo(in, nonce); err != nil {
		return out, err
	}
	for {
		line, err := in.ReadSlice('\n')
		if errors.Is(err, io.EOF) {
			return out, io.ErrUnexpectedEOF
		}
		if err != nil {
			return out, fmt.Errorf("answer of the run starter: %w", err)
		}
		key, value, _ := strings.Cut(strings.TrimSuffix(string(line), "\n"), "\t")
		switch key {
		case "end":
			if out.State == "" {
				return out, errors.New("answer of the run starter: no state")
			}
			return out, nil
		case "beat":
			seen(activities.RunOutcome{State: activities.RunRunning, Reason: value})
		case "state":
			out.State = activities.RunState(value)
		case "reason":
			out.Reason = value
		case "boot":
			out.BootID = value
		case "kept":
			out.Kept = value
		case "exit":
			out.Exit, err = strconv.Atoi(value)
		case "started":
			out.Started, err = parseEpoch(value)
		case "ended":
			out.Ended, err = parseEpoch(value)
		case "stdout":
			out.Stdout, err = readBody(in, value, limit)
		case "stderr":
			out.Stderr, err = readBody(in, value, limit)
		default:
			err = errors.New("unknown")
		}
		if errors.Is(err, io.ErrUnexpectedEOF) {
			return out, err
		}
		if err != nil {
			return out, fmt.Errorf("answer of the run starter: %q: %w", key, err)
		}
	}
}

func skipTo(in *bufio.Reader, nonce string) error {
	want := marker + nonce + "\n"
	for {
		line, err := in.ReadSlice('\n')
		if string(line) == want {
			return nil
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return io.ErrUnexpectedEOF
		}
	}
}

func readBody(in io.Reader, size string, limit int) ([]byte, error) {
	n, err := strconv.Atoi(size)
	if err != nil || n < 0 || n > limit {
		return nil, fmt.Errorf("length %q is not within 0 and %d", size, limit)
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(in, body); err != nil {
		return nil, io.ErrUnexpectedEOF
	}
	return body, nil
}

// parseEpoch reads seconds since 1970 with nine decimals.
func parseEpoch(s string) (time.Time, error) {
	whole, part, _ := strings.Cut(s, ".")
	sec, err := strconv.ParseInt(whole, 10, 64)
	if err != nil {
		return time.Time{}, err
	}
	nsec, err := strconv.ParseInt((part + "000000000")[:9], 10, 64)
	if err != nil {
		return time.Time{}, err
	}
	return time.Unix(sec, nsec).UTC(), nil
}

func newNonce() string {
	var b [12]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// rootShell reads its script from stdin, so that the process list shows nothing of it.
func rootShell(t activities.Target) string {
	if t.Access.User == "root" {
		return userShell
	}
	return "sudo -n " + userShell
}

const userShell = "/bin/sh -s"

// Query runs a read-only script as root to its end and returns what it printed. The script may be run twice.
func (p *Pool) Query(ctx context.Context, t activities.Target, script []byte, env map[string]string) ([]byte, error) {
	if err := noNUL(script); err != nil {
		return nil, fmt.Errorf("host %q: %w", t.Host, err)
	}
	arguments, err := exports(env)
	if err != nil {
		return nil, fmt.Errorf("host %q: %w", t.Host, err)
	}
	var b strings.Builder
	b.WriteString("[ -n \"${ROLLPATCH_ROOT:-}\" ] || PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\nexport PATH\n")
	b.WriteString(arguments)
	assign(&b, "rollpatch_script", string(script))
	// The rest of stdin is ours: the script must not read it.
	b.WriteString("eval \"$rollpatch_script\" </dev/null\nexit $?\n")
	return p.shell(ctx, t, rootShell(t), b.String())
}

// Command runs a program as the access user and returns what it printed. It may be run twice.
func (p *Pool) Command(ctx context.Context, t activities.Target, argv []string) ([]byte, error) {
	var b strings.Builder
	b.WriteString("exec")
	for _, word := range argv {
		if strings.Contains(word, "\x00") {
			return nil, fmt.Errorf("host %q: command: holds a NUL byte", t.Host)
		}
		b.WriteString(" " + quote(word))
	}
	b.WriteString(" </dev/null\n")
	return p.shell(ctx, t, userShell, b.String())
}

// shell sends text to a shell on the host and returns what came after the marker.
func (p *Pool) shell(ctx context.Context, t activities.Target, command, text string) ([]byte, error) {
	var out []byte
	err := p.with(ctx, t, func(c *conn) error {
		var err error
		out, err = c.shell(ctx, command, text, p.o.MaxOutput)
		return err
	})
	return out, err
}

func (c *conn) shell(ctx context.Context, command, text string, limit int) ([]byte, error) {
	nonce := newNonce()
	var out []byte
	err := c.exec(ctx, command, []byte("printf '\\n"+marker+nonce+"\\n'\n"+text), func(r io.Reader) error {
		in := bufio.NewReader(r)
		if err := skipTo(in, nonce); err != nil {
			return unreachable(c.target.Host, errors.New("the shell did not begin"))
		}
		var err error
		out, err = io.ReadAll(io.LimitReader(in, int64(limit)+1))
		if err == nil && len(out) > limit {
			err = fmt.Errorf("host %q: more than %d bytes of output", c.target.Host, limit)
		}
		return err
	})
	var exit *ExitError
	if errors.As(err, &exit) {
		exit.Stdout = out
	}
	return out, err
}

// begun looks for what the wrapper makes as its first act.
const begun = `[ ! -e "${ROLLPATCH_ROOT:-}/var/lib/rollpatch/runs/$ROLLPATCH_RUN/begun" ] || echo begun
`

// Begun tells whether a run of this id has begun on the host, now or long ago.
func (p *Pool) Begun(ctx context.Context, t activities.Target, id string) (bool, error) {
	out, err := p.Query(ctx, t, []byte(begun), map[string]string{"ROLLPATCH_RUN": id})
	return len(out) > 0, err
}

// errSilentShell: whoever logged in was told nothing.
var errSilentShell = errors.New("it let us in, and its shell did not answer")

// BootID reads the id of the host's present boot over a new connection, which takes the place of the pooled one: an old one proves nothing
// about the host that answers now.
func (p *Pool) BootID(ctx context.Context, t activities.Target) (string, error) {
	c, _, err := p.open(ctx, t, true)
	if err != nil {
		return "", err
	}
	defer c.done()
	// A host that is going down, or has lost its disk, may let us in and answer no more.
	answering, cancel := context.WithTimeoutCause(ctx, p.o.HandshakeTimeout, errSilentShell)
	defer cancel()
	out, err := c.shell(answering, userShell, "cat \"${ROLLPATCH_ROOT:-}/proc/sys/kernel/random/boot_id\"\n", maxLine)
	if err != nil && ctx.Err() == nil && context.Cause(answering) == errSilentShell {
		return "", unreachable(t.Host, fmt.Errorf("%w within %s", errSilentShell, p.o.HandshakeTimeout))
	}
	if err != nil {
		return "", err
	}
	id := strings.TrimSuffix(string(out), "\n")
	if !bootID.MatchString(id) {
		return "", fmt.Errorf("host %q: %q is not a boot id", t.Host, id)
	}
	return id, nil
}
