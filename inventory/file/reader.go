package file

import (
	"bytes"
	"encoding"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	"github.com/rollpatch/rollpatch/inventory"
)

// The bounds of a file. The YAML parser takes time with the square of the depth, and neither file is ever more than a few levels deep;
// ten thousand hosts are about two megabytes.
const (
	maxBytes  = 16 << 20
	maxDepth  = 32
	maxColumn = 512
)

// reader fills a Go value from the YAML tree of one file. The library's own decoder stops at the first thing wrong, so the tree is
// walked here, against the value's type: what a file may hold is said by the types alone.
type reader struct {
	*ledger
	file   int
	offset map[string]int // what is in the merged value before this file's hosts and clusters
	once   []string       // keys that belong in one file only
}

// at is a path, as in the value and as in the file.
type at struct{ value, file string }

func (a at) key(name string) at {
	step := inventory.Key(name)
	if a.file == "" {
		step = strings.TrimPrefix(step, ".")
	}
	return at{a.value + step, a.file + step}
}

func (r *reader) item(a at, i int) at {
	return at{fmt.Sprintf("%s[%d]", a.value, i+r.offset[a.value]), fmt.Sprintf("%s[%d]", a.file, i)}
}

func (r *reader) place(a at, line int) place { return place{file: r.file, line: line, path: a.file} }

// wrong notes that the value at a could not be read.
func (r *reader) wrong(a at, line int, format string, args ...any) {
	r.broken = append(r.broken, a.value)
	r.add(r.place(a, line), format, args...)
}

func (r *reader) read(raw []byte, into any) {
	root, line, err := body(raw)
	if err != nil {
		r.wrong(at{}, line, "%s", err)
		return
	}
	r.value(reflect.ValueOf(into).Elem(), root, at{})
}

// body is the tree of a file's only document.
func body(raw []byte) (root ast.Node, line int, err error) {
	if len(raw) > maxBytes {
		return nil, 1, fmt.Errorf("is larger than %d MiB", maxBytes>>20)
	}
	raw = bytes.TrimPrefix(raw, []byte("\ufeff"))
	raw = bytes.ReplaceAll(raw, []byte("\r\n"), []byte("\n")) // the lexer counts some of the pairs twice
	if i := firstInvalid(raw); i >= 0 {
		return nil, 1 + bytes.Count(raw[:i], []byte("\n")), errors.New("is not text in UTF-8")
	}
	tokens := lexer.Tokenize(string(raw))
	if line := tooDeep(tokens); line > 0 {
		return nil, line, fmt.Errorf("is nested deeper than %d levels", maxDepth)
	}
	tree, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		line = 1
		var syntax yaml.Error
		if errors.As(err, &syntax) {
			if tk := syntax.GetToken(); tk != nil {
				line = tk.Position.Line
			}
			return nil, line, fmt.Errorf("cannot be read as YAML: %s", legible(syntax.GetMessage()))
		}
		return nil, line, fmt.Errorf("cannot be read as YAML: %w", err)
	}
	for _, doc := range tree.Docs {
		if d, ok := doc.Body.(*ast.DirectiveNode); ok {
			return nil, lineOf(d), errors.New("YAML directives are not supported: remove the line that begins with %")
		}
	}
	if len(tree.Docs) > 1 {
		return nil, docLine(tree.Docs[1]), errors.New("a second YAML document begins here: one file holds one")
	}
	if len(tree.Docs) == 0 || tree.Docs[0].Body == nil {
		return nil, 1, errors.New("is empty")
	}
	return tree.Docs[0].Body, 1, nil
}

// legible is the parser's message without letters that nobody sees, or that a terminal acts on.
func legible(msg string) string {
	msg = strings.ReplaceAll(msg, "found character '\t' that cannot start any token", "a tab stands where a value begins: indent with spaces")
	var b strings.Builder
	for _, r := range msg {
		if unicode.IsControl(r) {
			b.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}

func firstInvalid(raw []byte) int {
	for i := 0; i < len(raw); {
		r, size := utf8.DecodeRune(raw[i:])
		if (r == utf8.RuneError && size == 1) || r == 0 {
			return i
		}
		i += size
	}
	return -1
}

// tooDeep is the line on which the nesting gets too deep, or 0. Block style needs a column per level, so columns bound it; a line in flow
// style may be as long as it likes.
func tooDeep(tokens token.Tokens) int {
	depth := 0
	for _, tk := range tokens {
		switch tk.Type {
		case token.MappingStartType, token.SequenceStartType:
			depth++
		case token.MappingEndType, token.SequenceEndType:
			depth--
		case token.SequenceEntryType, token.MappingKeyType:
			if tk.Position.Column > maxColumn {
				return tk.Position.Line
			}
		}
		if depth > maxDepth || tk.Position.IndentNum > maxColumn {
			return tk.Position.Line
		}
	}
	return 0
}

func docLine(doc *ast.DocumentNode) int {
	if doc.Start != nil {
		return doc.Start.Position.Line
	}
	return lineOf(doc.Body)
}

func lineOf(n ast.Node) int {
	switch n := n.(type) {
	case nil:
		return 1
	case *ast.MappingNode:
		if !n.IsFlowStyle && len(n.Values) > 0 {
			return lineOf(n.Values[0].Key)
		}
	}
	if tk := n.GetToken(); tk != nil {
		return tk.Position.Line
	}
	return 1
}

// what names a node in words.
func what(n ast.Node) string {
	switch n.(type) {
	case *ast.MappingNode:
		return "a mapping"
	case *ast.SequenceNode:
		return "a list"
	case *ast.StringNode, *ast.LiteralNode:
		return "text"
	case *ast.IntegerNode:
		return "a number"
	case *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		return "a fraction"
	case *ast.BoolNode:
		return "true or false"
	default:
		return "something else"
	}
}

// scalar is the text of a value as it was written, without quotes.
func scalar(n ast.Node) (text string, ok bool) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return n.Value.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		return n.GetToken().Value, true
	default:
		return "", false
	}
}

var (
	secretType = reflect.TypeFor[inventory.Secret]()
	decimal    = regexp.MustCompile(`^(0|-?[1-9][0-9]*)$`)
)

func (r *reader) value(into reflect.Value, n ast.Node, a at) {
	line := lineOf(n)
	if _, ok := r.places[a.value]; !ok {
		r.places[a.value] = r.place(a, line)
	}
	switch n := n.(type) {
	case *ast.AnchorNode:
		r.wrong(a, line, "anchors (&) are not supported: write the value out wherever it is used")
		return
	case *ast.AliasNode:
		r.wrong(a, line, "aliases (*) are not supported: write the value out")
		return
	case *ast.TagNode:
		r.wrong(a, line, "tags (!) are not supported: remove it, and write text in quotes where it reads as something else")
		return
	case *ast.NullNode:
		r.wrong(a, line, "has no value: give one, or remove the key")
		return
	case *ast.MappingValueNode:
		r.value(into, &ast.MappingNode{Values: []*ast.MappingValueNode{n}}, a)
		return
	}

	if into.Kind() == reflect.Pointer {
		fresh := reflect.New(into.Type().Elem())
		r.value(fresh.Elem(), n, a)
		into.Set(fresh)
		return
	}
	if own, ok := into.Addr().Interface().(encoding.TextUnmarshaler); ok {
		text, ok := scalar(n)
		if !ok {
			r.wrong(a, line, "wants one value, not %s", what(n))
		} else if err := own.UnmarshalText([]byte(text)); err != nil {
			r.wrong(a, line, "%s", err)
		}
		return
	}
	if list, ok := into.Addr().Interface().(interface{ List() any }); ok {
		if _, ok := n.(*ast.SequenceNode); ok {
			r.list(reflect.ValueOf(list.List()).Elem(), n, a)
			return
		}
	}
	switch into.Kind() {
	case reflect.Struct:
		r.mapping(into, n, a)
	case reflect.Map:
		r.words(into, n, a)
	case reflect.Slice:
		r.list(into, n, a)
	case reflect.String:
		r.text(into, n, a)
	case reflect.Int:
		r.number(into, n, a)
	case reflect.Bool:
		node, ok := n.(*ast.BoolNode)
		if !ok {
			r.wrong(a, line, "wants true or false")
			return
		}
		into.SetBool(node.Value)
	default:
		panic(fmt.Sprintf("file: no way to read a %s", into.Type()))
	}
}

func (r *reader) mapping(into reflect.Value, n ast.Node, a at) {
	node, ok := n.(*ast.MappingNode)
	if !ok {
		if into.Type() == secretType {
			// Not repeated: it may be the secret.
			r.wrong(a, lineOf(n), "is a reference, never the value: write {env: NAME}, {file: path} or {command: [program, argument]}")
			return
		}
		r.wrong(a, lineOf(n), "wants keys (%s), not %s", strings.Join(keysOf(into.Type()), ", "), what(n))
		return
	}
	fields := fieldsOf(into.Type())
	var unknown []key
	given := map[string]bool{}
	defer func() {
		for _, k := range unknown {
			r.unknown(into.Type(), a, k, given)
		}
	}()
	for key, value := range r.entries(node, a) {
		here := a.key(key.name)
		index, ok := fields[key.name]
		if !ok {
			unknown = append(unknown, key)
			continue
		}
		given[key.name] = true
		if a.file == "" && slices.Contains(r.once, key.name) {
			if before, ok := r.places[key.name]; ok && before.file != r.file {
				r.wrong(here, key.line, "is already given on %s:%d: it belongs in one file", r.sources[before.file], before.line)
				continue
			}
		}
		// A key that several files give, such as hosts, is found at the first.
		if _, ok := r.places[here.value]; !ok {
			r.places[here.value] = r.place(here, key.line)
		}
		field := into.Field(index)
		r.value(field, value, here)
		// Zero stands for absent in a plain field, so a zero that somebody wrote must be told of here: nobody after this can see it.
		if field.Kind() == reflect.Int && field.Int() == 0 {
			if node, ok := value.(*ast.IntegerNode); ok && node.GetToken().Value == "0" {
				r.wrong(here, key.line, "must be at least 1")
			}
		}
	}
}

type key struct {
	name string
	line int
}

// entries are the keys and values of a mapping, each key once; what is no plain key is told of.
func (r *reader) entries(node *ast.MappingNode, a at) func(yield func(key, ast.Node) bool) {
	return func(yield func(key, ast.Node) bool) {
		seen := map[string]int{}
		for _, entry := range node.Values {
			line := lineOf(entry.Key)
			name, ok := "", false
			switch k := entry.Key.(type) {
			case *ast.StringNode:
				name, ok = k.Value, true
			case *ast.MergeKeyNode:
				r.wrong(a, line, "merge keys (<<) are not supported: write the keys out")
				continue
			}
			if !ok {
				r.wrong(a, line, "a key must be plain text; put it in quotes if it reads as something else")
				continue
			}
			if before, twice := seen[name]; twice {
				r.wrong(a.key(name), line, "is already given on line %d", before)
				continue
			}
			seen[name] = line
			if !yield(key{name, line}, entry.Value) {
				return
			}
		}
	}
}

// unknown tells of a key that is none, beside those that are given.
func (r *reader) unknown(t reflect.Type, a at, k key, given map[string]bool) {
	known := keysOf(t)
	here := a.key(k.name)
	if near := inventory.Nearest(k.name, known); near != "" {
		if !given[near] {
			// The key that was meant is not missing; it is the one told of here.
			r.broken = append(r.broken, a.key(near).value)
		}
		r.wrong(here, k.line, "unknown key; did you mean %q?", near)
		return
	}
	for _, outer := range known {
		if inner := t.Field(fieldsOf(t)[outer]).Type; inner.Kind() == reflect.Struct && slices.Contains(keysOf(inner), k.name) {
			r.wrong(here, k.line, "unknown key; did you mean %q under %q?", k.name, outer)
			return
		}
	}
	r.wrong(here, k.line, "unknown key; known here: %s", strings.Join(known, ", "))
}

func (r *reader) words(into reflect.Value, n ast.Node, a at) {
	node, ok := n.(*ast.MappingNode)
	if !ok {
		r.wrong(a, lineOf(n), "wants keys and values, not %s", what(n))
		return
	}
	for key, value := range r.entries(node, a) {
		here := a.key(key.name)
		r.places[here.value] = r.place(here, key.line)
		item := reflect.New(into.Type().Elem()).Elem()
		r.value(item, value, here)
		if into.IsNil() {
			into.Set(reflect.MakeMap(into.Type()))
		}
		into.SetMapIndex(reflect.ValueOf(key.name), item)
	}
}

func (r *reader) list(into reflect.Value, n ast.Node, a at) {
	node, ok := n.(*ast.SequenceNode)
	if !ok {
		r.wrong(a, lineOf(n), "wants a list, such as [a, b], not %s", what(n))
		return
	}
	for i, value := range node.Values {
		item := reflect.New(into.Type().Elem()).Elem()
		r.value(item, value, r.item(a, i))
		into.Set(reflect.Append(into, item))
	}
}

func (r *reader) text(into reflect.Value, n ast.Node, a at) {
	switch n := n.(type) {
	case *ast.StringNode, *ast.LiteralNode:
		text, _ := scalar(n)
		if text == "" {
			r.wrong(a, lineOf(n), "is empty: give a value, or remove it")
			return
		}
		into.SetString(text)
	default:
		if _, ok := scalar(n); ok {
			r.wrong(a, lineOf(n), "wants text, not %s: put it in quotes", what(n))
			return
		}
		r.wrong(a, lineOf(n), "wants text, not %s", what(n))
	}
}

func (r *reader) number(into reflect.Value, n ast.Node, a at) {
	node, ok := n.(*ast.IntegerNode)
	if !ok {
		r.wrong(a, lineOf(n), "wants a whole number, not %s", what(n))
		return
	}
	// 0x16, 022 and 1_000 are numbers in some YAML and not in other; here they are a reason to ask.
	text := node.GetToken().Value
	value, err := strconv.Atoi(text)
	if err != nil || !decimal.MatchString(text) {
		r.wrong(a, lineOf(n), "%q is no whole number: write plain digits", text)
		return
	}
	into.SetInt(int64(value))
}

// fieldsOf maps keys to fields.
func fieldsOf(t reflect.Type) map[string]int {
	fields := map[string]int{}
	for i := range t.NumField() {
		if key := keyOf(t.Field(i)); key != "-" {
			fields[key] = i
		}
	}
	return fields
}

// keysOf lists keys in the order of the fields.
func keysOf(t reflect.Type) []string {
	var keys []string
	for i := range t.NumField() {
		if key := keyOf(t.Field(i)); key != "-" {
			keys = append(keys, key)
		}
	}
	return keys
}

func keyOf(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
	return name
}
