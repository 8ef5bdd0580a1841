package testenv

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

type answer func(*http.Request) (*http.Response, error)

func (a answer) RoundTrip(r *http.Request) (*http.Response, error) { return a(r) }

// Whoever prints an error of the lab says whose it is: it must not be said twice.
func TestRefusalOfTheSupervisorIsItsOwnWords(t *testing.T) {
	l := &Lab{client: &http.Client{Transport: answer(func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: http.StatusConflict, Body: io.NopCloser(strings.NewReader("web-1 is off\n"))}, nil
	})}}
	if err := l.PowerCut(t.Context(), "web-1"); err == nil || err.Error() != "web-1 is off" {
		t.Errorf("the error is %v, want the supervisor's words alone", err)
	}
}
