package consul

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/rollpatch/rollpatch/activities"
	"github.com/rollpatch/rollpatch/inventory"
)

// troubleAt is what the way to a host says of itself.
type troubleAt struct{ host, what, mend string }

func (e *troubleAt) Error() string             { return fmt.Sprintf("host %q: %s (%p)", e.host, e.what, e) } // another text each time
func (e *troubleAt) Trouble() (string, string) { return e.what, e.mend }

func unknownKey(host string) error {
	return &troubleAt{host, "host key: /home/alice/.ssh/known_hosts holds none for it",
		"ssh-keyscan " + host + ".dc1.example.org >>/home/alice/.ssh/known_hosts fetches it; compare it with what the host's console says"}
}

func lost(host string) error { return &troubleAt{host, "unreachable: no answer", ""} }

// ways are hosts that cannot be gone through.
type ways map[string]func(host string) error

func (w ways) Dial(ctx context.Context, t activities.Target, _, _ string) (net.Conn, error) {
	if fail := w[t.Host]; fail != nil {
		return nil, fail(t.Host)
	}
	<-ctx.Done() // like a pool that waits before it tries again
	return nil, unknownKey(t.Host)
}

func TestTroubleIsToldInTheSameShortWordsEachTime(t *testing.T) {
	ten := ways{}
	var tenHosts []string
	for i := range 10 {
		host := fmt.Sprintf("web-%02d", i+1)
		tenHosts = append(tenHosts, host)
		ten[host] = unknownKey
	}
	mend := "; for web-1: ssh-keyscan web-1.dc1.example.org >>/home/alice/.ssh/known_hosts fetches it; compare it with what the host's console says"
	for _, row := range []struct {
		says string
		ways ways
		via  []string
		want string
	}{
		{"one host", ways{"web-1": unknownKey}, []string{"web-1"},
			"consul through web-1: host key: /home/alice/.ssh/known_hosts holds none for it; ssh-keyscan web-1.dc1.example.org >>/home/alice/.ssh/known_hosts fetches it; compare it with what the host's console says"},
		{"several with the same trouble", ways{"web-1": unknownKey, "web-2": unknownKey, "web-3": unknownKey}, []string{"web-1", "web-2", "web-3"},
			"consul through web-1, web-2, web-3: host key: /home/alice/.ssh/known_hosts holds none for it" + mend},
		{"in the order in which they are asked", ways{"web-2": lost, "web-1": lost}, []string{"web-2", "web-1"}, "consul through web-2, web-1: unreachable: no answer"},
		{"two troubles", ways{"web-1": lost, "web-2": unknownKey, "web-3": lost}, []string{"web-1", "web-2", "web-3"},
			"consul through web-1, web-3: unreachable: no answer; through web-2: host key: /home/alice/.ssh/known_hosts holds none for it; ssh-keyscan web-2.dc1.example.org >>/home/alice/.ssh/known_hosts fetches it; compare it with what the host's console says"},
		{"a way that takes all the time there is still says why", ways{}, []string{"web-1"},
			"consul through web-1: host key: /home/alice/.ssh/known_hosts holds none for it; ssh-keyscan web-1.dc1.example.org >>/home/alice/.ssh/known_hosts fetches it; compare it with what the host's console says"},
		{"ten hosts", ten, tenHosts,
			"consul through web-01, web-02, web-03, 7 more: host key: /home/alice/.ssh/known_hosts holds none for it; for web-01: ssh-keyscan web-01.dc1.example.org >>/home/alice/.ssh/known_hosts fetches it; compare it with what the host's console says"},
	} {
		t.Run(row.says, func(t *testing.T) {
			c, access := quick(row.ways), viaSSH(row.via...)
			for range 2 {
				_, err := c.Take(t.Context(), access, []activities.Claim{{Key: "cluster/web", Owner: "me"}})
				if err == nil || err.Error() != row.want || len(err.Error()) >= 300 {
					t.Errorf("Take = %v\nwant   %s\nin less than 300 bytes", err, row.want)
				}
				if again := c.Release(t.Context(), access, activities.Owner{Instance: "me"}, []string{"cluster/web"}); again == nil || err == nil || again.Error() != err.Error() {
					t.Errorf("Release = %v, Take = %v", again, err)
				}
				var trouble *troubleAt
				if !errors.As(err, &trouble) {
					t.Errorf("%v hides what the way said", err)
				}
			}
		})
	}
}

func TestAMembersOwnAgentIsNamedOnce(t *testing.T) {
	c := quick(ways{"web-1": lost})
	err := c.Leave(t.Context(), viaSSH("web-2"), targets("web-1")[0], []string{"web"}, "ours")
	if trouble := (*troubleAt)(nil); !errors.As(err, &trouble) || err != error(trouble) {
		t.Errorf("Leave = %v, want what the way to web-1 says and nothing around it", err)
	}
}

func TestWhatServersSayIsCutAndWithoutPorts(t *testing.T) {
	f, addr := agent(t)
	port := 40000
	f.hook = within("/", 0, func(w http.ResponseWriter, _ *http.Request) {
		port++
		http.Error(w, fmt.Sprintf("rpc error making call: read tcp 10.0.0.1:%d->10.0.0.2:8300:\nconnection reset by peer", port), http.StatusInternalServerError)
	})
	c := quick(&hosts{addrs: map[string]string{"a": addr}})
	for range 2 {
		_, err := c.Take(t.Context(), viaSSH("a"), []activities.Claim{{Key: "cluster/web", Owner: "me"}})
		if want := "consul through a: it answered 500: rpc error making call: read tcp 10.0.0.2:8300: connection reset by peer"; err == nil || err.Error() != want {
			t.Errorf("Take = %v\nwant   %s", err, want)
		}
	}
}

func TestDirectlyToo(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() // it accepts nothing
	c := quick(ways{})
	c.timeout = 50 * time.Millisecond
	access := activities.ConsulAccess{Consul: inventory.Consul{Via: inventory.ViaDirect, Address: l.Addr().String()}}
	for range 2 {
		_, err := c.Take(t.Context(), access, []activities.Claim{{Key: "cluster/web", Owner: "me"}})
		if want := "consul at " + l.Addr().String() + ": no answer"; err == nil || err.Error() != want {
			t.Errorf("Take = %v, want %s", err, want)
		}
	}
}
