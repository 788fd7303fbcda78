package generator

import (
	"fmt"
	"strconv"

	"github.com/streamgauge/streamgauge/schemas"
)

// event makes a new payment or transaction of a customer.
func (l *Log) event(customer int, at int64) schemas.Event {
	r := l.r
	l.ids++
	e := schemas.Event{
		Kind: schemas.KindPayment, Organisation: "bank", Team: "retail", Source: "core", Customer: logCustomer(customer),
		ID: numbered('e', 9, uint64(l.ids)), Side: schemas.SideOut, Time: at, HasAmount: true, Origin: l.origin(),
	}
	if customer%3 == 1 {
		e.Kind, e.Source, e.Origin.Topic = schemas.KindTransaction, "cards", schemas.Transactions
	}
	switch u := r.below(100); {
	case u < 30:
		e.Side = schemas.SideIn
	case u < 33:
		e.Side = schemas.SideNone
	}
	l.amount(&e)
	if r.below(100) < 60 {
		e.SetText(schemas.FieldCounterparty, numbered('M', 2, r.below(12)))
	}
	if r.below(100) < 50 {
		e.SetText(schemas.FieldCountry, r.pick([]string{"DE", "LT", "IR", ""}))
	}
	if r.below(100) < 40 {
		e.SetText(schemas.FieldChannel, r.pick([]string{"online", "pos", "atm"}))
	}
	if r.below(100) < 40 {
		e.SetText(schemas.FieldType, r.pick([]string{"TRANSFER", "CASH_OUT", "CARD"}))
	}
	switch u := r.below(100); {
	case u < 3:
		e.SetText(schemas.FieldState, r.pick(l.cfg.Uncounted))
	case u < 40:
		e.SetText(schemas.FieldState, r.pick(l.cfg.Counted))
	}
	if r.below(100) < 50 {
		e.Attributes = []schemas.Attribute{{Name: "device", Value: "d" + strconv.Itoa(int(r.below(5)))}, {Name: "fraud", Value: strconv.Itoa(int(r.below(20) / 19))}}
	}
	return e
}

// amount gives an event an amount: mostly some units, sometimes below zero, none, or as large as one can be.
func (l *Log) amount(e *schemas.Event) {
	r := l.r
	e.Amount = r.quantile(amountCents) * schemas.Micro / 100
	switch u := r.below(1000); {
	case u < 80: // just below a reporting threshold
		e.Amount = r.between(9_000, 10_000) * schemas.Micro
	case u < 110:
		e.Amount = -e.Amount
	case u < 120:
		e.Amount, e.HasAmount = 0, false
	case u < 125:
		e.Amount = schemas.MaxAmount - r.between(0, 2)
	case u < 130:
		e.Amount = -schemas.MaxAmount + r.between(0, 2)
	case u < 140:
		e.Amount = r.between(-2, 3) // millionths
	case u < 150:
		e.Amount = r.between(1, 1_000_000_000)
	}
	switch u := r.below(100); {
	case u < 2:
		e.SetText(schemas.FieldCurrency, "USD")
	case u < 50:
		e.SetText(schemas.FieldCurrency, l.cfg.Currency)
	}
}

func logCustomer(i int) string { return numbered('c', 6, uint64(i)) }

func (l *Log) outOfOrder() LogRecord {
	c := l.draw()
	return l.accept(LogOutOfOrder, l.fresh(c, l.now-20-l.r.quantile(delays)))
}

func (l *Log) hours() LogRecord {
	c, most := l.draw(), min(20*hour, l.cfg.Retention.Milliseconds()/2)
	at := l.now - l.r.between(most/20, most)
	if at <= l.newest[c]-l.cfg.Retention.Milliseconds() { // a customer that is ahead of log time
		at = l.newest[c]
	}
	return l.accept(LogHours, l.fresh(c, at))
}

// windows are lengths that rules like to have: events exactly so far apart lie on their borders.
var windows = []int64{minute, 10 * minute, 30 * minute, hour, 2 * hour, 6 * hour, 12 * hour, day, 2 * day, 7 * day}

// equalTime is an event of another one's time, or exactly a window before or behind it, or at the full hour, where days begin.
func (l *Log) equalTime() LogRecord {
	s := l.again()
	if s == nil {
		return l.accept(LogOnTime, l.fresh(l.draw(), l.now))
	}
	at := s.event.Time
	switch u := l.r.below(10); {
	case u < 4:
		at += windows[l.r.below(uint64(len(windows)))]
	case u < 5:
		at -= windows[l.r.below(uint64(len(windows)))]
	case u < 6: // of the newest, where rules are evaluated a second time
		at = l.newest[s.customer] - windows[l.r.below(uint64(len(windows)))]
	case u < 7:
		at -= at%hour + l.r.between(0, 2)
	}
	if at > l.now+tolerance || at <= l.newest[s.customer]-l.cfg.Retention.Milliseconds() {
		at = s.event.Time
	}
	return l.accept(LogEqualTime, l.fresh(s.customer, at))
}

// tolerance is how far ahead of log time an event may be (DESIGN, contract 2).
const tolerance = 5 * minute

func (l *Log) ahead() LogRecord {
	c := l.draw()
	return l.accept(LogAhead, l.fresh(c, l.now+tolerance-l.r.between(0, 2)*l.r.between(0, tolerance)))
}

func (l *Log) future() LogRecord {
	c := l.draw()
	return l.place(LogFuture, l.event(c, l.now+tolerance+1+l.r.between(0, 2)*l.r.between(0, 400*day)))
}

func (l *Log) unknown() LogRecord {
	c := l.draw()
	e := l.event(c, l.now)
	e.SetText(schemas.FieldState, "LOST")
	return l.place(LogUnknown, e)
}

func (l *Log) unsupported() LogRecord {
	kinds := []schemas.Kind{schemas.KindRecord, schemas.KindDecision, schemas.KindFinding, schemas.KindTick}
	e := l.event(l.draw(), l.now)
	e.Kind = kinds[l.r.below(uint64(len(kinds)))]
	return l.place(LogUnsupported, e)
}

func (l *Log) redelivery() LogRecord { return l.second(LogRedelivery) }

func (l *Log) repeat() LogRecord { return l.second(LogRepeat) }

// second sends a remembered event again.
func (l *Log) second(class LogClass) LogRecord {
	s := l.again()
	if s == nil {
		return l.equalTime()
	}
	e := s.event
	if class == LogRepeat {
		e.Origin = l.origin()
	}
	return l.place(class, e)
}

// beyond sends an event again that has left the retention; where there is none, a new one at the horizon or below.
func (l *Log) beyond() LogRecord {
	for range 16 {
		if len(l.old) == 0 {
			break
		}
		if s := l.old[l.r.below(uint64(len(l.old)))]; !l.visible(s) {
			return l.place(LogBeyond, s.event)
		}
	}
	c := 0
	if s := l.again(); s != nil {
		c = s.customer
	}
	if l.newest[c] == 0 {
		return l.equalTime()
	}
	return l.place(LogBeyond, l.event(c, l.newest[c]-l.cfg.Retention.Milliseconds()-l.r.between(0, 2)*l.r.between(0, day)))
}

func (l *Log) conflict() LogRecord {
	s := l.again()
	if s == nil {
		return l.equalTime()
	}
	e := s.event
	e.Origin = l.origin()
	switch l.r.below(4) {
	case 0:
		e.Time++ // never ahead of the tolerance: see below
	case 1:
		e.HasAmount, e.Amount = !e.HasAmount, 0
	case 2:
		if e.Kind++; e.Kind > schemas.KindTransaction {
			e.Kind = schemas.KindPayment
		}
	default:
		if e.Amount--; !e.HasAmount || e.Amount < -schemas.MaxAmount {
			e.HasAmount, e.Amount = true, 7
		}
	}
	if e.Time > l.now+tolerance {
		e.Time -= 2
	}
	return l.place(LogConflict, e)
}

// poison makes bytes that are no event, on the way of some customer.
func (l *Log) poison() LogRecord {
	rec := l.place(LogPoison, l.event(l.draw(), l.now))
	value := l.encode(&rec.Event)
	switch l.r.below(5) {
	case 0:
		value = value[:l.r.below(uint64(len(value)))]
	case 1:
		value = []byte{}
	case 2:
		value = append(value, 0)
	case 3:
		value[2+l.r.below(8)] ^= 0x55 // the schema's fingerprint
	default:
		value = []byte(fmt.Sprintf(`{"id":"%s"}`, rec.Event.ID))
	}
	rec.Event, rec.Value = schemas.Event{}, value
	return rec
}
