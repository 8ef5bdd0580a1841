package main

import (
	"cmp"
	"fmt"
	"html"
	"io"
	"strings"
)

// document is something that people read away from a terminal: the same in Markdown and in HTML.
type document struct {
	title    string
	sections []section
}

type section struct {
	title  string // of the first, which has none, the document's stands above it
	blocks []passage
}

// passage is one of these.
type passage struct {
	text string   // a paragraph
	list []string // points
	code string   // what is typed
	head []string // a table
	rows [][]string
}

func text(format string, args ...any) passage { return passage{text: fmt.Sprintf(format, args...)} }

func (d document) markdown(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n", markdownText(d.title))
	for _, s := range d.sections {
		if s.title != "" {
			fmt.Fprintf(&b, "\n## %s\n", markdownText(s.title))
		}
		for _, k := range s.blocks {
			b.WriteString("\n")
			k.markdown(&b)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (k passage) markdown(b *strings.Builder) {
	switch {
	case len(k.head) > 0:
		line := func(cells []string, empty string) {
			b.WriteString("|")
			for _, c := range cells {
				b.WriteString(" " + cmp.Or(markdownText(c), empty) + " |")
			}
			b.WriteString("\n")
		}
		line(k.head, " ")
		b.WriteString(strings.Repeat("| --- ", len(k.head)) + "|\n")
		for _, r := range k.rows {
			line(r, "-")
		}
	case k.code != "":
		fmt.Fprintf(b, "```\n%s\n```\n", k.code)
	case len(k.list) > 0:
		for _, l := range k.list {
			b.WriteString("- " + markdownText(l) + "\n")
		}
	default:
		b.WriteString(markdownText(k.text) + "\n")
	}
}

// markdownText keeps a text what it is: a name or a reason must not become a heading, a link or another column.
func markdownText(s string) string {
	s = oneLine(s)
	var b strings.Builder
	for i, r := range s {
		if strings.ContainsRune("\\`*_[]<>|", r) || i == 0 && strings.ContainsRune("#+-=~", r) && len(s) > 1 {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}

// sheet is the frame of the HTML: nothing in it is fetched from anywhere.
const sheet = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>%[1]s</title>
<style>
:root { color-scheme: light; }
body { font: 15px/1.5 system-ui, "DejaVu Sans", sans-serif; color: #1a1a1a; background: #fff; max-width: 62rem; margin: 2rem auto; padding: 0 1.5rem; }
h1 { font-size: 1.7rem; line-height: 1.25; margin: 0 0 1rem; }
h2 { font-size: 1.15rem; margin: 2rem 0 .6rem; padding-bottom: .25rem; border-bottom: 2px solid #2f5d8a; }
p, ul, table, pre { margin: .6rem 0; }
ul { padding-left: 1.3rem; }
table { border-collapse: collapse; width: 100%%; font-size: .9rem; }
th, td { text-align: left; vertical-align: top; padding: .35rem .6rem; border: 1px solid #cbd3dc; overflow-wrap: break-word; }
th { background: #eef2f6; overflow-wrap: normal; }
thead { display: table-header-group; }
pre { background: #f4f6f8; border: 1px solid #cbd3dc; padding: .6rem .8rem; white-space: pre-wrap; overflow-wrap: anywhere; font-size: .85rem; }
@media print {
  body { font-size: 10pt; max-width: none; margin: 0; padding: 0; }
  h2 { break-after: avoid; }
  tr, li, pre { break-inside: avoid; }
  th { background: #eee; }
  table { width: calc(100%% - 1px); font-size: 8pt; }
  th, td { padding: .2rem .35rem; }
}
@page { margin: 16mm; }
</style>
<h1>%[1]s</h1>
`

func (d document) html(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, sheet, html.EscapeString(oneLine(d.title)))
	for _, s := range d.sections {
		b.WriteString("<section>\n")
		if s.title != "" {
			fmt.Fprintf(&b, "<h2>%s</h2>\n", html.EscapeString(s.title))
		}
		for _, k := range s.blocks {
			k.html(&b)
		}
		b.WriteString("</section>\n")
	}
	b.WriteString("</html>\n")
	_, err := io.WriteString(w, b.String())
	return err
}

func (k passage) html(b *strings.Builder) {
	cells := func(tag, empty string, of []string) {
		b.WriteString("<tr>")
		for _, c := range of {
			fmt.Fprintf(b, "<%[1]s>%[2]s</%[1]s>", tag, cmp.Or(html.EscapeString(oneLine(c)), empty))
		}
		b.WriteString("</tr>\n")
	}
	switch {
	case len(k.head) > 0:
		b.WriteString("<table>\n<thead>")
		if strings.Join(k.head, "") != "" {
			cells("th", "", k.head)
		}
		b.WriteString("</thead>\n<tbody>\n")
		for _, r := range k.rows {
			cells("td", "-", r)
		}
		b.WriteString("</tbody>\n</table>\n")
	case k.code != "":
		fmt.Fprintf(b, "<pre>%s</pre>\n", html.EscapeString(k.code))
	case len(k.list) > 0:
		b.WriteString("<ul>\n")
		for _, l := range k.list {
			fmt.Fprintf(b, "<li>%s</li>\n", html.EscapeString(oneLine(l)))
		}
		b.WriteString("</ul>\n")
	default:
		fmt.Fprintf(b, "<p>%s</p>\n", html.EscapeString(oneLine(k.text)))
	}
}
