// Package notify tells people: it hands a notice to a command or posts it to a webhook, once, and a change to whoever keeps changes the same way.
// It must not know which events matter to whom, nor try again: an error means that nobody may have been told.
package notify

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os/exec"
	"strings"
	"time"

	"github.com/rollpatch/rollpatch/activities"
	"github.com/rollpatch/rollpatch/inventory"
	"github.com/rollpatch/rollpatch/inventory/campaign"
)

var (
	_ activities.Notifier = (*Notifier)(nil)
	_ activities.Changes  = (*Notifier)(nil)
)

const (
	commandTimeout = 30 * time.Second
	webhookTimeout = 10 * time.Second
	variableLimit  = 32 << 10
	answerLimit    = 64 << 10
)

// Resolve finds the secret that a reference names.
type Resolve func(context.Context, inventory.Secret) (string, error)

// Notifier delivers notices.
type Notifier struct {
	resolve Resolve
	client  *http.Client
	timeout time.Duration // of a command
}

// New returns a Notifier that finds webhooks' addresses by resolve.
func New(resolve Resolve) *Notifier {
	return &Notifier{
		resolve: resolve,
		client: &http.Client{
			Timeout: webhookTimeout,
			// A redirect is no delivery: it would turn the notice into a GET, or carry it to where nobody meant it to go.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		timeout: commandTimeout,
	}
}

// Notify delivers the notice. Errors name the channel, and nothing of its address, arguments or output.
func (n *Notifier) Notify(ctx context.Context, ch campaign.Notify, notice activities.Notice) error {
	body, err := json.Marshal(notice)
	if err == nil {
		switch {
		case len(ch.Command) > 0:
			err = n.command(ctx, ch.Command, notice, body)
		case ch.Webhook != nil:
			err = n.post(ctx, ch.Webhook.URL, body)
		default:
			err = errors.New("it names neither a command nor a webhook")
		}
	}
	if err != nil {
		return fmt.Errorf("notify %q: %w", ch.Name, err)
	}
	return nil
}

// command runs the program with the notice as JSON on its standard input and its parts in the environment.
func (n *Notifier) command(ctx context.Context, argv []string, notice activities.Notice, body []byte) error {
	return run(ctx, argv, n.timeout, map[string]string{
		"EVENT": notice.Event, "INSTANCE": notice.Instance, "CLUSTER": notice.Cluster, "HOST": notice.Host,
		"TEXT": notice.Text, "NEXT": notice.Next, "TIME": notice.Time,
	}, body, nil)
}

// run runs a program with body on its standard input. What it prints goes to out, if anywhere.
func run(ctx context.Context, argv []string, timeout time.Duration, env map[string]string, body []byte, out io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.WaitDelay = time.Second
	cmd.Stdin, cmd.Stdout = bytes.NewReader(body), out
	cmd.Env = cmd.Environ()
	for name, value := range env {
		cmd.Env = append(cmd.Env, "ROLLPATCH_"+name+"="+variable(value))
	}
	err := cmd.Run()
	switch {
	case err == nil, errors.Is(err, exec.ErrWaitDelay):
		// The second: it ended well, and left a child behind that holds its output.
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("command %q did not end: %w", argv[0], ctx.Err())
	}
	return fmt.Errorf("command %q: %w", argv[0], err)
}

// variable makes a text that an environment can hold: the system takes neither NUL bytes nor very long values, and a notice must
// not be lost over either. Standard input has all of it.
func variable(text string) string {
	text = strings.ReplaceAll(text, "\x00", "")
	if len(text) > variableLimit {
		text = strings.ToValidUTF8(text[:variableLimit], "")
	}
	return text
}

// post sends the notice as JSON; any status of 200 to 299 is a delivery.
func (n *Notifier) post(ctx context.Context, ref inventory.Secret, body []byte) error {
	address, err := n.resolve(ctx, ref)
	if err != nil {
		return fmt.Errorf("webhook's address: %w", err)
	}
	req, err := request(ctx, address, body)
	if err != nil {
		return fmt.Errorf("webhook: %w", err)
	}
	status, _, err := send(n.client, req) // what it says may repeat the address
	if err != nil {
		return fmt.Errorf("webhook at %s: %w", req.URL.Host, err)
	}
	if !status2xx(status) {
		return fmt.Errorf("webhook at %s: it answered %d", req.URL.Host, status)
	}
	return nil
}

// request posts JSON to an address that a reference led to.
func request(ctx context.Context, address string, body []byte) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil || (req.URL.Scheme != "http" && req.URL.Scheme != "https") || req.URL.Host == "" {
		// What is wrong with it cannot be said without saying it.
		return nil, errors.New("the address that was found is no http or https URL")
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "rollpatch")
	return req, nil
}

// send returns the status of the answer and the beginning of what it says, which is read also so that the connection can be used again.
func send(client *http.Client, req *http.Request) (status int, says []byte, err error) {
	resp, err := client.Do(req)
	if err != nil {
		return 0, nil, cause(err)
	}
	defer resp.Body.Close()
	says, err = io.ReadAll(io.LimitReader(resp.Body, answerLimit))
	if err != nil && status2xx(resp.StatusCode) {
		return 0, nil, cause(err)
	}
	return resp.StatusCode, says, nil
}

func status2xx(status int) bool { return status >= 200 && status <= 299 }

// cause takes the address off an error of the HTTP client; paths and queries of webhooks are secrets.
func cause(err error) error {
	var outer *url.Error
	if errors.As(err, &outer) {
		return outer.Err
	}
	return err
}
