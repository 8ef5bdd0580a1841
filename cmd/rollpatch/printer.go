package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v2"
	"golang.org/x/term"

	"github.com/rollpatch/rollpatch/cmd/internal/status"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

// printer writes results.
type printer struct {
	w      io.Writer
	format string
	json   bool
	colour bool
}

func (d *desk) printer(c *cli.Context) (printer, error) {
	format, known := c.String("output"), "neither text nor json"
	switch {
	case format == "json" || format == "text" && c.Command.Name != "report":
	case c.Command.Name == "plan" && (format == "markdown" || format == "html"), c.Command.Name == "report" && format == "markdown":
	default:
		if c.Command.Name == "plan" {
			known = "none of text, json, markdown and html"
		}
		if c.Command.Name == "report" {
			known = "neither markdown nor json"
		}
		return printer{}, usage(fmt.Sprintf("--output %q is %s", format, known), "rollpatch "+called(c)+" --help lists the flags")
	}
	return printer{w: d.out, format: format, json: format == "json", colour: format == "text" && d.getenv("NO_COLOR") == "" && d.terminal(d.out)}, nil
}

// result prints one value: as JSON, or the way a person reads it.
func (p printer) result(v any, text func()) error {
	if !p.json {
		text()
		return nil
	}
	enc := json.NewEncoder(p.w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// line prints one value of a stream.
func (p printer) line(v any, text string) error {
	if !p.json {
		_, err := fmt.Fprintln(p.w, text)
		return err
	}
	enc := json.NewEncoder(p.w)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// row is one line of a table, and the word that gives it its colour.
type row struct {
	word  string
	cells []string
}

func (p printer) table(header []string, rows []row) {
	var b bytes.Buffer
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, strings.Join(header, "\t"))
	for _, r := range rows {
		cells := make([]string, len(r.cells))
		for i, c := range r.cells {
			cells[i] = dash(oneLine(c))
		}
		fmt.Fprintln(t, strings.Join(cells, "\t"))
	}
	t.Flush()
	// Colour comes after the columns are laid out: its codes would count as letters.
	for i, line := range strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n") {
		line = strings.TrimRight(line, " ")
		if i > 0 {
			line = p.paint(rows[i-1].word, line)
		}
		fmt.Fprintln(p.w, line)
	}
}

// paint gives text the colour of a state's word.
func (p printer) paint(word, text string) string {
	if !p.colour {
		return text
	}
	code := ""
	switch word {
	case string(rollout.CampaignDone), string(rollout.Patched):
		code = "32"
	case string(rollout.PhaseGate), status.Hold, string(rollout.CampaignAborted), string(rollout.ClusterSuperseded), string(rollout.PhaseAsk), string(rollout.PhaseBackout), string(rollout.BackedOut):
		code = "33"
	case string(rollout.CampaignHalted), string(rollout.Quarantined), string(rollout.Lost), "terminated", "timed-out", "failed", "canceled":
		code = "31"
	default:
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// many is a number of things, each called so.
func many(n int, thing string) string {
	if n != 1 {
		thing += "s"
	}
	return strconv.Itoa(n) + " " + thing
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

func isTerminal(v any) bool {
	f, ok := v.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
