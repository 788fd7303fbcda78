package archive

import (
	"encoding/json"
	"fmt"
	"math/big"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/shopspring/decimal"

	"github.com/streamgauge/streamgauge/schemas"
)

func TestColumns_AreTheTablesWithACommentEach(t *testing.T) {
	b := newBed(t, 1, engineURL(t)).migrated()
	found, err := b.conn.Query(t.Context(), "SELECT table, name, type, comment FROM system.columns WHERE database = '"+b.cfg.Database+
		"' AND table IN ('facts', 'schema_migrations') ORDER BY table, position")
	if err != nil {
		t.Fatal(err)
	}
	defer found.Close()
	var facts []tableColumn
	for found.Next() {
		var table, name, kind, comment string
		if err := found.Scan(&table, &name, &kind, &comment); err != nil {
			t.Fatal(err)
		}
		if comment == "" {
			t.Errorf("%s.%s has no comment", table, name)
		}
		if table == "facts" {
			facts = append(facts, tableColumn{name: name, kind: kind})
		}
	}
	if len(facts) != len(columns) {
		t.Fatalf("table has %d columns, columns.go %d", len(facts), len(columns))
	}
	for i, c := range columns {
		if facts[i].name != c.name || facts[i].kind != c.kind {
			t.Errorf("column %d is %s %s in the table, %s %s in columns.go", i, facts[i].name, facts[i].kind, c.name, c.kind)
		}
	}
}

func TestColumns_CarryEveryFieldOfAFact(t *testing.T) {
	var schema any
	if err := json.Unmarshal([]byte(schemas.Facts.Codec.Schema()), &schema); err != nil {
		t.Fatal(err)
	}
	var want, got []string
	leaves(schema, map[string]any{}, "", &want)
	for _, c := range columns {
		got = append(got, strings.Fields(c.from)...)
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(want, got) {
		t.Errorf("Avro fields of a fact:\n%q\nfields that columns carry:\n%q", want, got)
	}
	if len(want) < 45 {
		t.Errorf("only %d fields in the schema: does the test still read it?", len(want))
	}
}

// leaves collects the paths of an Avro schema's fields that are no records themselves.
func leaves(schema any, named map[string]any, path string, into *[]string) {
	s, ok := schema.(map[string]any)
	if name, isName := schema.(string); isName && named[name] != nil {
		s, ok = named[name].(map[string]any)
	}
	if ok && s["name"] != nil {
		named[fmt.Sprint(s["name"])], named["streamgauge."+fmt.Sprint(s["name"])] = s, s
	}
	switch {
	case ok && s["type"] == "record":
		for _, f := range s["fields"].([]any) {
			field := f.(map[string]any)
			leaves(field["type"], named, strings.TrimPrefix(path+"."+field["name"].(string), "."), into)
		}
	case ok && s["type"] == "array":
		leaves(s["items"], named, path, into)
	default:
		*into = append(*into, path)
	}
}

func TestArchive_EveryColumnComesBackAsItWasSent(t *testing.T) {
	const n = 6000
	b := newBed(t, 2, engineURL(t))
	sent := map[place]time.Time{}
	for partition := range int32(2) {
		b.produce(partition, b.generate(partition, n)...)
		for _, r := range b.fetch(partition, 0, n) {
			var v row
			if err := v.decode(r); err != nil {
				t.Fatal(err)
			}
			sent[v.place()] = r.Timestamp
		}
	}
	a := b.start(nil)
	b.exact()
	a.stop()
	back := b.readFacts()
	if len(back) != 2*n {
		t.Fatalf("%d facts came back, %d were sent", len(back), 2*n)
	}
	for _, r := range back {
		want := b.sent[r.place()]
		if want == nil {
			t.Fatalf("a fact came back that was not sent: %+v", r.Fact)
		}
		if !reflect.DeepEqual(&r.Fact, want) {
			t.Fatalf("came back\n%+v\nwas sent\n%+v", r.Fact, *want)
		}
		if r.factOffset != want.Offset || r.published != sent[r.place()].UnixMilli() { // the two logs have the same offsets here
			t.Fatalf("fact offset %d published %d, want %d %d", r.factOffset, r.published, want.Offset, sent[r.place()].UnixMilli())
		}
	}
}

// readFacts makes facts of the table's rows again: what bootstrap must be able to do.
func (b *bed) readFacts() (back []row) {
	b.t.Helper()
	found, err := b.conn.Query(b.t.Context(), `SELECT generation, partition, offset, seq, fact_offset, origin_topic, origin_partition, origin_offset,
		organisation, team, source, customer, event_id, side, kind, outcome, reason, detail, late, flags, time, appended, published,
		amount, currency, base_amount, counterparty, channel, country, state, type, present, mapKeys(attributes), mapValues(attributes),
		control_version, control_digest, config, mapKeys(features), mapValues(features), assessment, stage, initial_level, final_level,
		decision_type, score, rules, versions, outcomes, notes, hits.rule, hits.version, hits.level, hits.score, hits.shadow, hits.at_watermark, hits.reason,
		arrayMap(m -> mapKeys(m), hits.values), arrayMap(m -> mapValues(m), hits.values)
		FROM `+b.cfg.Database+`.facts`)
	if err != nil {
		b.t.Fatal(err)
	}
	defer found.Close()
	for found.Next() {
		var s scanned
		if err := found.Scan(&s.generation, &s.partition, &s.offset, &s.seq, &s.factOffset, &s.e.Origin.Topic, &s.e.Origin.Partition, &s.e.Origin.Offset,
			&s.e.Organisation, &s.e.Team, &s.e.Source, &s.e.Customer, &s.e.ID, &s.side, &s.kind, &s.outcome, &s.f.Reason, &s.f.Detail, &s.f.Late, &s.flags,
			&s.time, &s.appended, &s.published, &s.amount, &s.e.Currency, &s.base, &s.e.Counterparty, &s.e.Channel, &s.e.Country, &s.e.State, &s.e.Type,
			&s.present, &s.attributeNames, &s.attributeValues, &s.controlVersion, &s.e.Control.Digest, &s.config, &s.featureNames, &s.featureValues,
			&s.assessment, &s.stage, &s.initial, &s.final, &s.f.DecisionType, &s.f.Score, &s.rules, &s.versions, &s.outcomes, &s.notes,
			&s.hitRules, &s.hitVersions, &s.hitLevels, &s.hitScores, &s.hitShadows, &s.hitAtWatermark, &s.hitReasons, &s.hitNames, &s.hitValues); err != nil {
			b.t.Fatal(err)
		}
		back = append(back, s.row())
	}
	if err := found.Err(); err != nil {
		b.t.Fatal(err)
	}
	return back
}

// scanned is one row of the table as the driver gives it.
type scanned struct {
	f                                          schemas.Fact
	e                                          schemas.Event
	generation, partition, seq                 uint16
	offset, factOffset                         uint64
	side, kind, outcome, stage, initial, final string
	flags                                      []string
	time, appended, published                  time.Time
	amount, base                               *decimal.Decimal
	present, controlVersion, config            uint32
	attributeNames, attributeValues            []string
	featureNames                               []string
	featureValues                              []decimal.Decimal
	assessment                                 uuid.UUID
	rules, outcomes, notes                     []string
	versions                                   []uint32
	hitRules, hitLevels, hitReasons            []string
	hitVersions                                []uint32
	hitScores                                  []int32
	hitShadows, hitAtWatermark                 []bool
	hitNames, hitValues                        [][]string
}

func (s *scanned) row() row {
	f, e := s.f, s.e
	f.Generation, f.Partition, f.Offset, f.Seq = int32(s.generation), int32(s.partition), int64(s.offset), int32(s.seq)
	f.Appended, e.Time = s.appended.UnixMilli(), s.time.UnixMilli()
	e.Side, e.Kind = schemas.Side(slices.Index(schemas.Sides, s.side)), schemas.Kind(slices.Index(schemas.Kinds, s.kind))
	f.Outcome, f.Stage = schemas.Outcome(slices.Index(schemas.Outcomes, s.outcome)), schemas.Stage(slices.Index(schemas.Stages, s.stage))
	f.InitialLevel, f.FinalLevel = levelOf(s.initial), levelOf(s.final)
	e.Amount, e.HasAmount = micros(s.amount)
	f.BaseAmount, f.HasBase = micros(s.base)
	e.Present, e.Control.Version, f.Config = int32(s.present), int32(s.controlVersion), int32(s.config)
	e.Attributes = zip(s.attributeNames, s.attributeValues)
	if len(s.flags) > 0 {
		e.Flags = s.flags
	}
	for i, name := range s.featureNames {
		f.Features = append(f.Features, schemas.Feature{Name: name, Value: wideOf(s.featureValues[i])})
	}
	if s.assessment != (uuid.UUID{}) {
		f.Assessment = s.assessment.String()
	}
	for i, rule := range s.rules {
		f.Rules = append(f.Rules, schemas.RuleVerdict{Rule: rule, Version: int32(s.versions[i]),
			Verdict: schemas.Verdict(slices.Index(schemas.Verdicts, s.outcomes[i])), Note: s.notes[i]})
	}
	for i, rule := range s.hitRules {
		f.Hits = append(f.Hits, schemas.HitExplained{Rule: rule, Version: int32(s.hitVersions[i]), Level: levelOf(s.hitLevels[i]),
			Score: s.hitScores[i], Shadow: s.hitShadows[i], AtWatermark: s.hitAtWatermark[i], Reason: s.hitReasons[i], Values: zip(s.hitNames[i], s.hitValues[i])})
	}
	f.Event = e
	return row{Fact: f, factOffset: int64(s.factOffset), published: s.published.UnixMilli(), assessment: s.assessment}
}

func levelOf(name string) schemas.Level { return schemas.Level(slices.Index(schemas.Levels, name)) }

func zip(names, values []string) (as []schemas.Attribute) {
	for i := range names {
		as = append(as, schemas.Attribute{Name: names[i], Value: values[i]})
	}
	return as
}

func micros(d *decimal.Decimal) (int64, bool) {
	if d == nil {
		return 0, false
	}
	return d.Shift(6).IntPart(), true
}

func wideOf(d decimal.Decimal) (v [16]byte) {
	i := d.Shift(6).BigInt()
	if i.Sign() < 0 {
		i.Add(i, new(big.Int).Lsh(big.NewInt(1), 128))
	}
	i.FillBytes(v[:])
	return v
}

func TestRow_RefusesWhatAColumnCannotHold(t *testing.T) {
	for name, spoil := range map[string]func(*schemas.Fact){
		"generation -1 is outside":      func(f *schemas.Fact) { f.Generation = -1 },
		"partition 65536 is outside":    func(f *schemas.Fact) { f.Partition = 65536 },
		"offset -1 is outside":          func(f *schemas.Fact) { f.Offset = -1 },
		"seq 65536 is outside":          func(f *schemas.Fact) { f.Seq = 65536 },
		"time -1 is outside":            func(f *schemas.Fact) { f.Event.Time = -1 },
		"appended 9999999999999 is":     func(f *schemas.Fact) { f.Appended = 9999999999999 },
		"amount 1000000000000000000":    func(f *schemas.Fact) { f.Event.Amount = schemas.MaxAmount + 1 },
		"base_amount -1000000000000000": func(f *schemas.Fact) { f.BaseAmount = -schemas.MaxAmount - 1 },
		"control version -2 is":         func(f *schemas.Fact) { f.Event.Control.Version = -2 },
		"config -3 is":                  func(f *schemas.Fact) { f.Config = -3 },
		"version of a rule -1":          func(f *schemas.Fact) { f.Rules = []schemas.RuleVerdict{{Version: -1}} },
		"version of a hit's rule -1":    func(f *schemas.Fact) { f.Hits = []schemas.HitExplained{{Version: -1}} },
		"feature x has more than 38":    func(f *schemas.Fact) { f.Features = []schemas.Feature{{Name: "x", Value: ten38.Bytes()}} },
		"feature y has more than 38":    func(f *schemas.Fact) { f.Features = []schemas.Feature{{Name: "y", Value: ten38.Neg().Bytes()}} },
		"is not a guid":                 func(f *schemas.Fact) { f.Assessment = "{6ba7b810-9dad-11d1-80b4-00c04fd430c8}" },
	} {
		f := plainFact(0, 7)
		spoil(f)
		r := row{Fact: *f}
		if err := r.fits(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	r := row{Fact: *plainFact(0, 7)}
	if err := r.fits(); err != nil {
		t.Error(err)
	}
}
