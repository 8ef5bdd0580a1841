// Package consul knows Consul: the servers' catalog, service maintenance on a member's own agent, and claims in KV. It must
// not know SSH (connections are dialled for it), nor when a member may be drained or who may hold a claim.
//
// What cannot be read is an error, never an empty answer: callers act on what is absent.
//
// The token needs service:write on the services it drains, service:read and node:read on all that it counts, key:write under
// rollpatch/, and agent:read where a member's services have no checks of their own.
package consul

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/rollpatch/rollpatch/activities"
	"github.com/rollpatch/rollpatch/inventory"
)

var (
	_ activities.Catalog = (*Consul)(nil)
	_ activities.Claims  = (*Consul)(nil)

	_ activities.Stagings = (*Consul)(nil)

	_ activities.Measurements = (*Consul)(nil)
)

// callTimeout bounds one request: an agent that does not answer must not keep us from asking the next.
const callTimeout = 10 * time.Second

// Resolve finds the secret that a reference names.
type Resolve func(context.Context, inventory.Secret) (string, error)

// Consul is the way to every cluster's Consul.
type Consul struct {
	dialer  activities.Dialer
	resolve Resolve
	timeout time.Duration
}

// New returns a Consul that reaches agents on hosts through the dialer, and finds tokens by resolve at every call, so that a
// new token needs no restart.
func New(dialer activities.Dialer, resolve Resolve) *Consul {
	return &Consul{dialer: dialer, resolve: resolve, timeout: callTimeout}
}

// asks runs ask against the servers: straight from the worker, or through each host of Via in order until one answers. ask
// must bear being run again after an attempt whose answer was lost.
func (c *Consul) asks(ctx context.Context, access activities.ConsulAccess, ask func(context.Context, *api.Client) error) error {
	token, err := c.token(ctx, access.Consul)
	if err != nil {
		return err
	}
	if access.Consul.Via == inventory.ViaDirect {
		var direct net.Dialer
		if err := c.ask(ctx, access.Consul.Address, token, direct.DialContext, ask); err != nil {
			what, _ := said(err) // no host is on the way, so nothing to type for one
			return &saying{"consul at " + access.Consul.Address + ": " + what, []error{err}}
		}
		return nil
	}
	if len(access.Via) == 0 {
		return errors.New("consul: no host is named through which it could be asked")
	}
	var hosts []string
	var failed []error
	for _, host := range access.Via {
		err := c.ask(ctx, access.Consul.Address, token, c.through(host), ask)
		if err == nil {
			return nil
		}
		hosts, failed = append(hosts, host.Host), append(failed, err)
		if ctx.Err() != nil || refused(err) {
			break
		}
	}
	return &saying{"consul through " + together(hosts, failed), failed}
}

// asksMember runs ask against the member's own agent, over the member's own connection.
func (c *Consul) asksMember(ctx context.Context, access inventory.Consul, member activities.Target, ask func(context.Context, *api.Client) error) error {
	token, err := c.token(ctx, access)
	if err != nil {
		return err
	}
	address, err := memberAddress(access)
	if err != nil {
		return err
	}
	if err := c.ask(ctx, address, token, c.through(member), ask); err != nil {
		var trouble troubled
		if errors.As(err, &trouble) {
			return trouble // it names the host
		}
		what, _ := said(err)
		return &saying{fmt.Sprintf("host %q: its consul agent: %s", member.Host, what), []error{err}}
	}
	return nil
}

// memberAddress is where a member's own agent listens as seen from the member. With direct access the inventory's address is
// that of another machine; of it only the scheme and the port hold for the member too.
func memberAddress(access inventory.Consul) (string, error) {
	if access.Via != inventory.ViaDirect {
		return access.Address, nil
	}
	scheme, rest, found := strings.Cut(access.Address, "://")
	if !found {
		scheme, rest = "http", access.Address
	}
	_, port, err := net.SplitHostPort(rest)
	if err != nil {
		return "", fmt.Errorf("consul: address %q: %w", access.Address, err)
	}
	return scheme + "://" + net.JoinHostPort("127.0.0.1", port), nil
}

type dial = func(ctx context.Context, network, addr string) (net.Conn, error)

// through dials from the host. It leaves the request some of its time: the HTTP client hides whatever takes all of it behind a
// time-out of its own.
func (c *Consul) through(host activities.Target) dial {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		ctx, cancel := context.WithTimeout(ctx, c.timeout*4/5)
		defer cancel()
		return c.dialer.Dial(ctx, host, network, addr)
	}
}

func (c *Consul) token(ctx context.Context, access inventory.Consul) (string, error) {
	if access.Token == nil {
		return "", nil
	}
	token, err := c.resolve(ctx, *access.Token)
	if err != nil {
		return "", fmt.Errorf("consul: token: %w", err)
	}
	return token, nil
}

func (c *Consul) ask(ctx context.Context, address, token string, dial dial, ask func(context.Context, *api.Client) error) error {
	transport := &http.Transport{DialContext: dial, ForceAttemptHTTP2: false}
	defer transport.CloseIdleConnections()
	scheme := "http"
	if strings.HasPrefix(address, "https://") {
		scheme = "https"
	}
	client, err := api.NewClient(&api.Config{
		Address: address,
		Scheme:  scheme,
		// Any token of our own keeps the library from looking for one in the worker's environment; wire sends the right one.
		Token: "set by the transport",
		HttpClient: &http.Client{
			Transport: &wire{next: transport, token: token},
			Timeout:   c.timeout,
			// An agent redirects nobody; whoever does must not be sent the token.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	})
	if err != nil {
		return err
	}
	return ask(ctx, client)
}

// wire sends exactly what the inventory says: the library fills in what it finds in the worker's environment.
type wire struct {
	next  http.RoundTripper
	token string
}

// RoundTrip implements http.RoundTripper. Every answer that says that something went wrong becomes an *answerError, so that
// all calls of the library fail alike.
func (w *wire) RoundTrip(req *http.Request) (*http.Response, error) {
	req = req.Clone(req.Context())
	req.Header.Del("Authorization")
	req.Header.Del("X-Consul-Token")
	if w.token != "" {
		req.Header.Set("X-Consul-Token", w.token)
	}
	query := req.URL.Query()
	query.Del("ns")
	query.Del("partition")
	req.URL.RawQuery = query.Encode()

	resp, err := w.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	switch {
	case resp.StatusCode < 300, resp.StatusCode == http.StatusNotFound, resp.StatusCode == http.StatusConflict:
		return resp, nil
	}
	defer resp.Body.Close()
	// A body cut short still says more than none.
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 200))
	text := strings.Join(strings.Fields(string(body)), " ")
	if w.token != "" {
		text = strings.ReplaceAll(text, w.token, "[token]")
	}
	return nil, &answerError{status: resp.StatusCode, text: text}
}

// answerError is an answer that is no answer to what was asked.
type answerError struct {
	status int
	text   string
}

func (e *answerError) Error() string {
	if e.text == "" {
		return fmt.Sprintf("it answered %d", e.status)
	}
	return fmt.Sprintf("it answered %d: %s", e.status, e.text)
}

// refused reports whether every other agent would answer the same: it is the question or the token that is wrong.
func refused(err error) bool {
	var answer *answerError
	return errors.As(err, &answer) && answer.status < 500 && answer.status != http.StatusTooManyRequests
}

// plain takes the method and address off an error of the HTTP client: who was asked is said once, by asks.
func plain(err error) error {
	var inner *url.Error
	if errors.As(err, &inner) {
		return inner.Err
	}
	return err
}

// complete says why an answer may leave out what is there. Consul filters lists by ACL without an error.
func complete(meta *api.QueryMeta, token *inventory.Secret, empty bool) error {
	switch {
	case meta.ResultsFilteredByACLs:
		return &answerError{status: http.StatusForbidden, text: "the token may not see all of it (needs service:read, node:read and key:read)"}
	case empty && token == nil && meta.DefaultACLPolicy == "deny":
		// Consul does not say whether it filtered for those who come without a token.
		return &answerError{status: http.StatusForbidden, text: "nothing is listed, but no token is given and the ACLs deny by default"}
	}
	return nil
}

// fresh is how everything that decides is read: from the leader, after it made sure that it is the leader.
func fresh(ctx context.Context) *api.QueryOptions {
	return (&api.QueryOptions{RequireConsistent: true}).WithContext(ctx)
}
