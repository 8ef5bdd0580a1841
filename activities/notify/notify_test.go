package notify

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rollpatch/rollpatch/activities"
	"github.com/rollpatch/rollpatch/inventory"
	"github.com/rollpatch/rollpatch/inventory/campaign"
)

var notice = activities.Notice{
	Event: "fail", Instance: "monthly-20261121T200000Z", Cluster: "web", Host: "web-1", Text: "check \"page\" failed:\nstatus 502",
	Next: "rollpatch why monthly", Time: "2026-11-21T20:14:05Z",
}

// address resolves every reference to one address.
func address(url string) Resolve {
	return func(context.Context, inventory.Secret) (string, error) { return url, nil }
}

var chat = campaign.Notify{Name: "chat", Webhook: &campaign.Webhook{URL: inventory.Secret{Env: "CHAT_URL"}}}

func TestAWebhookGetsTheNotice(t *testing.T) {
	var got activities.Notice
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost || r.URL.Path != "/s3cret" || r.Header.Get("Content-Type") != "application/json" {
			t.Errorf("asked %s %s with %v, want JSON posted to the address", r.Method, r.URL, r.Header)
		}
		if err := json.NewDecoder(r.Body).Decode(&got); err != nil {
			t.Error(err)
		}
		w.WriteHeader(http.StatusNoContent)
	}))
	defer srv.Close()
	var asked inventory.Secret
	n := New(func(_ context.Context, s inventory.Secret) (string, error) {
		asked = s
		return srv.URL + "/s3cret", nil
	})
	if err := n.Notify(t.Context(), chat, notice); err != nil {
		t.Fatal(err)
	}
	if got != notice {
		t.Errorf("the webhook got %+v, want %+v", got, notice)
	}
	if asked.Env != "CHAT_URL" {
		t.Errorf("resolved %+v, want the reference of the channel", asked)
	}
}

func TestAWebhookThatFailsIsToldWithoutItsSecret(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("/s3cret/500", func(w http.ResponseWriter, r *http.Request) {
		http.Error(w, r.URL.Path, http.StatusInternalServerError)
	})
	mux.HandleFunc("/s3cret/404", http.NotFound)
	mux.HandleFunc("/s3cret/moved", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/s3cret/ok", http.StatusFound) })
	mux.HandleFunc("/s3cret/ok", func(http.ResponseWriter, *http.Request) { t.Error("the redirect was followed") })
	mux.HandleFunc("/s3cret/slow", func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	})
	mux.HandleFunc("/s3cret/cut", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	srv := httptest.NewServer(mux)
	defer srv.Close()
	gone := httptest.NewServer(mux)
	gone.Close()
	host := strings.TrimPrefix(srv.URL, "http://")
	for _, row := range []struct{ says, url, want string }{
		{"an error's status is told", srv.URL + "/s3cret/500", "webhook at " + host + ": it answered 500"},
		{"a wrong path is told by its status", srv.URL + "/s3cret/404", "it answered 404"},
		{"a redirect is no delivery", srv.URL + "/s3cret/moved", "it answered 302"},
		{"a slow answer is none", srv.URL + "/s3cret/slow?token=s3cret", "Client.Timeout exceeded"},
		{"a connection that is cut is no delivery", srv.URL + "/s3cret/cut", "EOF"},
		{"nobody there", gone.URL + "/s3cret", "connection refused"},
		{"a password in the address is not told", strings.Replace(gone.URL, "http://", "http://me:s3cret@", 1), "connection refused"},
		{"a host that has no address", "http://nobody.invalid/s3cret", "webhook at nobody.invalid: "},
		{"an address that is none", "s3cret", "no http or https URL"},
		{"an address that cannot be read", "http://[s3cret", "no http or https URL"},
		{"an address with a line's end", srv.URL + "/s3cret\n", "no http or https URL"},
		{"an address of another kind", "file:///etc/s3cret", "no http or https URL"},
	} {
		t.Run(row.says, func(t *testing.T) {
			n := New(address(row.url))
			n.client.Timeout = 200 * time.Millisecond
			err := n.Notify(t.Context(), chat, notice)
			if err == nil || !strings.Contains(err.Error(), row.want) || !strings.HasPrefix(err.Error(), `notify "chat": `) {
				t.Errorf("Notify = %v, want an error of chat with %q", err, row.want)
			}
			if err != nil && strings.Contains(err.Error(), "s3cret") {
				t.Errorf("Notify tells the secret: %v", err)
			}
		})
	}
}

func TestAnAddressThatIsNotFoundIsTold(t *testing.T) {
	missing := errors.New(`environment variable "CHAT_URL": it is not set`)
	n := New(func(context.Context, inventory.Secret) (string, error) { return "", missing })
	if err := n.Notify(t.Context(), chat, notice); !errors.Is(err, missing) {
		t.Errorf("Notify = %v, want %v", err, missing)
	}
}

// script writes an executable script and returns its path.
func script(t *testing.T, body string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "page")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+body), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestACommandGetsTheNotice(t *testing.T) {
	out := filepath.Join(t.TempDir(), "out")
	page := script(t, `cat >"$1"
printf '\n%s|' "$2" "$ROLLPATCH_EVENT" "$ROLLPATCH_INSTANCE" "$ROLLPATCH_CLUSTER" "$ROLLPATCH_HOST" "$ROLLPATCH_TEXT" "$ROLLPATCH_NEXT" "$ROLLPATCH_TIME" >>"$1"
command -v cat >/dev/null
`)
	ch := campaign.Notify{Name: "pager", Command: []string{page, out, "two words; $(not run)"}}
	if err := New(nil).Notify(t.Context(), ch, notice); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	body, rest, _ := strings.Cut(string(got), "\n")
	var read activities.Notice
	if err := json.Unmarshal([]byte(body), &read); err != nil || read != notice {
		t.Errorf("standard input was %q, %v, want %+v", body, err, notice)
	}
	want := strings.Join([]string{"two words; $(not run)", notice.Event, notice.Instance, notice.Cluster, notice.Host, notice.Text, notice.Next, notice.Time}, "|\n") + "|"
	if rest != want {
		t.Errorf("arguments and environment were %q, want %q", rest, want)
	}
}

func TestACommandThatFailsIsToldWithoutItsOutput(t *testing.T) {
	for _, row := range []struct {
		says, body, want string
		timeout          time.Duration
	}{
		{"its status is told", "echo s3cret; echo s3cret >&2; exit 7", "exit status 7", time.Minute},
		{"one that is killed is told", "kill -9 $$", "signal: killed", time.Minute},
		{"one that does not end is ended", "sleep 60 & wait", "did not end", 50 * time.Millisecond},
	} {
		t.Run(row.says, func(t *testing.T) {
			n := New(nil)
			n.timeout = row.timeout
			page := script(t, row.body)
			err := n.Notify(t.Context(), campaign.Notify{Name: "pager", Command: []string{page, "s3cret"}}, notice)
			if err == nil || !strings.Contains(err.Error(), row.want) || !strings.Contains(err.Error(), `notify "pager": command "`+page) {
				t.Errorf("Notify = %v, want an error of pager with %q", err, row.want)
			}
			if err != nil && strings.Contains(err.Error(), "s3cret") {
				t.Errorf("Notify tells arguments or output: %v", err)
			}
		})
	}
	err := New(nil).Notify(t.Context(), campaign.Notify{Name: "pager", Command: []string{filepath.Join(t.TempDir(), "nope")}}, notice)
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Notify by a command that is not there = %v, want os.ErrNotExist", err)
	}
}

func TestATextOfAnyKindIsDelivered(t *testing.T) {
	big := notice
	big.Text = "nul \x00 and " + strings.Repeat("long ", 50_000)
	page := script(t, `[ "$(wc -c)" -gt 250000 ] && [ "${ROLLPATCH_TEXT#nul  and long}" != "$ROLLPATCH_TEXT" ]`)
	if err := New(nil).Notify(t.Context(), campaign.Notify{Name: "pager", Command: []string{page}}, big); err != nil {
		t.Errorf("Notify = %v, want all of it on standard input and its beginning in the environment", err)
	}
}

func TestACommandThatDoesNotReadIsNoFailure(t *testing.T) {
	big := notice
	big.Text = strings.Repeat("long ", 50_000)
	if err := New(nil).Notify(t.Context(), campaign.Notify{Name: "pager", Command: []string{"true"}}, big); err != nil {
		t.Errorf("Notify = %v, want the command's own status to count", err)
	}
}

func TestAChannelWithoutAWayIsTold(t *testing.T) {
	if err := New(nil).Notify(t.Context(), campaign.Notify{Name: "void"}, notice); err == nil {
		t.Error("Notify of a channel with neither command nor webhook = nil, want an error")
	}
}
