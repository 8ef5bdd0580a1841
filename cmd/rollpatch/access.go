package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/urfave/cli/v2"

	"github.com/rollpatch/rollpatch/activities"
	"github.com/rollpatch/rollpatch/activities/sshrun"
	"github.com/rollpatch/rollpatch/inventory"
)

// scansAtOnce bounds the hosts that are asked for their keys at a time; the pool bounds handshakes further.
const scansAtOnce = 32

func (d *desk) accessCommand() *cli.Command {
	return group("access", "make hosts known before anything is done there", &cli.Command{
		Name:  "scan",
		Usage: "show the host keys of the inventory's hosts, and have a person put them into known_hosts",
		Description: "Asks every host of the inventory for its key, from this machine, and logs in nowhere. Nothing is written without --accept, and with it only what a person\n" +
			"confirms: on a terminal by typing how many keys are written, elsewhere by --digest with the digest that the scan before has shown.\n" +
			"A changed key is written only where --changed names its host. It ends with status 3 where one is not, or where a host's key was not seen.",
		Flags: join(inventoryFlags(), []cli.Flag{
			&cli.BoolFlag{Name: "accept", Usage: "write what is new, once it is confirmed"},
			&cli.StringFlag{Name: "digest", Usage: "`DIGEST` of the keys that were shown, in place of a question"},
			&cli.StringSliceFlag{Name: "changed", Usage: "`HOST` whose changed key is written too; may be given several times"},
		}, outputFlags()),
		Action: d.accessScan,
	})
}

// scanned is what hosts offer, beside what is known.
type scanned struct {
	Hosts  []scannedKey `json:"hosts"`
	Write  []string     `json:"write"` // hosts whose keys --accept writes
	Digest string       `json:"digest,omitempty"`
}

type scannedKey struct {
	Host       string          `json:"host"`
	Address    string          `json:"address"`
	KnownHosts string          `json:"known_hosts"`
	Standing   sshrun.Standing `json:"standing"`
	Key        string          `json:"key,omitempty"`
	Known      []string        `json:"known,omitempty"`
	Why        string          `json:"why,omitempty"`
}

func (d *desk) accessScan(c *cli.Context) error {
	p, err := d.printer(c)
	if err != nil {
		return err
	}
	if err := atMost(c, 0); err != nil {
		return err
	}
	const help = "rollpatch access scan --help says more"
	switch {
	case c.String("digest") != "" && !c.Bool("accept"):
		return usage("access scan: --digest means nothing without --accept", help)
	case c.Bool("accept") && c.String("digest") == "" && !d.terminal(d.in):
		return usage("access scan: nobody is there to confirm what is seen: --accept needs a terminal, or --digest DIGEST of what the scan before has shown", help)
	}
	inv, err := d.readInventory(c.Path("inventory"))
	if err != nil {
		return err
	}
	named := c.StringSlice("changed")
	for _, n := range named {
		if _, ok := inv.Host(n); !ok {
			return usage(fmt.Sprintf("access scan: --changed %q is no host of %s", n, c.Path("inventory")), help)
		}
	}
	keys := d.offered(c.Context, inv)
	if c.Context.Err() != nil {
		return c.Context.Err()
	}
	out := scanned{Hosts: []scannedKey{}, Write: []string{}}
	var writing []sshrun.Offered
	var changed, unseen []string
	for _, k := range keys {
		s := scannedKey{Host: k.Target.Host, Address: k.Target.Addr, KnownHosts: k.Target.Access.KnownHosts, Standing: k.Standing, Known: k.Known, Why: k.Why}
		if k.Key != nil {
			s.Key = sshrun.Fingerprint(k.Key)
		}
		out.Hosts = append(out.Hosts, s)
		isNamed := slices.Contains(named, s.Host)
		switch {
		case k.Standing == sshrun.KeyNew, k.Standing == sshrun.KeyChanged && isNamed:
			writing, out.Write = append(writing, k), append(out.Write, s.Host)
		case k.Standing == sshrun.KeyChanged || k.Standing == sshrun.KeyRevoked:
			changed = append(changed, s.Host)
		case k.Standing == sshrun.KeyUnseen:
			unseen = append(unseen, s.Host)
		}
	}
	if len(writing) > 0 {
		out.Digest = digestOf(writing)
	}
	if err := p.result(out, func() { p.scanned(out) }); err != nil {
		return err
	}
	for _, s := range out.Hosts {
		if s.Standing == sshrun.KeyChanged || s.Standing == sshrun.KeyRevoked {
			d.note("KEY %s: %s at %s offers %s: somebody else may be answering there", strings.ToUpper(string(s.Standing)), s.Host, s.Address, s.Key)
		}
	}
	if err := d.acceptKeys(c, writing, out.Digest); err != nil {
		return err
	}
	return leftUnknown(changed, unseen)
}

// leftUnknown says which hosts nothing can be done on as things stand.
func leftUnknown(changed, unseen []string) error {
	if len(changed)+len(unseen) == 0 {
		return nil
	}
	var says, hints []string
	if len(changed) > 0 {
		says = append(says, fmt.Sprintf("another key than the known one is offered by %s: nothing was written for it", strings.Join(changed, " ")))
		hints = append(hints, "look on its console who answers there; where the key was made anew on purpose: rollpatch access scan --accept --changed HOST")
	}
	if len(unseen) > 0 {
		says = append(says, "no key was seen of "+strings.Join(unseen, " "))
		hints = append(hints, "hosts that only a worker's machine reaches are scanned there")
	}
	return &problem{code: exitHalted, err: errors.New(strings.Join(says, "\n")), hints: hints}
}

// offered asks all hosts for their keys, some at a time.
func (d *desk) offered(ctx context.Context, inv inventory.Inventory) []sshrun.Offered {
	pool := sshrun.New(sshrun.Options{})
	defer pool.Shutdown()
	keys := make([]sshrun.Offered, len(inv.Hosts))
	places := make(chan struct{}, scansAtOnce)
	var all sync.WaitGroup
	for i, h := range inv.Hosts {
		places <- struct{}{}
		all.Go(func() {
			defer func() { <-places }()
			keys[i] = pool.HostKey(ctx, activities.Target{Host: h.Name, Addr: net.JoinHostPort(h.Address, strconv.Itoa(h.Access.Port)), Access: h.Access})
		})
	}
	all.Wait()
	return keys
}

// digestOf stands for exactly these keys, of these hosts, in these files.
func digestOf(keys []sshrun.Offered) string {
	sum := sha256.New()
	for _, k := range keys {
		fmt.Fprintf(sum, "%q %q %q %s %s\n", k.Target.Host, k.Target.Addr, k.Target.Access.KnownHosts, k.Standing, sshrun.Fingerprint(k.Key))
	}
	return hex.EncodeToString(sum.Sum(nil))[:32]
}

func (p printer) scanned(s scanned) {
	var rows []row
	for _, k := range s.Hosts {
		r := row{cells: []string{k.Host, k.Address, string(k.Standing), k.Key}}
		switch k.Standing {
		case sshrun.KeyChanged:
			r.word, r.cells[2] = "failed", "CHANGED"
		case sshrun.KeyRevoked:
			r.word, r.cells[2], r.cells[3] = "failed", "REVOKED", k.Key+" "+k.Why
		case sshrun.KeyUnseen:
			r.cells[3] = k.Why
		}
		rows = append(rows, r)
		for _, known := range k.Known {
			rows = append(rows, row{cells: []string{"", "", "known is", known}})
		}
	}
	p.table([]string{"host", "address", "key is", "fingerprint"}, rows)
}

// acceptKeys writes keys once a person has said that these are the ones.
func (d *desk) acceptKeys(c *cli.Context, keys []sshrun.Offered, digest string) error {
	given := c.String("digest")
	switch {
	case len(keys) == 0 && !c.Bool("accept"):
		return nil
	case len(keys) == 0:
		d.note("no key is to be written")
		return nil
	case !c.Bool("accept"):
		d.note("%s to be written; compare the fingerprints with what the consoles say: ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub", many(len(keys), "key"))
		d.note("then: rollpatch access scan --accept, or where nobody types: --accept --digest %s", digest)
		return nil
	case given != "" && given != digest:
		return usage(fmt.Sprintf("what would be written has digest %s, not the one given: not what was shown before", digest), "compare what is shown now", nothingHint)
	case given == "":
		fmt.Fprintf(d.err, "Compare the fingerprints with what the consoles say. To write %s, type how many, or %s: ", many(len(keys), "key"), digest)
		answer, err := bufio.NewReader(d.in).ReadString('\n')
		if answer = strings.TrimSpace(answer); answer != strconv.Itoa(len(keys)) && answer != digest {
			if c.Context.Err() != nil {
				return c.Context.Err()
			}
			fmt.Fprintln(d.err)
			return usage(fmt.Sprintf("%q is neither (%d nor the digest)%s", answer, len(keys), ended(err)), nothingHint)
		}
	}
	files := map[string][]sshrun.Offered{}
	var order []string
	for _, k := range keys {
		path := k.Target.Access.KnownHosts
		if files[path] == nil {
			order = append(order, path)
		}
		files[path] = append(files[path], k)
	}
	for _, path := range order {
		if err := sshrun.WriteKnown(path, files[path]); err != nil {
			return failed(err, "what is not said to be written was not")
		}
		d.note("%s written to %s", many(len(files[path]), "key"), path)
	}
	return nil
}

func ended(err error) string {
	if err != nil {
		return ": the input has ended"
	}
	return ""
}
