package testenv

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// haproxyConfig has nothing that would hide a member that is taken away while
// it serves: no retry, no second member for a failed request. A member leaves
// as soon as Consul's DNS leaves it out. It keeps no idle connections either:
// now and then one stays with a member that has left, until nginx ends it after
// 65 s, and a drain waits for it. A connection that a client opened and has not
// used yet is closed without a word: told 408 after its time, the client would
// take that for the answer to what it asks next. Its second door knows nothing of Consul: who is
// behind it is said to its admin socket alone.
func haproxyConfig(number int) string {
	return fmt.Sprintf(`global
	maxconn 4000
	stats socket ipv4@%[1]s:%[4]d level admin

defaults
	mode http
	timeout connect 1s
	timeout client 10s
	timeout server 5s
	retries 0
	no option redispatch
	option http-server-close
	option http-ignore-probes

resolvers consul
	nameserver lab %[1]s:%[2]d
	accepted_payload_size 8192
	resolve_retries 5
	timeout resolve 200ms
	timeout retry 200ms
	hold valid 200ms
	hold obsolete 0s

frontend web
	bind %[1]s:%[3]d
	default_backend web

backend web
	balance roundrobin
	server-template web 3 _web._tcp.service.consul resolvers consul resolve-prefer ipv4 init-addr none check

frontend fixed
	bind %[1]s:%[5]d
	default_backend fixed

backend fixed
	balance roundrobin
%[6]s`, gateway(number), portConsulDNS, portWeb, portAdmin, portFixed, fixedServers(number))
}

func fixedServers(number int) string {
	var b strings.Builder
	for _, h := range hostsOf(number) {
		if h.Cluster == "web" {
			fmt.Fprintf(&b, "\tserver %s %s:%d check inter 1s\n", h.Name, h.Address, h.Port)
		}
	}
	return b.String()
}

func fixedURL(number int) string { return fmt.Sprintf("http://%s:%d/", gateway(number), portFixed) }

func adminAddr(number int) string { return fmt.Sprintf("%s:%d", gateway(number), portAdmin) }

func webURL(number int) string { return fmt.Sprintf("http://%s:%d/", gateway(number), portWeb) }

func (s *supervisor) startHAProxy() error {
	if err := writeFile(s.haproxyFile(), haproxyConfig(s.Number), 0o644); err != nil {
		return err
	}
	d, err := s.startDaemon("haproxy", "haproxy", "-db", "-f", s.haproxyFile())
	if err != nil {
		return err
	}
	s.balancer = d
	return nil
}

// webServed waits until the load balancer has had a page from every web host.
func (s *supervisor) webServed(ctx context.Context) error {
	missing := map[string]bool{}
	for _, h := range s.hosts {
		if h.Cluster == "web" {
			missing[h.Name] = true
		}
	}
	return until(ctx, startLimit, "pages through the load balancer", func(ctx context.Context) error {
		for range 2 * len(missing) {
			host, err := s.servedBy(ctx)
			if err != nil {
				return err
			}
			delete(missing, host)
		}
		if len(missing) > 0 {
			return fmt.Errorf("none yet from %v", missing)
		}
		return nil
	})
}

func (s *supervisor) servedBy(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, webURL(s.Number), nil)
	if err != nil {
		return "", err
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return "", err
	}
	words := strings.Fields(string(body))
	if resp.StatusCode != http.StatusOK || len(words) < 3 {
		return "", errors.New(resp.Status)
	}
	return words[2], nil
}
