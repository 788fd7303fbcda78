package sim

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/streamgauge/streamgauge/schemas"
)

// The model: what must come of the log, by the contract's words and with nothing of the engine but its types.

const (
	hour      = int64(time.Hour / time.Millisecond)
	retention = hour + 24*hour // the longest window and the policy's slack
	future    = int64(5 * time.Minute / time.Millisecond)
)

// windows are the count's, by configuration.
var windows = map[int32]int64{1: hour, 2: hour / 2}

type seen struct {
	id           string
	time, amount int64
	origin       int64
}

// verdict is what one record must come to.
type verdict struct {
	outcome  schemas.Outcome
	reason   string
	config   int32
	count    string
	sum      string
	rejected bool
}

type model struct {
	config    int32
	customers map[string][]seen
}

func (m *model) judge(appended int64, e *schemas.Event) verdict {
	if e.Kind == schemas.KindControl {
		m.config = max(m.config, e.Control.Version)
		return verdict{outcome: schemas.Applied, config: m.config}
	}
	v := verdict{config: m.config}
	history := m.customers[e.Customer]
	wm := int64(0)
	for _, x := range history {
		wm = max(wm, x.time)
	}
	reject := func(reason string) verdict {
		v.outcome, v.reason, v.rejected = schemas.Rejected, reason, true
		return v
	}
	switch {
	case e.Time > appended+future:
		return reject("future")
	case len(history) > 0 && e.Time <= wm-retention:
		return reject("beyond_retention")
	}
	for _, x := range history {
		switch {
		case x.id != e.ID || x.time <= wm-retention:
		case x.origin == e.Origin.Offset:
			v.outcome, v.reason = schemas.Duplicate, "redelivery"
			return v
		case x.time == e.Time && x.amount == e.Amount:
			v.outcome = schemas.Duplicate
			return v
		default:
			return reject("conflict")
		}
	}
	history = append(history, seen{id: e.ID, time: e.Time, amount: e.Amount, origin: e.Origin.Offset})
	m.customers[e.Customer] = history
	count, sum := 0, int64(0)
	for _, x := range history {
		if x.time <= e.Time && x.time > e.Time-windows[m.config] {
			count++
		}
		if x.time <= e.Time && x.time > e.Time-hour {
			sum += x.amount
		}
	}
	v.outcome, v.count, v.sum = schemas.Assessed, fmt.Sprint(count), schemas.FormatAmount(sum)
	return v
}

// check holds everything visible against the model.
func (w *world) check() {
	for p := range partitions {
		m := &model{customers: map[string][]seen{}}
		facts, results, rejections := w.sort(p)
		assessed, rejected := 0, 0
		for _, r := range w.group.log[p] {
			var e schemas.Event
			if err := schemas.Events.Codec.Decode(r.Value, &e); err != nil {
				panic("BUG: " + err.Error())
			}
			want := m.judge(r.Timestamp.UnixMilli(), &e)
			fs := facts[r.Offset]
			delete(facts, r.Offset)
			if len(fs) != 1 {
				w.fault("I1: partition %d offset %d has %d facts", p, r.Offset, len(fs))
				continue
			}
			if got := told(fs[0]); got != want {
				w.fault("I2: partition %d offset %d, customer %s: %+v, want %+v", p, r.Offset, e.Customer, got, want)
			}
			if want.rejected {
				rejected++
			}
			if want.outcome == schemas.Assessed {
				assessed++
				if n := results[fs[0].Assessment]; n != 1 {
					w.fault("I1: partition %d offset %d has %d results", p, r.Offset, n)
				}
			}
		}
		if len(facts) > 0 || len(results) != assessed || rejections != rejected {
			w.fault("I1: partition %d: facts of %d offsets that hold nothing, %d results of %d, %d rejections of %d", p, len(facts), len(results), assessed, rejections, rejected)
		}
	}
}

// told is a fact as a verdict.
func told(f *schemas.Fact) verdict {
	v := verdict{outcome: f.Outcome, config: f.Config, reason: f.Reason, rejected: f.Outcome == schemas.Rejected}
	if f.Event.Kind == schemas.KindControl {
		v.reason = "" // a second control record of one version is overtaken, which the model need not know
	}
	for _, x := range f.Features {
		switch text := schemas.Int128FromBytes(x.Value).Decimal(); x.Name {
		case "n":
			v.count = text
		case "s":
			v.sum = text
		}
	}
	return v
}

// sort takes a partition's visible records apart: facts by offset, results by guid, and how many rejections.
func (w *world) sort(p int) (facts map[int64][]*schemas.Fact, results map[string]int, rejections int) {
	facts, results = map[int64][]*schemas.Fact{}, map[string]int{}
	for _, r := range w.group.visible[p] {
		switch r.Topic {
		case schemas.Facts.Name:
			f := new(schemas.Fact)
			if err := schemas.Facts.Codec.Decode(r.Value, f); err != nil {
				w.fault("a fact that cannot be read: %v", err)
				continue
			}
			facts[f.Offset] = append(facts[f.Offset], f)
		case schemas.RejectedRecords.Name:
			rejections++
		case schemas.OperationRealtime:
			var e struct {
				Data struct{ AssessmentGuid string }
			}
			if err := json.NewDecoder(strings.NewReader(string(r.Value))).Decode(&e); err != nil {
				w.fault("a result that cannot be read: %v", err)
			}
			results[e.Data.AssessmentGuid]++
		}
	}
	return facts, results, rejections
}
