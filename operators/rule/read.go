package rule

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/streamgauge/streamgauge/schemas"
)

var (
	ruleKeys  = []string{"id", "version", "name", "nature", "tags", "on", "params", "when", "level", "score", "reason", "mode"}
	laterKeys = []string{"paramsByRisk", "let", "minHistory", "cooldown", "sequence", "needs", "ceiling", "autoApply", "snooze"}

	ruleID     = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_.-]{0,63}$`)
	identifier = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,63}$`)
	currency   = regexp.MustCompile(`^[A-Z]{3}$`)
	stateName  = regexp.MustCompile(`^[A-Z][A-Z0-9_]{0,63}$`)
)

// reader turns documents into a Set. The steps are Compile's.
type reader struct {
	*mistakes
	set   *Set
	scope *scope

	rules    []document
	features []document
	policies []document
}

// document is a part of a file: a rule, one feature, a policy.
type document struct {
	*file
	node *yaml.Node
	keys map[string]entry
}

// take sorts the file's documents into rules, features and policies.
func (r *reader) take(sf *schemas.SnapshotFile) {
	f, docs := documents(sf, r.mistakes)
	for _, n := range docs {
		keys := f.mapping(n, "a document", slices.Concat(ruleKeys, []string{"features", "policy"}), laterKeys)
		if e, ok := keys["features"]; ok {
			for _, n := range f.list(e.value, "`features`") {
				r.features = append(r.features, document{f, n, f.mapping(n, "a feature", []string{"name", "expr"}, nil)})
			}
			delete(keys, "features")
		}
		if e, ok := keys["policy"]; ok {
			r.policies = append(r.policies, document{f, e.value, f.mapping(e.value, "`policy`", policyKeys, laterPolicyKeys)})
			delete(keys, "policy")
		}
		if len(keys) > 0 {
			r.rules = append(r.rules, document{f, n, keys})
		}
	}
}

// readFeatures compiles the features, each after those that it reads.
func (r *reader) readFeatures() {
	sc := r.scope
	var pending []*expression
	first := map[string]int{}
	for _, d := range r.features {
		name, ok := d.required("a feature", "name")
		if _, has := d.required("a feature", "expr"); !ok || !has {
			continue
		}
		id := d.words(name, "`name`")
		if at, twice := sc.featureIndex[id]; twice {
			d.at(name, "the feature `%s` is there twice, first in %s:%d", clip(id), sc.features[at].File, first[id])
			continue
		}
		if !identifier.MatchString(id) {
			d.at(name, "`%s` is no feature name: letters, digits and _, 64 at most, a letter first", clip(id))
			continue
		}
		n := d.keys["expr"].value
		text, ok := d.scalar(n, "`expr`")
		if !ok {
			continue
		}
		sc.featureIndex[id], first[id] = len(sc.features), name.Line
		sc.features = append(sc.features, &Feature{Name: id, Expr: strings.TrimSpace(text), File: d.name})
		pending = append(pending, newExpression(d.file, n, nil, sc))
	}
	if len(sc.features) > MaxFeatures {
		r.add("", 0, 0, "%d features; %d are allowed", len(sc.features), MaxFeatures)
		return
	}
	done := make([]uint8, len(pending))
	for i := range pending {
		r.feature(i, pending, done, nil)
	}
	r.set.Features = sc.features
}

// feature compiles the i-th pending feature after those that it reads; path are the features that wait for it.
func (r *reader) feature(i int, pending []*expression, done []uint8, path []string) {
	const open, closed = 1, 2
	ft, x := r.scope.features[i], pending[i]
	path = append(path, ft.Name)
	switch done[i] {
	case closed:
		return
	case open:
		x.bad = true
		x.at(x.node, "the feature reads itself: %s", strings.Join(path[slices.Index(path, ft.Name):], " → "))
		return
	}
	done[i] = open
	for _, name := range x.references() {
		if j, ok := r.scope.featureIndex[name]; ok {
			r.feature(j, pending, done, path)
		}
	}
	done[i] = closed
	x.check("a feature must be a number (int, money, double or duration)", Int, Money, Double, Duration)
	if x.bad {
		return
	}
	ft.Kind = x.kind(x.tree.Expr())
	ft.compute = x.compileFeature(ft.Kind)
	ft.slots = x.slots()
	r.set.featureOrder = append(r.set.featureOrder, i)
}

func (r *reader) readRules() {
	ids, judged := map[string]string{}, 0
	for _, d := range r.rules {
		rule, n := r.rule(d)
		if rule.ID != "" {
			if at, twice := ids[rule.ID]; twice {
				d.at(n, "the rule `%s` is there twice, first in %s", clip(rule.ID), at)
			}
			ids[rule.ID] = fmt.Sprintf("%s:%d", d.name, n.Line)
		}
		r.set.Rules = append(r.set.Rules, rule)
		if rule.Mode != Off {
			judged++
			r.set.add(rule)
		}
		if rule.Nature == Fraud {
			r.set.fraud[rule.ID] = true
		}
	}
	if judged > MaxRules {
		r.add("", 0, 0, "%d live and shadow rules; %d are allowed", judged, MaxRules)
	}
}

// rule reads and compiles one rule and returns it with the node of its id.
func (r *reader) rule(d document) (*Rule, *yaml.Node) {
	rule := &Rule{File: d.name, Version: 1, On: []schemas.Kind{schemas.KindPayment, schemas.KindTransaction}}
	id, _ := d.required("a rule", "id")
	if id != nil {
		if rule.ID = d.words(id, "`id`"); !ruleID.MatchString(rule.ID) {
			d.at(id, "`%s` is no rule id: letters, digits and _ . -, 64 at most, a letter first", clip(rule.ID))
		}
	}
	rule.Name = rule.ID
	d.optional("version", func(n *yaml.Node) { rule.Version = int32(d.int(n, "`version`", 1, 1<<31-1)) })
	d.optional("name", func(n *yaml.Node) { rule.Name = d.words(n, "`name`") })
	d.optional("nature", func(n *yaml.Node) { rule.Nature = Nature(d.choice(n, "`nature`", Natures)) })
	d.optional("mode", func(n *yaml.Node) { rule.Mode = Mode(d.choice(n, "`mode`", Modes)) })
	d.optional("score", func(n *yaml.Node) { rule.Score = int32(d.int(n, "`score`", 0, maxScore)) })
	d.optional("tags", func(n *yaml.Node) { rule.Tags = d.texts(n, "`tags`") })
	d.optional("on", func(n *yaml.Node) { rule.On = d.kinds(n) })
	for _, k := range rule.On {
		rule.kinds |= 1 << k
	}
	if n, ok := d.required("a rule", "level"); ok {
		rule.Level = schemas.Level(d.choice(n, "`level`", schemas.Levels))
	}
	params := map[string]constant{}
	d.optional("params", func(n *yaml.Node) { params = d.params(n) })
	if n, ok := d.required("a rule", "when"); ok {
		if when, ok := d.scalar(n, "`when`"); ok {
			rule.When = strings.TrimSpace(when)
			r.condition(rule, d, n, params)
		}
	}
	return rule, id
}

// condition compiles the rule's condition and reason. An off rule is checked like any other, and planned nowhere.
func (r *reader) condition(rule *Rule, d document, n *yaml.Node, params map[string]constant) {
	sc := *r.scope
	if rule.Mode == Off {
		sc.planner = newPlanner()
	}
	x := newExpression(d.file, n, params, &sc)
	x.check("`when` must be a condition (a bool)", Bool)
	if !x.bad {
		rule.holds = (&compiler[Frame]{x, &frameAccess}).boolean(x.tree.Expr())
		rule.measured = x.measured
	}
	if rule.Mode != Off {
		rule.Slots = x.slots()
	}
	rule.reason = []part{{text: rule.Name}}
	d.optional("reason", func(n *yaml.Node) {
		rule.Reason = d.words(n, "`reason`")
		if !x.bad {
			rule.reason = x.template(n)
		}
	})
}

// finish completes the plan.
func (r *reader) finish() {
	p := r.scope.planner
	for _, s := range p.all() {
		if b := s.beyond; b != nil {
			r.add(b.File, b.Line, b.Column, "the folder needs %d distinct %s; %d are possible: share conditions and windows over rules, or turn rules off",
				len(s.index), s.what, s.limit)
		}
	}
	slices.SortFunc(p.plan.Columns, Column.Compare)
	r.set.Plan, r.set.notes = p.plan, make([]said, len(p.notes))
	for i, n := range p.notes {
		r.set.notes[i] = n.said()
	}
	r.set.Plan.Retention = p.plan.Longest + r.set.Policy.Slack
}

// required returns the value of a key that must be there.
func (d *document) required(what, key string) (*yaml.Node, bool) {
	e, ok := d.keys[key]
	if !ok && d.keys != nil {
		d.at(d.node, "%s needs the key `%s`", what, key)
	}
	return e.value, ok
}

func (d *document) optional(key string, read func(*yaml.Node)) {
	if e, ok := d.keys[key]; ok {
		read(e.value)
	}
}

// kinds reads `on`.
func (d *document) kinds(n *yaml.Node) (kinds []schemas.Kind) {
	names := []string{schemas.KindPayment.String(), schemas.KindTransaction.String()}
	list := d.list(n, "`on`")
	if n.Kind == yaml.SequenceNode && len(list) == 0 {
		d.at(n, "`on` is empty: the rule would judge nothing; `mode: off` says so")
	}
	for _, e := range list {
		if slices.Contains(schemas.Kinds[schemas.KindRecord:], e.Value) {
			d.at(e, "`on: %s` is not available in this version", e.Value)
			continue
		}
		kinds = append(kinds, schemas.KindPayment+schemas.Kind(d.choice(e, "`on`", names)))
	}
	return kinds
}

// params reads a rule's parameters: whole numbers, decimals, durations, texts, true and false, and lists of texts or whole numbers.
func (d *document) params(n *yaml.Node) map[string]constant {
	params := map[string]constant{}
	for name, e := range d.mapping(n, "`params`", nil, nil) {
		if !identifier.MatchString(name) {
			d.at(e.key, "`%s` is no parameter name: letters, digits and _, 64 at most, a letter first", clip(name))
			continue
		}
		params[name] = d.param(e.value, "`params."+name+"`")
	}
	return params
}

func (d *document) param(n *yaml.Node, what string) (c constant) {
	if n.Kind == yaml.SequenceNode {
		for _, e := range d.list(n, what) {
			v := d.param(e, "an element of "+what)
			if v.kind == Duration {
				v = textConstant(e.Value)
			}
			if v.kind != Text && v.kind != Int || len(c.list) > 0 && c.list[0].kind != v.kind {
				d.at(e, "%s is a list of texts or of whole numbers", what)
				return constant{}
			}
			c.list = append(c.list, v)
		}
		if len(c.list) == 0 {
			d.at(n, "%s is empty", what)
		}
		return c
	}
	if _, ok := d.scalar(n, what); !ok {
		return c
	}
	switch n.Tag {
	case "!!int":
		if i, err := strconv.ParseInt(n.Value, 10, 64); err == nil {
			return intConstant(i)
		}
		d.at(n, "%s: `%s` is no whole number of 64 bits", what, clip(n.Value))
	case "!!float":
		if r, ok := parseDecimal(n.Value); ok {
			return decimalConstant(r)
		}
		d.at(n, "%s: `%s` is no decimal number in range", what, clip(n.Value))
	case "!!bool":
		return boolConstant(n.Value[0]|0x20 == 't')
	default:
		ms, ok, err := parseDuration(n.Value)
		if err != nil {
			d.at(n, "%s: %v", what, err)
		} else if ok {
			return durationConstant(ms)
		} else {
			return textConstant(d.words(n, what))
		}
	}
	return c
}
