package oracle

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/streamgauge/streamgauge/schemas"
)

// Config is what the oracle must know of the configuration in force: the caller says it, so that no code of the engine does.
type Config struct {
	Retention    int64          // ms; longest window plus slack
	BaseCurrency string         // ISO 4217
	Zone         *time.Location // of calendar windows and local days; nil: UTC
	Counted      []string       // states whose events count; upper case
	Uncounted    []string       // states whose events do not; an event with a state in neither list is rejected
	Features     []Feature      // in the order of the facts
	Rules        []string       // ids of the library's rules in force, in the order of the facts; nil: none
	Own          []Rule         // rules beside the library's, behind them in the facts
	Others       bool           // the configuration holds more rules and features than these: they, levels and stages are not compared
	HumanFrom    schemas.Level  // from this level on a human decides; above EXTREME: never
	Generation   int32          // of the topology, from 1
	Prefix       string         // of CloudEvents' types, with or without its last dot: "app.amlyze"
	Once         bool           // late events are judged at their own time alone, not at the watermark too
	Rejections   bool           // the Checker gets topic rejected as well: it must hold what monitor rejected, and nothing more
}

// Default is the built-in library with its policy, features and five rules. Its retention is 31 days: the longest window, 30 days, and a
// day's slack.
func Default() Config {
	cfg := Config{
		Retention: 31 * day, BaseCurrency: "EUR", HumanFrom: schemas.LevelHigh, Generation: 1, Prefix: "app.amlyze",
		Counted:   []string{"SUCCESSFUL", "EXECUTED", "CREATED", "PROCESSING", "SENT"},
		Uncounted: []string{"DECLINED", "REFUSED", "EXPIRED", "FAILED", "REVERSED", "REFUNDED", "SUSPENDED"},
		Rules:     RuleIDs(),
	}
	for _, side := range []schemas.Side{schemas.SideOut, schemas.SideIn} {
		for _, f := range []struct {
			name string
			fn   Func
		}{{"n", Count}, {"sum", Sum}} {
			for _, days := range []int64{1, 7, 30} {
				cfg.Features = append(cfg.Features, Feature{
					Name: fmt.Sprintf("%s_%s_%dd", strings.ToLower(side.String()), f.name, days), Func: f.fn, Window: days * day, Side: side,
				})
			}
		}
	}
	return cfg
}

const (
	minute = int64(60_000) // ms
	hour   = 60 * minute
	day    = 24 * hour
)

// rules are all rules in force, in the order of the facts.
func (c *Config) rules() (list []*Rule, err error) {
	var bad []error
	for _, id := range c.Rules {
		r, ok := libraryRule(id)
		if !ok {
			bad = append(bad, fmt.Errorf("rule %q: the oracle knows %v", id, RuleIDs()))
			continue
		}
		list = append(list, r)
	}
	for i := range c.Own {
		list = append(list, &c.Own[i])
	}
	return list, errors.Join(bad...)
}

// validate returns the rules in force, and every mistake at once.
func (c *Config) validate() (rules []*Rule, err error) {
	var bad []error
	add := func(err error) {
		if err != nil {
			bad = append(bad, err)
		}
	}
	if c.Retention <= 0 {
		add(fmt.Errorf("retention %d ms: must be above 0", c.Retention))
	}
	if c.BaseCurrency == "" {
		add(errors.New(`base currency "": must be given, such as EUR`))
	}
	fits := func(what string, f *Feature) {
		if reach := f.reach(); reach > c.Retention {
			add(fmt.Errorf("%s: window of %d ms is longer than the retention of %d ms", what, reach, c.Retention))
		}
	}
	names := map[string]bool{}
	for i := range c.Features {
		f := &c.Features[i]
		if f.Name == "" {
			add(fmt.Errorf("feature of %s: a name is missing", f.Func))
		}
		if names[f.Name] {
			add(fmt.Errorf("feature %q: given twice", f.Name))
		}
		names[f.Name] = true
		if f.text() {
			add(fmt.Errorf("feature %s: %s is a text, which facts do not hold", f.Name, f.Func))
		}
		add(f.validate("feature " + f.Name))
		fits("feature "+f.Name, f)
	}
	rules, err = c.rules()
	add(err)
	for _, r := range rules {
		if names[r.ID] || r.ID == "" || r.Judge == nil {
			add(fmt.Errorf("rule %q: needs an id of its own and a judgement", r.ID))
		}
		names[r.ID] = true
		for i := range r.Reads {
			add(r.Reads[i].validate("rule " + r.ID))
			fits("rule "+r.ID, &r.Reads[i])
		}
	}
	if len(bad) > 0 {
		return nil, fmt.Errorf("oracle: %w", errors.Join(bad...))
	}
	return rules, nil
}
