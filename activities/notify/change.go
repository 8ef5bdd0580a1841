package notify

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/rollpatch/rollpatch/activities"
	"github.com/rollpatch/rollpatch/inventory/campaign"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

// tryAgain is the status, EX_TEMPFAIL, by which a command says that it may know better later.
const tryAgain = 75

// Change asks whoever keeps changes for a number, or says how the instance ended. Nothing of what is printed or answered is repeated but a
// number that looks like one, and a reason that was given as one.
func (n *Notifier) Change(ctx context.Context, hook campaign.Change, notice activities.ChangeNotice) (string, error) {
	body, err := json.Marshal(notice)
	if err != nil {
		return "", err
	}
	if len(hook.Command) > 0 {
		return n.changeCommand(ctx, hook, notice, body)
	}
	return n.changePost(ctx, hook, notice, body)
}

func (n *Notifier) changeCommand(ctx context.Context, hook campaign.Change, notice activities.ChangeNotice, body []byte) (string, error) {
	out := &beginning{}
	err := run(ctx, hook.Command, time.Duration(hook.Timeout), map[string]string{
		"EVENT": notice.Event, "KEY": notice.Key, "INSTANCE": notice.Instance, "CAMPAIGN": notice.Campaign, "TICKET": notice.Ticket, "REASON": notice.Reason,
		"REQUESTER": notice.Requester, "PLAN": notice.Plan, "CHANGE": notice.Change, "OUTCOME": notice.Outcome, "TIME": notice.Time,
	}, body, out)
	var exit *exec.ExitError
	switch {
	case err == nil:
		return heard(notice, out.Bytes(), nil)
	case errors.As(err, &exit) && exit.Exited() && exit.ExitCode() != tryAgain && ctx.Err() == nil && !errors.Is(err, context.DeadlineExceeded):
		_, why := heard(notice, out.Bytes(), nil)
		if no := (*activities.RefusedError)(nil); errors.As(why, &no) {
			return "", no
		}
		return "", &activities.RefusedError{Reason: err.Error()}
	}
	return "", err
}

func (n *Notifier) changePost(ctx context.Context, hook campaign.Change, notice activities.ChangeNotice, body []byte) (string, error) {
	if hook.URL == nil {
		return "", &activities.RefusedError{Reason: "it names neither a command nor a URL"}
	}
	address, err := n.resolve(ctx, *hook.URL)
	if err != nil {
		return "", fmt.Errorf("its address: %w", err)
	}
	secrets := []string{address}
	req, err := request(ctx, address, body)
	switch {
	case err != nil:
		return "", &activities.RefusedError{Reason: err.Error()}
	case req.URL.Scheme != "https" && !loopback(req.URL):
		return "", &activities.RefusedError{Reason: req.URL.Host + " would be asked in the clear: the address has to be https, or on the worker's own machine"}
	}
	req.Header.Set("Idempotency-Key", notice.Key)
	if hook.Secret != nil {
		token, err := n.resolve(ctx, *hook.Secret)
		if err != nil {
			return "", fmt.Errorf("its secret: %w", err)
		}
		secrets = append(secrets, token)
		req.Header.Set("Authorization", "Bearer "+token)
	}
	client := *n.client
	client.Timeout = time.Duration(hook.Timeout)
	status, says, err := send(&client, req)
	switch {
	case err != nil:
		return "", fmt.Errorf("%s: %w", req.URL.Host, err)
	case status2xx(status):
		return heard(notice, says, secrets)
	case status >= 500, slices.Contains([]int{http.StatusRequestTimeout, http.StatusConflict, http.StatusTooEarly, http.StatusTooManyRequests}, status):
		// A conflict: the attempt before is still worked on under the same key.
		return "", fmt.Errorf("%s: it answered %d", req.URL.Host, status)
	}
	why := fmt.Sprintf("%s answered %d", req.URL.Host, status)
	if a, ok := parseAnswer(says); ok && a.Refused != "" {
		why += ": " + tellable(a.Refused, secrets)
	}
	return "", &activities.RefusedError{Reason: why}
}

// loopback says that an address is on this machine, by its number or the one name that always is.
func loopback(u *url.URL) bool {
	ip := net.ParseIP(u.Hostname())
	return u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
}

// answer is what may be printed or answered instead of a bare number.
type answer struct {
	Change  string `json:"change"`
	Refused string `json:"refused"`
}

func parseAnswer(says []byte) (a answer, ok bool) {
	says = bytes.TrimSpace(says)
	return a, bytes.HasPrefix(says, []byte("{")) && json.Unmarshal(says, &a) == nil
}

// numberForm is what a change number looks like. Anything else may be an error page, or a secret, and goes into no history.
var numberForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:/#-]{0,63}$`)

// heard is what was said where all went well.
func heard(notice activities.ChangeNotice, says []byte, secrets []string) (string, error) {
	a, isJSON := parseAnswer(says)
	if !isJSON {
		line, _, _ := strings.Cut(strings.TrimSpace(string(says)), "\n")
		a.Change = strings.TrimSpace(line)
	}
	switch {
	case a.Refused != "":
		return "", &activities.RefusedError{Reason: tellable(a.Refused, secrets)}
	case notice.Event == rollout.ChangeClose: // being told is enough
		return "", nil
	case a.Change == "":
		return "", errors.New("it gave no change number")
	case !numberForm.MatchString(a.Change) || tellable(a.Change, secrets) != a.Change:
		return "", errors.New("what it gave is no change number: that is up to 64 letters, digits and . _ : / # -")
	}
	return a.Change, nil
}

// secretForm is what a reason must not look like, whatever was meant by it.
var secretForm = regexp.MustCompile(`(?i)(password|passwd|secret|token|api[_-]?key|authorization)["']?\s*[:=]\s*\S|bearer\s+\S{8}|-----BEGIN|eyJ[A-Za-z0-9_-]{8,}\.|[A-Za-z0-9+/_-]{40,}`)

// tellable is a reason as it goes on record: one line, not long, and none that looks like a secret.
func tellable(reason string, secrets []string) string {
	reason = strings.Join(strings.Fields(reason), " ")
	if secretForm.MatchString(reason) || slices.ContainsFunc(secrets, func(s string) bool { return s != "" && strings.Contains(reason, s) }) {
		return "(its reason looks like a secret and is not repeated)"
	}
	if len(reason) > 300 {
		reason = strings.ToValidUTF8(reason[:300], "") + " ..."
	}
	return reason
}

// beginning keeps so much of what a program prints, and lets it print on.
type beginning struct{ bytes.Buffer }

func (b *beginning) Write(p []byte) (int, error) {
	if room := answerLimit - b.Len(); room > 0 {
		b.Buffer.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}
