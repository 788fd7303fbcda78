package archive

import (
	"fmt"
	"math/big"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/column"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/google/uuid"
	"github.com/shopspring/decimal"

	"github.com/streamgauge/streamgauge/schemas"
)

// tableColumn is one column of table facts: the single place that says what goes into it. A test holds the list against the DDL and
// against the Avro schema of a fact, so that no field of a fact can be forgotten.
type tableColumn struct {
	name string
	kind string // ClickHouse type, as system.columns spells it
	from string // fields of the Avro schema it carries, by path; empty for what the archive itself knows
	fill fill
}

// fill appends one cell per row to a batch's column. It fails only on a value that fits refused to see, which is our bug.
type fill func(driver.BatchColumn, []row) error

// Enum types as system.columns spells them, built from the names in schemas.
var (
	sideType    = enumType(schemas.Sides)
	kindType    = enumType(schemas.Kinds)
	outcomeType = enumType(schemas.Outcomes)
	levelType   = enumType(schemas.Levels)
	stageType   = enumType(schemas.Stages)
	verdictType = enumType(schemas.Verdicts)
)

const (
	word   = "LowCardinality(String)"
	millis = "DateTime64(3, 'UTC')"
	money  = "Nullable(Decimal(18, 6))"
)

// columns are table facts' columns in the DDL's order.
var columns = []tableColumn{
	{"generation", "UInt16", "generation", cells(func(r *row) uint16 { return uint16(r.Generation) })},
	{"partition", "UInt16", "partition", cells(func(r *row) uint16 { return uint16(r.Partition) })},
	{"offset", "UInt64", "offset", cells(func(r *row) uint64 { return uint64(r.Offset) })},
	{"seq", "UInt16", "seq", cells(func(r *row) uint16 { return uint16(r.Seq) })},
	{"fact_offset", "UInt64", "", cells(func(r *row) uint64 { return uint64(r.factOffset) })},
	{"origin_topic", word, "event.origin.topic", cells(func(r *row) string { return r.Event.Origin.Topic })},
	{"origin_partition", "Int32", "event.origin.partition", cells(func(r *row) int32 { return r.Event.Origin.Partition })},
	{"origin_offset", "Int64", "event.origin.offset", cells(func(r *row) int64 { return r.Event.Origin.Offset })},
	{"organisation", word, "event.organisation", cells(func(r *row) string { return r.Event.Organisation })},
	{"team", word, "event.team", cells(func(r *row) string { return r.Event.Team })},
	{"source", word, "event.source", cells(func(r *row) string { return r.Event.Source })},
	{"customer", "String", "event.customer", cells(func(r *row) string { return r.Event.Customer })},
	{"event_id", "String", "event.id", cells(func(r *row) string { return r.Event.ID })},
	{"side", sideType, "event.side", cells(func(r *row) int8 { return int8(r.Event.Side) })},
	{"kind", kindType, "event.kind", cells(func(r *row) int8 { return int8(r.Event.Kind) })},
	{"outcome", outcomeType, "outcome", cells(func(r *row) int8 { return int8(r.Outcome) })},
	{"reason", word, "reason", cells(func(r *row) string { return r.Reason })},
	{"detail", "String", "detail", cells(func(r *row) string { return r.Detail })},
	{"late", "Bool", "late", cells(func(r *row) bool { return r.Late })},
	{"flags", "Array(" + word + ")", "event.flags", each(func(r *row) any { return orEmpty(r.Event.Flags) })},
	{"time", millis, "event.time", cells(func(r *row) int64 { return r.Event.Time })},
	{"appended", millis, "appended", cells(func(r *row) int64 { return r.Appended })},
	{"published", millis, "", cells(func(r *row) int64 { return r.published })},
	{"amount", money, "event.amount event.has_amount", cells(func(r *row) *decimal.Decimal { return amount(r.Event.Amount, r.Event.HasAmount) })},
	{"currency", word, "event.currency", cells(func(r *row) string { return r.Event.Currency })},
	{"base_amount", money, "base_amount has_base", cells(func(r *row) *decimal.Decimal { return amount(r.BaseAmount, r.HasBase) })},
	{"counterparty", "String", "event.counterparty", cells(func(r *row) string { return r.Event.Counterparty })},
	{"channel", word, "event.channel", cells(func(r *row) string { return r.Event.Channel })},
	{"country", word, "event.country", cells(func(r *row) string { return r.Event.Country })},
	{"state", word, "event.state", cells(func(r *row) string { return r.Event.State })},
	{"type", word, "event.type", cells(func(r *row) string { return r.Event.Type })},
	{"present", "UInt32", "event.present", cells(func(r *row) uint32 { return uint32(r.Event.Present) })},
	{"attributes", "Map(" + word + ", String)", "event.attributes.name event.attributes.value", each(func(r *row) any { return texts(r.Event.Attributes) })},
	{"control_version", "UInt32", "event.control.version", cells(func(r *row) uint32 { return uint32(r.Event.Control.Version) })},
	{"control_digest", "String", "event.control.digest", cells(func(r *row) string { return r.Event.Control.Digest })},
	{"config", "UInt32", "config", cells(func(r *row) uint32 { return uint32(r.Config) })},
	{"features", "Map(" + word + ", Decimal(38, 6))", "features.name features.value", each(func(r *row) any { return numbers(r.Features) })},
	{"assessment", "UUID", "assessment", cells(func(r *row) uuid.UUID { return r.assessment })},
	{"stage", stageType, "stage", cells(func(r *row) int8 { return int8(r.Stage) })},
	{"initial_level", levelType, "initial_level", cells(func(r *row) int8 { return int8(r.InitialLevel) })},
	{"final_level", levelType, "final_level", cells(func(r *row) int8 { return int8(r.FinalLevel) })},
	{"decision_type", word, "decision_type", cells(func(r *row) string { return r.DecisionType })},
	{"score", "Int32", "score", cells(func(r *row) int32 { return r.Score })},
	{"rules", "Array(" + word + ")", "rules.rule", list(ruleOf, func(v *schemas.RuleVerdict) string { return v.Rule })},
	{"versions", "Array(UInt32)", "rules.version", list(ruleOf, func(v *schemas.RuleVerdict) uint32 { return uint32(v.Version) })},
	{"outcomes", "Array(" + verdictType + ")", "rules.verdict", list(ruleOf, func(v *schemas.RuleVerdict) int8 { return int8(v.Verdict) })},
	{"notes", "Array(String)", "rules.note", list(ruleOf, func(v *schemas.RuleVerdict) string { return v.Note })},
	{"hits.rule", "Array(" + word + ")", "hits.rule", list(hitOf, func(h *schemas.HitExplained) string { return h.Rule })},
	{"hits.version", "Array(UInt32)", "hits.version", list(hitOf, func(h *schemas.HitExplained) uint32 { return uint32(h.Version) })},
	{"hits.level", "Array(" + levelType + ")", "hits.level", list(hitOf, func(h *schemas.HitExplained) int8 { return int8(h.Level) })},
	{"hits.score", "Array(Int32)", "hits.score", list(hitOf, func(h *schemas.HitExplained) int32 { return h.Score })},
	{"hits.shadow", "Array(Bool)", "hits.shadow", list(hitOf, func(h *schemas.HitExplained) bool { return h.Shadow })},
	{"hits.at_watermark", "Array(Bool)", "hits.at_watermark", list(hitOf, func(h *schemas.HitExplained) bool { return h.AtWatermark })},
	{"hits.reason", "Array(String)", "hits.reason", list(hitOf, func(h *schemas.HitExplained) string { return h.Reason })},
	{"hits.values", "Array(Map(String, String))", "hits.values.name hits.values.value", list(hitOf, func(h *schemas.HitExplained) texts { return h.Values })},
}

// namesAndTypes tells the driver the columns, so that it need not ask the server before every block.
var namesAndTypes = func() (c []clickhouse.ColumnNameAndType) {
	for _, t := range columns {
		c = append(c, clickhouse.ColumnNameAndType{Name: t.name, Type: t.kind})
	}
	return c
}()

func enumType(names []string) string {
	b := []byte("Enum8(")
	for i, n := range names {
		if i > 0 {
			b = append(b, ", "...)
		}
		b = fmt.Appendf(b, "'%s' = %d", n, i)
	}
	return string(append(b, ')'))
}

// cells fills a column of plain values in one call.
func cells[T any](get func(*row) T) fill {
	return func(c driver.BatchColumn, rows []row) error {
		values := make([]T, len(rows))
		for i := range rows {
			values[i] = get(&rows[i])
		}
		return c.Append(values)
	}
}

// each fills a column row by row: for arrays and maps this is the driver's way without reflection.
func each(get func(*row) any) fill {
	return func(c driver.BatchColumn, rows []row) error {
		for i := range rows {
			if err := c.AppendRow(get(&rows[i])); err != nil {
				return err
			}
		}
		return nil
	}
}

// list fills an array column with one property of every element of a fact's list.
func list[E, T any](elements func(*row) []E, get func(*E) T) fill {
	return func(c driver.BatchColumn, rows []row) error {
		var values []T
		for i := range rows {
			values = values[:0]
			es := elements(&rows[i])
			for j := range es {
				values = append(values, get(&es[j]))
			}
			if err := c.AppendRow(orEmpty(values)); err != nil {
				return err
			}
		}
		return nil
	}
}

// orEmpty keeps a nil slice from being taken for a missing value.
func orEmpty[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}

func ruleOf(r *row) []schemas.RuleVerdict { return r.Rules }
func hitOf(r *row) []schemas.HitExplained { return r.Hits }

func amount(micros int64, has bool) *decimal.Decimal {
	if !has {
		return nil
	}
	d := decimal.New(micros, -6)
	return &d
}

// texts is a fact's list of names and texts as the driver reads a map, in the fact's order.
type texts []schemas.Attribute

func (t texts) Iterator() column.MapIterator {
	return &pairs{n: len(t), at: -1, get: func(i int) (any, any) { return t[i].Name, t[i].Value }}
}

func (texts) Put(_, _ any) { panic("BUG: a fact's texts are only read") }

// numbers is a fact's features as the driver reads a map, in the fact's order.
type numbers []schemas.Feature

func (n numbers) Iterator() column.MapIterator {
	return &pairs{n: len(n), at: -1, get: func(i int) (any, any) { return n[i].Name, feature(n[i].Value) }}
}

func (numbers) Put(_, _ any) { panic("BUG: a fact's features are only read") }

func feature(v [16]byte) decimal.Decimal {
	a := schemas.Int128FromBytes(v)
	if small, ok := a.Int64(); ok {
		return decimal.New(small, -6)
	}
	neg := a.Sign() < 0
	if neg {
		a = a.Neg()
	}
	b := a.Bytes()
	i := new(big.Int).SetBytes(b[:])
	if neg {
		i.Neg(i)
	}
	return decimal.NewFromBigInt(i, -6)
}

type pairs struct {
	n, at int
	get   func(int) (key, value any)
}

func (p *pairs) Next() bool { p.at++; return p.at < p.n }
func (p *pairs) Key() any   { k, _ := p.get(p.at); return k }
func (p *pairs) Value() any { _, v := p.get(p.at); return v }
