package notify

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rollpatch/rollpatch/activities"
	"github.com/rollpatch/rollpatch/inventory"
	"github.com/rollpatch/rollpatch/inventory/campaign"
)

var opening = activities.ChangeNotice{
	Event: "open", Key: "monthly-20261121T200000Z", Instance: "monthly-20261121T200000Z", Campaign: "monthly", Reason: "security updates", Ticket: "T-1",
	Requester: "ann (claimed)", Plan: "sha256:plan", Clusters: []string{"web"}, Hosts: 3, Time: "2026-11-21T20:00:05Z",
}

func closing() activities.ChangeNotice {
	n := opening
	n.Event, n.Key, n.Change, n.Ending = "close", n.Instance+"/close", "CHG1", activities.Ending{Outcome: "done"}
	return n
}

// keeper answers with a status and a text; what it is sent is kept.
type keeper struct {
	*httptest.Server
	status int
	says   string
	keys   []string
	tokens []string
	got    activities.ChangeNotice
}

func newKeeper(t *testing.T, status int, says string) *keeper {
	k := &keeper{status: status, says: says}
	k.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/elsewhere" {
			t.Error("the redirect was followed")
		}
		k.keys, k.tokens = append(k.keys, r.Header.Get("Idempotency-Key")), append(k.tokens, r.Header.Get("Authorization"))
		_ = json.NewDecoder(r.Body).Decode(&k.got)
		if k.status == 302 {
			w.Header().Set("Location", "/elsewhere")
		}
		w.WriteHeader(k.status)
		_, _ = w.Write([]byte(strings.ReplaceAll(k.says, "URL", k.URL+"/s3cret")))
	}))
	t.Cleanup(k.Close)
	return k
}

func (k *keeper) hook() (*Notifier, campaign.Change) {
	n := New(func(_ context.Context, s inventory.Secret) (string, error) {
		if s.Env == "TOKEN" {
			return "t0ps3cret", nil
		}
		return k.URL + "/s3cret", nil
	})
	return n, campaign.Change{URL: &inventory.Secret{Env: "URL"}, Secret: &inventory.Secret{Env: "TOKEN"}}.Resolve()
}

func TestAChangeNumberIsAskedForByPost(t *testing.T) {
	k := newKeeper(t, 201, `{"change": "CHG0031"}`)
	n, hook := k.hook()
	for range 2 {
		number, err := n.Change(t.Context(), hook, opening)
		if number != "CHG0031" || err != nil {
			t.Fatalf("Change = %q, %v, want CHG0031", number, err)
		}
	}
	if !slices.Equal(k.keys, []string{opening.Key, opening.Key}) || k.tokens[0] != "Bearer t0ps3cret" {
		t.Errorf("keys were %q and the token %q, want the same key twice and the secret", k.keys, k.tokens[0])
	}
	if k.got.Instance != opening.Instance || k.got.Plan != opening.Plan || k.got.Requester != opening.Requester || k.got.Hosts != 3 || !slices.Equal(k.got.Clusters, []string{"web"}) {
		t.Errorf("the keeper got %+v, want %+v", k.got, opening)
	}
}

func TestWhatAKeeperAnswers(t *testing.T) {
	for _, row := range []struct {
		says         string
		status       int
		body, number string
		refused      string // "" and no number: it is asked again
		close        bool
	}{
		{"a bare number", 200, "CHG-7\n", "CHG-7", "", false},
		{"a no as JSON", 200, `{"refused": "change freeze until Monday"}`, "", "change freeze until Monday", false},
		{"a status that is a no", 403, "go away t0ps3cret", "", "answered 403", false},
		{"a status that is a no, with a reason", 422, `{"refused": "no such service"}`, "", "answered 422: no such service", false},
		{"a redirect is not followed, and a no", 302, "", "", "answered 302", false},
		{"an error of its own", 503, "CHG1", "", "", false},
		{"the attempt before is still worked on", 409, "", "", "", false},
		{"too often", 429, "", "", "", false},
		{"no number", 202, "", "", "", false},
		{"a page instead of a number", 200, "<html>CHG1</html>", "", "", false},
		{"what looks like a secret is no number", 200, "AKIAIOSFODNN7EXAMPLEwJalrXUtnFEMIK7MDENGbPxR", "", "", false},
		{"its own token is no number", 200, "t0ps3cret", "", "", false},
		{"a reason with its token is withheld", 200, `{"refused": "bad t0ps3cret"}`, "", "not repeated", false},
		{"a reason with its address is withheld", 200, `{"refused": "see URL"}`, "", "not repeated", false},
		{"a reason with a password is withheld", 200, `{"refused": "password=hunter2"}`, "", "not repeated", false},
		{"a reason may speak of a token", 200, `{"refused": "the token expired"}`, "", "the token expired", false},
		{"being told the end needs no answer", 204, "", "", "ok", true},
		{"an end that it does not want to hear", 400, "", "", "answered 400", true},
	} {
		t.Run(row.says, func(t *testing.T) {
			k := newKeeper(t, row.status, row.body)
			n, hook := k.hook()
			notice := opening
			if row.close {
				notice = closing()
			}
			number, err := n.Change(t.Context(), hook, notice)
			var no *activities.RefusedError
			switch {
			case number != row.number:
				t.Errorf("Change = %q, %v, want %q", number, err, row.number)
			case row.number != "" || row.refused == "ok":
				if err != nil {
					t.Errorf("Change = %v, want none", err)
				}
			case row.refused == "":
				if err == nil || errors.As(err, &no) {
					t.Errorf("Change = %v, want an error that is tried again", err)
				}
			case !errors.As(err, &no) || !strings.Contains(no.Reason, row.refused):
				t.Errorf("Change = %v, want a refusal with %q", err, row.refused)
			}
			if err != nil && (strings.Contains(err.Error(), "s3cret") || strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "AKIA")) {
				t.Errorf("Change tells a secret: %v", err)
			}
		})
	}
}

func TestAKeeperIsNotAskedInTheClear(t *testing.T) {
	n := New(address("http://change.example.net/s3cret"))
	_, err := n.Change(t.Context(), campaign.Change{URL: &inventory.Secret{Env: "URL"}}.Resolve(), opening)
	var no *activities.RefusedError
	if !errors.As(err, &no) || !strings.Contains(no.Reason, "has to be https") || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("Change over http = %v, want a refusal that says https", err)
	}
	for host, want := range map[string]bool{"127.0.0.1": true, "[::1]:80": true, "localhost:8080": true, "localhost.evil.net": false, "127.0.0.1.evil.net": false, "10.0.0.1": false} {
		req, err := request(t.Context(), "http://"+host+"/", nil)
		if err != nil || loopback(req.URL) != want {
			t.Errorf("loopback(%s) is not %t, %v", host, want, err)
		}
	}
}

func TestAKeeperThatDoesNotAnswerIsAskedAgain(t *testing.T) {
	k := newKeeper(t, 200, "CHG1")
	n, hook := k.hook()
	k.Close()
	_, err := n.Change(t.Context(), hook, opening)
	var no *activities.RefusedError
	if err == nil || errors.As(err, &no) || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("Change of nobody = %v, want an error that is tried again", err)
	}
}

func TestAChangeNumberIsAskedForByCommand(t *testing.T) {
	out := filepath.Join(t.TempDir(), "out")
	hook := campaign.Change{Command: []string{script(t, `cat >"$1"
printf '\n%s|' "$ROLLPATCH_EVENT" "$ROLLPATCH_KEY" "$ROLLPATCH_INSTANCE" "$ROLLPATCH_TICKET" "$ROLLPATCH_REQUESTER" "$ROLLPATCH_CHANGE" "$ROLLPATCH_OUTCOME" >>"$1"
echo CHG0031
`), out}}.Resolve()
	for _, notice := range []activities.ChangeNotice{opening, closing()} {
		number, err := New(nil).Change(t.Context(), hook, notice)
		if err != nil || number != map[string]string{"open": "CHG0031"}[notice.Event] {
			t.Fatalf("Change %s = %q, %v", notice.Event, number, err)
		}
		got, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		body, rest, _ := strings.Cut(string(got), "\n")
		var read activities.ChangeNotice
		if err := json.Unmarshal([]byte(body), &read); err != nil || read.Key != notice.Key || read.Outcome != notice.Outcome {
			t.Errorf("standard input was %q, %v", body, err)
		}
		want := strings.Join([]string{notice.Event, notice.Key, notice.Instance, notice.Ticket, notice.Requester, notice.Change, notice.Outcome}, "|\n") + "|"
		if rest != want {
			t.Errorf("environment was %q, want %q", rest, want)
		}
	}
}

func TestWhatACommandSays(t *testing.T) {
	for _, row := range []struct {
		says, body, refused string // "" is asked again
		timeout             time.Duration
	}{
		{"its status is a no", "echo s3cret >&2; exit 3", "exit status 3", time.Minute},
		{"with a reason", `echo '{"refused": "change freeze"}'; exit 1`, "change freeze", time.Minute},
		{"a number with a bad status is none", "echo CHG1; exit 1", "exit status 1", time.Minute},
		{"75 is tried again", "exit 75", "", time.Minute},
		{"one that is killed is tried again", "kill -9 $$", "", time.Minute},
		{"one that does not end is ended and tried again", "sleep 60 & wait", "", 50 * time.Millisecond},
		{"one that prints nothing is tried again", "true", "", time.Minute},
		{"one that prints without end is no number", "head -c 300000 /dev/zero | tr '\\0' s", "", time.Minute},
	} {
		t.Run(row.says, func(t *testing.T) {
			hook := campaign.Change{Command: []string{script(t, row.body), "s3cret"}, Timeout: inventory.Duration(row.timeout)}.Resolve()
			number, err := New(nil).Change(t.Context(), hook, opening)
			var no *activities.RefusedError
			switch refused := errors.As(err, &no); {
			case err == nil || number != "":
				t.Errorf("Change = %q, %v, want an error", number, err)
			case refused != (row.refused != "") || refused && !strings.Contains(no.Reason, row.refused):
				t.Errorf("Change = %v, want a refusal with %q, or to be tried again", err, row.refused)
			case strings.Contains(err.Error(), "s3cret") || len(err.Error()) > 500:
				t.Errorf("Change tells arguments or output: %v", err)
			}
		})
	}
	_, err := New(nil).Change(t.Context(), campaign.Change{Command: []string{filepath.Join(t.TempDir(), "nope")}}.Resolve(), opening)
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Change by a command that is not there = %v, want os.ErrNotExist, to be tried again", err)
	}
}
