package archive

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/google/uuid"

	"github.com/streamgauge/streamgauge/schemas"
)

// base is a log time for made-up facts: three days before the tests run, in the middle of a day, so that no TTL touches them.
var base = time.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, -3).Add(12 * time.Hour).UnixMilli()

// fakeFact makes the fact of one place, always the same one for the same place. It visits every corner of every field's range.
func fakeFact(partition int32, offset int64) *schemas.Fact {
	r := rand.New(rand.NewPCG(uint64(partition), uint64(offset)))
	f := &schemas.Fact{Generation: 1, Partition: partition, Offset: offset, Seq: int32(r.IntN(3) / 2), Appended: base + offset, Event: fakeEvent(r, offset),
		Outcome: schemas.Outcome(1 + r.IntN(5)), Reason: pick(r, "", "redelivery", "conflict"), Detail: text(r), Late: r.IntN(9) == 0,
		BaseAmount: money64(r), HasBase: r.IntN(5) > 0, Config: r.Int32N(1000)}
	if !f.HasBase {
		f.BaseAmount = 0
	}
	for i := range r.IntN(7) {
		f.Features = append(f.Features, schemas.Feature{Name: fmt.Sprintf("f%d", i), Value: wide(r)})
	}
	if f.Outcome != schemas.Assessed {
		return f
	}
	var u uuid.UUID
	binary.BigEndian.PutUint64(u[:8], r.Uint64())
	binary.BigEndian.PutUint64(u[8:], r.Uint64())
	f.Assessment = u.String()
	f.Stage, f.Score = schemas.Stage(r.IntN(4)), r.Int32N(2000)-1000
	f.InitialLevel, f.FinalLevel = schemas.Level(r.IntN(5)), schemas.Level(r.IntN(5))
	f.DecisionType = pick(r, "", schemas.Accepted, schemas.DecisionRejected)
	for i := range r.IntN(6) {
		v := schemas.RuleVerdict{Rule: fmt.Sprintf("R%d", i), Version: r.Int32N(90), Verdict: schemas.Verdict(r.IntN(4)), Note: pick(r, "", text(r))}
		f.Rules = append(f.Rules, v)
		if v.Verdict == schemas.Hit {
			h := schemas.HitExplained{Rule: v.Rule, Version: v.Version, Level: schemas.Level(r.IntN(5)), Score: r.Int32N(200) - 100,
				Shadow: r.IntN(4) == 0, AtWatermark: r.IntN(4) == 0, Reason: text(r), Values: attributes(r, 4)}
			f.Hits = append(f.Hits, h)
		}
	}
	return f
}

func fakeEvent(r *rand.Rand, offset int64) schemas.Event {
	e := schemas.Event{Kind: schemas.Kind(1 + r.IntN(8)), Organisation: "org", Team: pick(r, "aml", "fraud"), Source: pick(r, "spektr", "flat"),
		Customer: fmt.Sprintf("c%d", r.IntN(500)), ID: fmt.Sprintf("e%d-%s", offset, text(r)), Side: schemas.Side(r.IntN(3)),
		Time: r.Int64N(7_258_118_400_000), Amount: money64(r), HasAmount: r.IntN(6) > 0, Present: r.Int32N(128),
		Currency: pick(r, "", "EUR", "XAF"), Counterparty: text(r), Channel: pick(r, "", "online", "filiāle"), Country: pick(r, "", "LV", "US"),
		State: pick(r, "", "CREATED"), Type: pick(r, "", "TRANSFER", "CASH_OUT"), Attributes: attributes(r, 5),
		Origin: schemas.Origin{Topic: pick(r, "payments", "transactions"), Partition: r.Int32N(64), Offset: r.Int64()}}
	if !e.HasAmount {
		e.Amount = 0
	}
	if r.IntN(4) == 0 {
		e.Flags = []string{schemas.FlagRounded, "content_id"}[:1+r.IntN(2)]
	}
	if e.Kind == schemas.KindControl {
		e.Control = schemas.Control{Version: 1 + r.Int32N(50), Digest: "0123abcd"}
	}
	return e
}

func pick(r *rand.Rand, of ...string) string { return of[r.IntN(len(of))] }

// text has what breaks encodings: quotes, zeros, bytes that are no UTF-8 are not in it because Avro strings are UTF-8.
func text(r *rand.Rand) string {
	return pick(r, "", "plain", "it's \"quoted\" \\ `back`", "tab\tnew\nline", "zero\x00inside", "žņšķ 漢字 😀", fmt.Sprint(r.Uint64()))
}

func money64(r *rand.Rand) int64 {
	switch r.IntN(6) {
	case 0:
		return schemas.MaxAmount
	case 1:
		return -schemas.MaxAmount
	case 2:
		return r.Int64N(3) - 1
	}
	return r.Int64N(2*schemas.MaxAmount) - schemas.MaxAmount
}

// wide is a feature of up to 38 digits, either sign.
func wide(r *rand.Rand) [16]byte {
	v := schemas.I128(r.Int64() >> r.IntN(60))
	switch r.IntN(5) {
	case 0:
		v = schemas.Int128{Hi: r.Int64N(ten38.Hi), Lo: r.Uint64()}
	case 1:
		v = ten38.Sub(schemas.I128(1))
	case 2:
		v = schemas.Int128{Lo: math.MaxUint64}
	}
	if r.IntN(2) == 0 {
		v = v.Neg()
	}
	return v.Bytes()
}

func attributes(r *rand.Rand, n int) (as []schemas.Attribute) {
	for i := range r.IntN(n) {
		as = append(as, schemas.Attribute{Name: fmt.Sprintf("k%d %s", i, pick(r, "", "'", "é")), Value: text(r)})
	}
	return as
}
