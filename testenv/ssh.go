package testenv

import (
	"context"
	"fmt"
	"net"
	"os"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// sshDial opens a host as the product would: the lab's key, the user patch,
// and a host key that is in the lab's known_hosts or no connection.
func sshDial(ctx context.Context, p paths, h Host) (*ssh.Client, error) {
	raw, err := os.ReadFile(p.clientKey())
	if err != nil {
		return nil, err
	}
	key, err := ssh.ParsePrivateKey(raw)
	if err != nil {
		return nil, err
	}
	known, err := knownhosts.New(p.knownHosts())
	if err != nil {
		return nil, err
	}
	address := net.JoinHostPort(h.Address, "22")
	conn, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	// A host that is going down may accept and then say nothing.
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		conn.Close()
		return nil, err
	}
	c, channels, requests, err := ssh.NewClientConn(conn, address, &ssh.ClientConfig{
		User: "patch", Auth: []ssh.AuthMethod{ssh.PublicKeys(key)}, HostKeyCallback: known,
		// Other kinds of keys the host may offer are in nobody's known_hosts.
		HostKeyAlgorithms: []string{ssh.KeyAlgoED25519},
	})
	if err != nil {
		conn.Close()
		return nil, err
	}
	if err := conn.SetDeadline(time.Time{}); err != nil {
		c.Close()
		return nil, err
	}
	return ssh.NewClient(c, channels, requests), nil
}

// sshRun runs one command line over a connection of its own.
func sshRun(ctx context.Context, p paths, h Host, line string) (string, error) {
	client, err := sshDial(ctx, p, h)
	if err != nil {
		return "", fmt.Errorf("host %q: %w", h.Name, err)
	}
	defer client.Close()
	stop := context.AfterFunc(ctx, func() { client.Close() })
	defer stop()
	session, err := client.NewSession()
	if err != nil {
		return "", fmt.Errorf("host %q: %w", h.Name, err)
	}
	defer session.Close()
	out, err := session.CombinedOutput(line)
	if err != nil {
		return string(out), fmt.Errorf("host %q: %w: %s", h.Name, err, short(out))
	}
	return string(out), nil
}

// sshAnswers says why the host cannot be logged in to, or nil.
func (s *supervisor) sshAnswers(ctx context.Context, h Host) error {
	client, err := sshDial(ctx, s.paths, h)
	if err != nil {
		return err
	}
	return client.Close()
}
