package archive

import (
	"errors"
	"fmt"
	"math"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/streamgauge/streamgauge/schemas"
)

// row is one fact and what the archive knows of it besides.
type row struct {
	schemas.Fact
	factOffset int64     // offset of the fact's record in topic facts
	published  int64     // ms; append time of the fact's record
	assessment uuid.UUID // Fact.Assessment, zero where that is empty
}

// place is a fact's identity, in the types of the table.
type place struct {
	generation, partition uint16
	offset                uint64
	seq                   uint16
}

func (r *row) place() place {
	return place{uint16(r.Generation), uint16(r.Partition), uint64(r.Offset), uint16(r.Seq)}
}

// lastMilli is the end of what the driver's times can carry: 2262-04-11, where nanoseconds leave an int64. Intake's range ends in 2200.
const lastMilli = math.MaxInt64 / 1_000_000

// ten38 is 10³⁸, the first value that a Decimal(38, 6) cannot hold, in its units.
var ten38 = schemas.Int128{Hi: 0x4B3B4CA85A86C47A, Lo: 0x098A224000000000}

// decode fills r from a record of topic facts; r's slices are reused. It fails on bytes that are no fact, and on a fact that the table
// cannot hold as it is: both are a foreign writer's doing, or our bug.
func (r *row) decode(rec *kgo.Record) error {
	r.Reset()
	if err := schemas.Facts.Codec.Decode(rec.Value, &r.Fact); err != nil {
		return err
	}
	r.factOffset, r.published = rec.Offset, rec.Timestamp.UnixMilli()
	return r.fits()
}

// fits reports every value that a column could not hold exactly. The driver would not say: it casts.
func (r *row) fits() error {
	var errs []error
	in := func(name string, v, low, high int64) {
		if v < low || v > high {
			errs = append(errs, fmt.Errorf("%s %d is outside %d to %d", name, v, low, high))
		}
	}
	in("generation", int64(r.Generation), 0, math.MaxUint16)
	in("partition", int64(r.Partition), 0, math.MaxUint16)
	in("offset", r.Offset, 0, math.MaxInt64)
	in("seq", int64(r.Seq), 0, math.MaxUint16)
	in("time", r.Event.Time, 0, lastMilli)
	in("appended", r.Appended, 0, lastMilli)
	in("published", r.published, 0, lastMilli)
	in("amount", r.Event.Amount, -schemas.MaxAmount, schemas.MaxAmount)
	in("base_amount", r.BaseAmount, -schemas.MaxAmount, schemas.MaxAmount)
	in("control version", int64(r.Event.Control.Version), 0, math.MaxInt32)
	in("config", int64(r.Config), 0, math.MaxInt32)
	for i := range r.Rules {
		in("version of a rule", int64(r.Rules[i].Version), 0, math.MaxInt32)
	}
	for i := range r.Hits {
		in("version of a hit's rule", int64(r.Hits[i].Version), 0, math.MaxInt32)
	}
	for _, f := range r.Features {
		v := schemas.Int128FromBytes(f.Value)
		if v.Cmp(ten38) >= 0 || v.Cmp(ten38.Neg()) <= 0 {
			errs = append(errs, fmt.Errorf("feature %s has more than 38 digits", f.Name))
		}
	}
	r.assessment = uuid.UUID{}
	if r.Assessment != "" {
		var err error
		if r.assessment, err = uuid.Parse(r.Assessment); err != nil || r.assessment.String() != r.Assessment {
			errs = append(errs, fmt.Errorf("assessment %q is not a guid in its canonical form", r.Assessment))
		}
	}
	return errors.Join(errs...)
}
