package sshrun

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/skeema/knownhosts"
	"golang.org/x/crypto/ssh"
	xknownhosts "golang.org/x/crypto/ssh/knownhosts"

	"github.com/rollpatch/rollpatch/activities"
)

// Standing is how the key that a host offers stands to what known_hosts has.
type Standing string

// How an offered key stands.
const (
	KeySame    Standing = "same"
	KeyNew     Standing = "new"     // nothing is known of that address
	KeyChanged Standing = "changed" // something else is
	KeyRevoked Standing = "revoked"
	KeyUnseen  Standing = "unseen" // nobody answered, or known_hosts cannot be read
)

// Offered is the key that a host offers.
type Offered struct {
	Target   activities.Target
	Standing Standing
	Key      ssh.PublicKey // nil: unseen
	Known    []string      // fingerprints of what is known instead, where it changed
	Why      string        // where it is unseen or revoked
}

// anyKey is what a host is asked for of which nothing is known: the shortest first.
var anyKey = []string{
	ssh.KeyAlgoED25519, ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521, ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256,
}

// HostKey asks a host for its key, the way that [Pool] connects, and goes no further: nobody logs in. It proves that whoever answers holds that
// key, and nothing about who that is.
func (p *Pool) HostKey(ctx context.Context, t activities.Target) Offered {
	out := Offered{Target: t, Standing: KeyUnseen}
	keys, err := p.keys.read(t.Access.KnownHosts)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		out.Why = "known_hosts cannot be read: " + err.Error()
		return out
	}
	var kinds []string
	if keys != nil {
		kinds = keys.HostKeyAlgorithms(t.Addr)
	}
	known := len(kinds) > 0
	if !known {
		kinds = anyKey
	}
	remote, key, err := p.offered(ctx, t, kinds)
	var negotiation *ssh.AlgorithmNegotiationError
	if known && errors.As(err, &negotiation) && strings.Contains(err.Error(), "host key") {
		remote, key, err = p.offered(ctx, t, anyKey) // it has none of the kinds that are known
	}
	if key == nil {
		out.Why = why(t, err)
		return out
	}
	out.Key, out.Standing = key, KeyNew
	if keys != nil {
		out.Standing, out.Known, out.Why = stands(keys, t.Addr, remote, key)
	}
	return out
}

// stands holds a key against what is known.
func stands(keys *knownhosts.HostKeyDB, addr string, remote net.Addr, key ssh.PublicKey) (s Standing, known []string, why string) {
	err := keys.HostKeyCallback()(addr, remote, key)
	var revoked *xknownhosts.RevokedError
	var other *xknownhosts.KeyError
	switch {
	case err == nil:
		return KeySame, nil, ""
	case errors.As(err, &revoked):
		return KeyRevoked, nil, fmt.Sprintf("revoked by %s:%d", revoked.Revoked.Filename, revoked.Revoked.Line)
	case knownhosts.IsHostUnknown(err):
		return KeyNew, nil, ""
	case errors.As(err, &other):
		for _, k := range other.Want {
			known = append(known, Fingerprint(k.Key))
		}
		return KeyChanged, known, ""
	}
	return KeyUnseen, nil, err.Error()
}

// Fingerprint is a key as people compare it.
func Fingerprint(key ssh.PublicKey) string { return key.Type() + " " + ssh.FingerprintSHA256(key) }

var errSeen = errors.New("its key is seen")

// offered is the key of one handshake, which ends once the host has proved that it holds it.
func (p *Pool) offered(ctx context.Context, t activities.Target, kinds []string) (remote net.Addr, key ssh.PublicKey, err error) {
	nc, release, err := p.reach(ctx, t)
	if err != nil {
		return nil, nil, err
	}
	defer release()
	defer nc.Close()
	_ = nc.SetDeadline(time.Now().Add(p.o.HandshakeTimeout))
	stop := context.AfterFunc(ctx, func() { nc.Close() })
	defer stop()
	_, _, _, err = ssh.NewClientConn(withQuickAck(nc), t.Addr, &ssh.ClientConfig{
		User: t.Access.User, ClientVersion: "SSH-2.0-rollpatch", HostKeyAlgorithms: kinds,
		HostKeyCallback: func(_ string, from net.Addr, offered ssh.PublicKey) error {
			remote, key = from, offered
			return errSeen
		},
	})
	return remote, key, err
}

// why says in a line why no key was seen, without anything that the other side could have made up.
func why(t activities.Target, err error) string {
	var negotiation *ssh.AlgorithmNegotiationError
	if errors.As(err, &negotiation) {
		return "it offers nothing in common with us for the " + negotiation.What
	}
	lost := &lostError{t.Host, err}
	_ = errors.As(err, &lost)
	what, _ := lost.Trouble()
	return strings.ToValidUTF8(strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return -1
		}
		return r
	}, what), "")
}
