package consul

import (
	"errors"
	"fmt"
	"net"
	"regexp"
	"slices"
	"strings"
)

// saying is errors in the words that people read. They stand in tables and are compared from one attempt to the next: one line, and
// the same as long as the cause is.
type saying struct {
	text string
	of   []error
}

func (s *saying) Error() string   { return s.text }
func (s *saying) Unwrap() []error { return s.of }

// troubled is what the way to a host says of itself; see activities.Dialer.
type troubled interface {
	error
	Trouble() (what, mend string)
}

// ownEnd is our end of a connection, or a server's: its port is another one at each attempt.
var ownEnd = regexp.MustCompile(`\S+->`)

// said is an error in words that are the same at each attempt, and what to type against it.
func said(err error) (what, mend string) {
	var (
		trouble troubled
		late    net.Error
	)
	switch {
	case errors.As(err, &trouble):
		return trouble.Trouble()
	case errors.As(err, &late) && late.Timeout():
		return "no answer", ""
	}
	return ownEnd.ReplaceAllString(err.Error(), ""), ""
}

// named is how many hosts are named; the others are counted.
const named = 3

// together says what the hosts said: once where several said the same, in the order in which they were asked. What to type is said
// for the first of them.
func together(hosts []string, errs []error) string {
	var order []string
	of, mends := map[string][]string{}, map[string]string{}
	for i, err := range errs {
		what, mend := said(err)
		if of[what] == nil {
			order = append(order, what)
			mends[what] = mend
		}
		of[what] = append(of[what], hosts[i])
	}
	for i, what := range order {
		who, mend := of[what], mends[what]
		if mend != "" && len(who) > 1 {
			mend = "for " + who[0] + ": " + mend
		}
		if mend != "" {
			mend = "; " + mend
		}
		if more := len(who) - named; more > 0 {
			who = append(slices.Clone(who[:named]), fmt.Sprintf("%d more", more))
		}
		order[i] = strings.Join(who, ", ") + ": " + what + mend
	}
	return strings.Join(order, "; through ")
}
