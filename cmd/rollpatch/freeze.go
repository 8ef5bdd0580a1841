package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/rollpatch/rollpatch/cmd/internal/status"
	"github.com/rollpatch/rollpatch/workflows"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

const thawHint = `end it with: rollpatch thaw --reason "..."`

func (d *desk) freezeCommand() *cli.Command {
	return group("freeze", "keep the whole estate as it is, or say whether it is kept so",
		&cli.Command{
			Name: "now", Usage: "drain, patch and reboot no member of any campaign until the thaw",
			Description: "A package transaction that runs is finished. A member that is out and unchanged goes back into service; one that is failing\n" +
				"is still brought back to its former versions.",
			Flags: join(messageFlags(), outputFlags(), serverFlags()), Action: d.freeze,
		},
		&cli.Command{
			Name: "list", Usage: "say whether the estate is frozen, by whom, since when and why; and which freezes of the files stand within a day, and who may break them",
			Flags: join(inventoryFlags(), []cli.Flag{
				&cli.StringSliceFlag{Name: "campaign", Usage: "`FILE` of a campaign whose freezes are listed too; may be given several times"},
			}, outputFlags(), serverFlags()), Action: d.frozen,
		},
	)
}

func (d *desk) thawCommand() *cli.Command {
	return &cli.Command{Name: "thaw", Usage: "end the freeze of the whole estate", Flags: join(messageFlags(), outputFlags(), serverFlags()), Action: d.thaw}
}

// frozen is a freeze, or that there is none.
type frozen struct {
	Frozen bool      `json:"frozen"`
	By     string    `json:"by,omitempty"`
	Since  time.Time `json:"since,omitzero"`
	Reason string    `json:"reason,omitempty"`
	ID     string    `json:"id,omitempty"` // of the message that froze it
}

// said is a message to the whole estate that was taken.
type said struct {
	Message string   `json:"message"`
	ID      string   `json:"id"`
	Actor   string   `json:"actor"`
	Reason  string   `json:"reason"`
	Effect  []string `json:"effect"`
}

// toEstate begins a message to the whole estate. The caller closes the server.
func (d *desk) toEstate(c *cli.Context) (p printer, m rollout.Message, srv server, err error) {
	if p, err = d.printer(c); err != nil {
		return p, m, nil, err
	}
	if err = atMost(c, 0); err != nil {
		return p, m, nil, err
	}
	if m, err = d.messageOf(c, p.json); err != nil {
		return p, m, nil, err
	}
	srv, err = d.connect(c)
	return p, m, srv, err
}

func (d *desk) freeze(c *cli.Context) error {
	p, m, srv, err := d.toEstate(c)
	if err != nil {
		return err
	}
	defer srv.Close()
	switch err := srv.Freeze(c.Context, m); {
	case errors.Is(err, errTaken):
		f, err := srv.Frozen(c.Context)
		if err != nil {
			return err
		}
		if f.ID != m.ID { // else it is said again
			return failed(fmt.Errorf("the whole estate is frozen already, by %s (claimed) since %s: %s", dash(f.By), dash(stamp(f.Since)), dash(f.Reason)), thawHint)
		}
	case err != nil:
		return failed(err, "whether it is frozen: rollpatch freeze list")
	}
	return p.say(said{Message: "freeze", ID: m.ID, Actor: m.Actor, Reason: m.Reason, Effect: []string{
		"within seconds no member is drained, patched or rebooted any more, in any campaign",
		"a package transaction that runs is finished",
		"a member that is out and unchanged goes back into service; one that is failing is still brought back to its former versions",
		thawHint,
	}}, "the whole estate is frozen")
}

func (d *desk) thaw(c *cli.Context) error {
	p, m, srv, err := d.toEstate(c)
	if err != nil {
		return err
	}
	defer srv.Close()
	switch err := srv.Tell(c.Context, workflows.FreezeID, workflows.UpdateThaw, m); {
	case errors.Is(err, status.ErrNotFound):
		return failed(errors.New("the estate is not frozen: there is nothing to thaw"), "what a member waits for: rollpatch why HOST")
	case errors.Is(err, status.ErrNoWorker):
		return failed(errors.New("no worker answered: nobody knows whether thaw was taken"),
			fmt.Sprintf("say it again, it is taken once: rollpatch thaw --reason %q --id %s", m.Reason, m.ID), "a worker is started with: rollpatch worker")
	case err != nil:
		return failed(err, "whether it is frozen: rollpatch freeze list")
	}
	return p.say(said{Message: workflows.UpdateThaw, ID: m.ID, Actor: m.Actor, Reason: m.Reason, Effect: []string{"what waited for it goes on by itself"}}, "the freeze is over")
}

func (p printer) say(s said, text string) error {
	return p.result(s, func() {
		fmt.Fprintln(p.w, text)
		for _, line := range s.Effect {
			fmt.Fprintf(p.w, "  %s\n", line)
		}
	})
}

func (d *desk) frozen(c *cli.Context) error {
	p, err := d.printer(c)
	if err != nil {
		return err
	}
	if err := atMost(c, 0); err != nil {
		return err
	}
	announced, err := d.announced(c)
	if err != nil {
		return err
	}
	srv, err := d.connect(c)
	if err != nil {
		return err
	}
	defer srv.Close()
	f, err := srv.Frozen(c.Context)
	if err != nil {
		return err
	}
	if err := p.result(struct {
		frozen
		Freezes []announcement `json:"freezes,omitempty"`
	}{f, announced}, func() {
		defer p.announced(announced)
		if !f.Frozen {
			fmt.Fprintln(p.w, "the estate is not frozen")
			return
		}
		fmt.Fprintln(p.w, "the whole estate is frozen")
		fmt.Fprintf(p.w, "by     %s (claimed)\n", dash(f.By))
		fmt.Fprintf(p.w, "since  %s\n", dash(stamp(f.Since)))
		fmt.Fprintf(p.w, "why    %s\n", dash(oneLine(f.Reason)))
	}); err != nil {
		return err
	}
	if f.Frozen {
		d.note("%s", thawHint)
	}
	return nil
}
