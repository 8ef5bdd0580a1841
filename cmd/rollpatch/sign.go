package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/urfave/cli/v2"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
	"golang.org/x/term"

	"github.com/rollpatch/rollpatch/activities/signed"
	"github.com/rollpatch/rollpatch/inventory"
	"github.com/rollpatch/rollpatch/workflows/approval"
)

// signFlags are those of every command that signs.
func signFlags() []cli.Flag {
	return []cli.Flag{
		&cli.PathFlag{Name: "key", Usage: "sign with this `FILE`: a private key, or a public one whose private key the SSH agent has", DefaultText: "ROLLPATCH_KEY, then the SSH agent's only key, where a gate asks for signatures"},
		&cli.BoolFlag{Name: "unsigned", Usage: "do not sign, even where a gate asks for it"},
		&cli.StringFlag{Name: "expires", Usage: "`TIME` for which what is signed counts: 90m, 12h, 2d", Value: "24h"},
	}
}

// pen is what somebody signs with.
type pen struct {
	ssh.Signer
	close func()
}

func (p pen) fingerprint() string { return ssh.FingerprintSHA256(p.PublicKey()) }

// signs says whether a command signs, where gates ask for it or not. What people ask for excludes each other.
func (d *desk) signs(c *cli.Context, asked bool) (bool, error) {
	named := d.key(c) != ""
	if c.Bool("unsigned") && c.IsSet("key") {
		return false, usage(called(c) + ": --unsigned and --key exclude each other")
	}
	return !c.Bool("unsigned") && (asked || named), nil
}

func (d *desk) key(c *cli.Context) string {
	if path := c.Path("key"); path != "" {
		return path
	}
	return d.getenv("ROLLPATCH_KEY")
}

// lifetime is how long what is signed counts.
func lifetime(c *cli.Context) (time.Duration, error) {
	var t inventory.Duration
	if err := t.UnmarshalText([]byte(c.String("expires"))); err != nil || time.Duration(t) < time.Minute {
		return 0, usage(fmt.Sprintf("--expires is %q: want a time of at least a minute, with its unit, such as 90m, 12h or 2d", c.String("expires")))
	}
	return time.Duration(t), nil
}

// sign shows what is signed to the person and signs it.
func (d *desk) sign(c *cli.Context, s interface {
	Text() string
	Check() error
}) (approval.Signed, string, error) {
	if err := s.Check(); err != nil {
		return approval.Signed{}, "", usage(err.Error())
	}
	p, err := d.pen(c)
	if err != nil {
		return approval.Signed{}, "", err
	}
	defer p.close()
	d.note("this is signed with key %s:", p.fingerprint())
	for line := range strings.Lines(s.Text()) {
		fmt.Fprint(d.err, "  "+line)
	}
	armoured, err := signed.Sign(s.Text(), p.Signer)
	if err != nil {
		return approval.Signed{}, "", failed(err, "nothing was sent; --key FILE names another key")
	}
	return approval.Signed{Statement: s.Text(), Signature: armoured}, p.fingerprint(), nil
}

const keyHint = "--key FILE signs with a key; ssh-add FILE gives one to the SSH agent"

// pen finds what to sign with: the key that was named, or the only one of the SSH agent.
func (d *desk) pen(c *cli.Context) (pen, error) {
	path := d.key(c)
	if path == "" {
		return d.fromAgent(nil, func(keys []ssh.Signer) error {
			if len(keys) == 0 {
				return usage("the SSH agent has no key to sign with", keyHint)
			}
			return severalKeys(keys)
		})
	}
	if !filepath.IsAbs(path) {
		wd, err := d.getwd()
		if err != nil {
			return pen{}, failed(err)
		}
		path = filepath.Join(wd, path)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return pen{}, usage("--key: " + err.Error())
	}
	if public, _, _, _, err := ssh.ParseAuthorizedKey(raw); err == nil {
		return d.fromAgent(public, func([]ssh.Signer) error {
			return usage(fmt.Sprintf("the SSH agent does not have the key of %s (%s)", path, ssh.FingerprintSHA256(public)), "ssh-add "+strings.TrimSuffix(path, ".pub"))
		})
	}
	key, err := ssh.ParsePrivateKey(raw)
	var locked *ssh.PassphraseMissingError
	if errors.As(err, &locked) {
		return d.unlocked(path, raw, locked.PublicKey)
	}
	if err != nil {
		return pen{}, usage(fmt.Sprintf("%s is no key that can sign: %v", path, err), "a key in hardware signs by the SSH agent: ssh-add "+path+", and then --key "+path+".pub")
	}
	return pen{key, func() {}}, nil
}

// unlocked is a key behind a passphrase: the agent's, where that has it, or from its file once the person has said it.
func (d *desk) unlocked(path string, raw []byte, public ssh.PublicKey) (pen, error) {
	if public != nil && d.getenv("SSH_AUTH_SOCK") != "" {
		if p, err := d.fromAgent(public, func([]ssh.Signer) error { return errors.New("not there") }); err == nil {
			return p, nil
		}
	}
	if !d.terminal(d.in) {
		return pen{}, usage(path+" is behind a passphrase, which is asked for on a terminal only", "ssh-add "+path)
	}
	passphrase, err := d.hidden("passphrase of " + path + ": ")
	if err != nil {
		return pen{}, failed(err)
	}
	key, err := ssh.ParsePrivateKeyWithPassphrase(raw, passphrase)
	clear(passphrase)
	if err != nil {
		return pen{}, usage(path+": that is not its passphrase, or the key is damaged", "nothing was sent")
	}
	return pen{key, func() {}}, nil
}

// fromAgent is one key of the SSH agent: the one that is wanted, or the only one. otherwise says what is wrong when there is none such.
func (d *desk) fromAgent(want ssh.PublicKey, otherwise func([]ssh.Signer) error) (pen, error) {
	socket := d.getenv("SSH_AUTH_SOCK")
	if socket == "" {
		return pen{}, usage("no SSH agent to sign with: SSH_AUTH_SOCK is not set", keyHint)
	}
	conn, err := net.Dial("unix", socket)
	if err != nil {
		return pen{}, usage("no SSH agent to sign with: "+err.Error(), keyHint)
	}
	p := pen{close: func() { conn.Close() }}
	all, err := agent.NewClient(conn).Signers()
	if err != nil {
		p.close()
		return pen{}, failed(fmt.Errorf("the SSH agent: %w", err), keyHint)
	}
	var keys []ssh.Signer
	for _, k := range all {
		if strings.Contains(k.PublicKey().Type(), "-cert-") {
			continue // a certificate of one of the others; allowed signers list keys
		}
		if want == nil || bytes.Equal(k.PublicKey().Marshal(), want.Marshal()) {
			keys = append(keys, k)
		}
	}
	if len(keys) != 1 {
		p.close()
		return pen{}, otherwise(keys)
	}
	p.Signer = keys[0]
	return p, nil
}

func severalKeys(keys []ssh.Signer) error {
	var hints []string
	for _, k := range keys {
		hints = append(hints, "  "+k.PublicKey().Type()+" "+ssh.FingerprintSHA256(k.PublicKey()))
	}
	return usage(fmt.Sprintf("the SSH agent has %d keys: say which one signs with --key FILE, the file of its public key", len(keys)), hints...)
}

// hiddenLine asks for a line that is not shown while it is typed.
func hiddenLine(prompt string) ([]byte, error) {
	fmt.Fprint(os.Stderr, prompt)
	defer fmt.Fprintln(os.Stderr)
	return term.ReadPassword(int(os.Stdin.Fd()))
}
