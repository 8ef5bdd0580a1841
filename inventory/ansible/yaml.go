package ansible

import (
	"errors"
	"fmt"
	"math"
	"math/big"
	"regexp"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// mapping is a YAML mapping in the order in which it is written: the order of hosts and groups means something.
type mapping struct {
	keys   []string
	values map[string]any
	lines  map[string]int
	odd    map[string]bool // keys that are no text, such as 10
}

func (m *mapping) set(key string, value any, line int) {
	if _, ok := m.values[key]; !ok {
		m.keys = append(m.keys, key)
	}
	m.values[key], m.lines[key] = value, line
}

// plain is a value without the order of its keys.
func plain(v any) any {
	switch v := v.(type) {
	case *mapping:
		out := map[string]any{}
		for _, k := range v.keys {
			out[k] = plain(v.values[k])
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = plain(v[i])
		}
		return out
	}
	return v
}

// parseYAML reads the only document of a file, nil where it is empty. An error says nothing of what stands in the file.
func parseYAML(text string) (root any, line int, err error) {
	tree, err := parser.ParseBytes([]byte(text), 0, parser.AllowDuplicateMapKey())
	if err != nil {
		line = 1
		if syntax := yaml.Error(nil); errors.As(err, &syntax) && syntax.GetToken() != nil {
			line = syntax.GetToken().Position.Line
		}
		return nil, line, errors.New("cannot be read as YAML from this line on: mind indents, colons and quotes")
	}
	docs := 0
	for _, d := range tree.Docs {
		if d.Body == nil {
			continue
		}
		if docs++; docs > 1 {
			return nil, d.Body.GetToken().Position.Line, errors.New("a second YAML document begins here: one file holds one")
		}
		r := yamlReader{anchors: map[string]any{}}
		root = r.value(d.Body, 0)
		if r.err != nil {
			return nil, r.line, r.err
		}
	}
	return root, 1, nil
}

type yamlReader struct {
	anchors map[string]any
	err     error
	line    int
}

func (r *yamlReader) fail(n ast.Node, format string, args ...any) any {
	if r.err == nil {
		r.err, r.line = fmt.Errorf(format, args...), 1
		if tk := n.GetToken(); tk != nil {
			r.line = tk.Position.Line
		}
	}
	return nil
}

func (r *yamlReader) value(n ast.Node, depth int) any {
	if depth > 64 {
		return r.fail(n, "is nested deeper than 64 levels")
	}
	switch n := n.(type) {
	case nil, *ast.NullNode:
		return nil
	case *ast.AnchorNode:
		v := r.value(n.Value, depth+1)
		r.anchors[n.Name.String()] = v
		return v
	case *ast.AliasNode:
		v, ok := r.anchors[n.Value.String()]
		if !ok {
			return r.fail(n, "names an anchor that is not there")
		}
		return v
	case *ast.TagNode:
		return r.tagged(n, depth)
	case *ast.LiteralNode:
		return n.Value.Value
	case *ast.MappingNode:
		return r.mapping(n, n.Values, depth)
	case *ast.MappingValueNode:
		return r.mapping(n, []*ast.MappingValueNode{n}, depth)
	case *ast.SequenceNode:
		out := []any{}
		for _, v := range n.Values {
			out = append(out, r.value(v, depth+1))
		}
		return out
	case *ast.StringNode:
		if t := n.Token.Type; t == token.SingleQuoteType || t == token.DoubleQuoteType {
			return n.Value
		}
		return scalar(n.Value)
	}
	if s, ok := n.(ast.ScalarNode); ok {
		return scalar(strings.TrimSpace(s.GetToken().Value))
	}
	return r.fail(n, "holds a kind of YAML that inventories have no use for")
}

func (r *yamlReader) tagged(n *ast.TagNode, depth int) any {
	v := r.value(n.Value, depth+1)
	switch n.Start.Value {
	case "!vault", "!vault-encrypted":
		return Vault{}
	case "!unsafe", "!!str":
		if n.Value == nil {
			return ""
		}
		if _, text := v.(string); !text && n.Value.GetToken() != nil {
			return n.Value.GetToken().Value
		}
	}
	return v
}

// mapping reads keys in their order; what is merged in with << comes first, and counts less.
func (r *yamlReader) mapping(at ast.Node, values []*ast.MappingValueNode, depth int) any {
	m := &mapping{values: map[string]any{}, lines: map[string]int{}, odd: map[string]bool{}}
	for _, v := range values {
		if _, merge := v.Key.(*ast.MergeKeyNode); !merge {
			continue
		}
		merged := r.value(v.Value, depth+1)
		list, ok := merged.([]any)
		if !ok {
			list = []any{merged}
		}
		for i := len(list) - 1; i >= 0; i-- {
			from, ok := list[i].(*mapping)
			if !ok {
				return r.fail(v, "merges what is no mapping")
			}
			for _, k := range from.keys {
				m.set(k, from.values[k], from.lines[k])
			}
		}
	}
	for _, v := range values {
		if _, merge := v.Key.(*ast.MergeKeyNode); merge {
			continue
		}
		var k any
		if key, ok := v.Key.(*ast.MappingKeyNode); ok {
			k = r.value(key.Value, depth+1)
		} else {
			k = r.value(v.Key, depth+1)
		}
		key, ok := keyText(k)
		if !ok {
			return r.fail(v, "has a key that is neither text nor a number")
		}
		m.set(key, r.value(v.Value, depth+1), v.Key.GetToken().Position.Line)
		if _, text := k.(string); !text {
			m.odd[key] = true
		}
	}
	return m
}

// The forms of YAML 1.1, which Ansible reads: yes is true, 0644 is octal, and 22:30 is a number too.
var (
	boolForm   = regexp.MustCompile(`^(?:(yes|Yes|YES|true|True|TRUE|on|On|ON)|no|No|NO|false|False|FALSE|off|Off|OFF)$`)
	intForm    = regexp.MustCompile(`^[-+]?(?:0b[01_]+|0[0-7_]+|0|[1-9][0-9_]*|0x[0-9a-fA-F_]+|[1-9][0-9_]*(?::[0-5]?[0-9])+)$`)
	realForm   = regexp.MustCompile(`^(?:[-+]?[0-9][0-9_]*\.[0-9_]*(?:[eE][-+][0-9]+)?|\.[0-9][0-9_]*(?:[eE][-+][0-9]+)?|[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+\.[0-9_]*)$`)
	endlessRE  = regexp.MustCompile(`^(?:([-+]?)\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$`)
	nothingRE  = regexp.MustCompile(`^(?:~|null|Null|NULL|)$`)
	allRepeats = strings.NewReplacer("_", "")
)

func scalar(text string) any {
	switch {
	case nothingRE.MatchString(text):
		return nil
	case boolForm.MatchString(text):
		return boolForm.FindStringSubmatch(text)[1] != ""
	case intForm.MatchString(text):
		return yamlInt(allRepeats.Replace(text))
	case realForm.MatchString(text):
		return yamlFloat(allRepeats.Replace(text))
	case endlessRE.MatchString(text):
		switch m := endlessRE.FindStringSubmatch(text); {
		case !strings.HasSuffix(strings.ToLower(text), "inf"):
			return math.NaN()
		case m[1] == "-":
			return math.Inf(-1)
		}
		return math.Inf(1)
	}
	return text
}

func signed(text string) (digits string, negate bool) {
	digits, negate = strings.CutPrefix(text, "-")
	return strings.TrimPrefix(digits, "+"), negate
}

func yamlInt(text string) any {
	digits, negate := signed(text)
	var n any
	var err error
	switch {
	case strings.Contains(digits, ":"):
		sum := new(big.Int)
		for _, part := range strings.Split(digits, ":") {
			p, _ := new(big.Int).SetString(part, 10) // its form was matched
			sum.Add(sum.Mul(sum, big.NewInt(60)), p)
		}
		n, err = whole(sum.String(), 10)
	case strings.HasPrefix(digits, "0b"), strings.HasPrefix(digits, "0x"):
		n, err = whole(digits, 0)
	case strings.HasPrefix(digits, "0"):
		n, err = whole(strings.TrimLeft(digits, "0"), 8)
	default:
		n, err = whole(digits, 10)
	}
	if err != nil {
		return text
	}
	if negate {
		n = negative(n)
	}
	return n
}

func yamlFloat(text string) any {
	digits, negate := signed(text)
	sum := 0.0
	for _, part := range strings.Split(digits, ":") {
		f, err := strconv.ParseFloat(part, 64)
		if err != nil {
			return text
		}
		sum = sum*60 + f
	}
	if negate {
		sum = -sum
	}
	return sum
}

// yaml takes the groups of a file in YAML.
func (inv *Inventory) yaml(name string, groups *mapping) {
	for _, g := range groups.keys {
		if groups.odd[g] {
			inv.wrong(name, groups.lines[g], "the name of a group is no text: put quotes around it")
			continue
		}
		inv.yamlGroup(name, g, groups.values[g], groups.lines[g])
	}
}

// yamlGroup takes one group and those below. What is no group is passed over, as Ansible does.
func (inv *Inventory) yamlGroup(name, group string, value any, line int) bool {
	if group == "" {
		inv.wrong(name, line, "a group has an empty name")
		return false
	}
	body, ok := value.(*mapping)
	if !ok && value != nil {
		return false
	}
	g := inv.group(group)
	if body == nil {
		return true
	}
	section := func(key string) *mapping {
		switch v := body.values[key].(type) {
		case *mapping:
			return v
		case string:
			m := &mapping{values: map[string]any{}, lines: map[string]int{}, odd: map[string]bool{}}
			m.set(v, nil, body.lines[key])
			return m
		case nil:
		default:
			inv.wrong(name, body.lines[key], "%s of group %q is no mapping", key, group)
		}
		return &mapping{}
	}
	for _, key := range body.keys {
		switch key {
		case "vars":
			m := section(key)
			for _, v := range m.keys {
				inv.setVar(name, m.lines[v], group, v, plain(m.values[v]))
			}
		case "children":
			m := section(key)
			for _, child := range m.keys {
				if m.odd[child] {
					inv.wrong(name, m.lines[child], "the name of a group is no text: put quotes around it")
				} else if !inv.yamlGroup(name, child, m.values[child], m.lines[child]) {
					inv.wrong(name, m.lines[child], "%q, a child of %q, is no mapping of hosts, vars and children", child, group)
				} else {
					inv.addChild(name, m.lines[child], group, child)
				}
			}
		case "hosts":
			m := section(key)
			for _, pattern := range m.keys {
				inv.yamlHost(name, g, pattern, m)
			}
		}
	}
	return true
}

func (inv *Inventory) yamlHost(name string, g *Group, pattern string, m *mapping) {
	line := m.lines[pattern]
	vars, isMap := m.values[pattern].(*mapping)
	switch {
	case m.odd[pattern]:
		inv.wrong(name, line, "the name of a host is no text: put quotes around it")
		return
	case !isMap && !empty(m.values[pattern]):
		inv.wrong(name, line, "the variables of a host are no mapping: write key: value below it")
		return
	case pattern == "":
		inv.wrong(name, line, "a host has an empty name")
		return
	}
	hosts, port, err := expand(pattern)
	if err != nil {
		inv.wrong(name, line, "%v", err)
		return
	}
	for _, h := range hosts {
		inv.addHost(h, g, port)
		if vars == nil {
			continue
		}
		for _, k := range vars.keys {
			inv.setVar(name, vars.lines[k], h, k, plain(vars.values[k]))
		}
	}
}

// empty is what counts as nothing in Python.
func empty(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case string:
		return v == ""
	case bool:
		return !v
	case int64:
		return v == 0
	case float64:
		return v == 0
	case []any:
		return len(v) == 0
	}
	return false
}
