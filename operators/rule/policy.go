package rule

import (
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/streamgauge/streamgauge/schemas"
)

// Never is a policy threshold above every level.
const Never = schemas.LevelExtreme + 1

// Policy says what follows from a level, and what counts. Compile fills in the defaults of DefaultPolicy.
type Policy struct {
	BaseCurrency string        // ISO 4217; what rules call amount is in it
	HumanFrom    schemas.Level // from this level on a human decides (pending); Never: policy decides everything
	RejectFrom   schemas.Level // from this level of a FRAUD rule on policy rejects; Never: policy accepts everything
	Slack        int64         // ms added to the longest window: how late an event may come
	// The local days of calendar windows and of daily; from the time zone data in the binary (ZonesVersion), never the machine's.
	Zone        *time.Location
	Counted     []string // states that count, upper case
	Uncounted   []string // states that do not
	CloudEvents CloudEvents
}

// CloudEvents says how operation results are published.
type CloudEvents struct {
	Prefix string // before every event type, with its trailing dot: "app.amlyze."
	Source string // the envelope's source
	Mode   string // structured or binary
}

// DefaultPolicy is the policy of a folder without one.
func DefaultPolicy() Policy {
	return Policy{
		BaseCurrency: "EUR",
		HumanFrom:    schemas.LevelHigh,
		RejectFrom:   Never,
		Slack:        day,
		Zone:         time.UTC,
		Counted:      []string{"SUCCESSFUL", "EXECUTED", "CREATED", "PROCESSING", "SENT"},
		Uncounted:    []string{"DECLINED", "REFUSED", "EXPIRED", "FAILED", "REVERSED", "REFUNDED", "SUSPENDED"},
		CloudEvents:  CloudEvents{Prefix: "app.amlyze.", Source: "customer", Mode: Structured},
	}
}

// Counts reports whether an event in the state counts in windows; one without a state does.
func (p *Policy) Counts(state string, given bool) bool {
	return !given || !slices.Contains(p.Uncounted, state)
}

// KnownState reports whether the policy says of the state whether it counts.
func (p *Policy) KnownState(state string) bool {
	return slices.Contains(p.Counted, state) || slices.Contains(p.Uncounted, state)
}

// The modes of CloudEvents.
const (
	Structured = "structured"
	Binary     = "binary"
)

func (p *Policy) states() []string { return slices.Concat(p.Counted, p.Uncounted) }

var (
	policyKeys      = []string{"base_currency", "human_from", "reject_from", "slack", "time_zone", "counted", "uncounted", "cloudevents"}
	laterPolicyKeys = []string{"unknown_customer", "rates", "levels", "lists"}
	levelsOrNever   = append(schemas.Levels[schemas.LevelLow:len(schemas.Levels):len(schemas.Levels)], "never")
)

// readPolicy fills the Set's policy from the folder's, over the defaults.
func (r *reader) readPolicy() {
	p := &r.set.Policy
	for i, d := range r.policies {
		if i > 0 {
			d.at(d.node, "`policy` is there twice, first in %s:%d", r.policies[0].name, r.policies[0].node.Line)
			continue
		}
		d.optional("base_currency", func(n *yaml.Node) {
			if p.BaseCurrency = d.words(n, "`base_currency`"); !currency.MatchString(p.BaseCurrency) {
				d.at(n, "`base_currency` is an ISO 4217 code like EUR, not `%s`", clip(p.BaseCurrency))
			}
		})
		d.optional("human_from", func(n *yaml.Node) { p.HumanFrom = d.level(n, "`human_from`") })
		d.optional("reject_from", func(n *yaml.Node) {
			if p.RejectFrom = d.level(n, "`reject_from`"); p.RejectFrom != Never && p.RejectFrom >= p.HumanFrom {
				d.at(n, "`reject_from: %s` never applies: from %s on a human decides", p.RejectFrom, p.HumanFrom)
			}
		})
		d.optional("slack", func(n *yaml.Node) { p.Slack = d.slack(n) })
		d.optional("time_zone", func(n *yaml.Node) { p.Zone = d.zone(n) })
		d.optional("counted", func(n *yaml.Node) { p.Counted = d.states(n, "`counted`") })
		d.optional("uncounted", func(n *yaml.Node) { p.Uncounted = d.states(n, "`uncounted`") })
		for _, s := range p.Counted {
			if slices.Contains(p.Uncounted, s) {
				d.at(d.node, "the state %s is both `counted` and `uncounted`", s)
			}
		}
		d.optional("cloudevents", func(n *yaml.Node) { d.cloudEvents(n, &p.CloudEvents) })
	}
}

// level reads a policy threshold.
func (d *document) level(n *yaml.Node, what string) schemas.Level {
	if n.Value == schemas.LevelNone.String() {
		d.at(n, "%s: NONE would be every event; write LOW, or never", what)
		return Never
	}
	return schemas.LevelLow + schemas.Level(d.choice(n, what, levelsOrNever))
}

func (d *document) slack(n *yaml.Node) int64 {
	s := d.words(n, "`slack`")
	ms, ok, err := parseDuration(s)
	switch {
	case err != nil:
		d.at(n, "`slack`: %v", err)
	case !ok:
		d.at(n, "`slack` is a duration like 24h, not `%s`", clip(s))
	case ms > maxSlack:
		d.at(n, "`slack` is at most %s, not %s: every event is retained that much longer", formatDuration(maxSlack), formatDuration(ms))
	}
	return ms
}

// zone reads a time zone; UTC after a mistake.
func (d *document) zone(n *yaml.Node) *time.Location {
	name := d.words(n, "`time_zone`")
	if z := loadZone(name); z != nil {
		return z
	}
	d.at(n, "`time_zone` is an IANA name like Europe/Vilnius (data %s), not `%s`%s", ZonesVersion, clip(name), didYouMean(name, zoneNames()))
	return time.UTC
}

func (d *document) states(n *yaml.Node, what string) []string {
	all := d.texts(n, what)
	for _, s := range all {
		if !stateName.MatchString(s) {
			d.at(n, "%s: `%s` is no state: upper-case letters, digits and _", what, clip(s))
		}
	}
	return all
}

func (d *document) cloudEvents(n *yaml.Node, ce *CloudEvents) {
	inner := document{d.file, n, d.mapping(n, "`cloudevents`", []string{"prefix", "source", "mode"}, nil)}
	inner.optional("prefix", func(n *yaml.Node) { ce.Prefix = strings.TrimSuffix(d.words(n, "`prefix`"), ".") + "." })
	inner.optional("source", func(n *yaml.Node) { ce.Source = d.words(n, "`source`") })
	inner.optional("mode", func(n *yaml.Node) {
		modes := []string{Structured, Binary}
		ce.Mode = modes[d.choice(n, "`mode`", modes)]
	})
}
