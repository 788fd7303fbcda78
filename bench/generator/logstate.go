package generator

import "github.com/streamgauge/streamgauge/schemas"

// stateChange makes one of the stateChanges.
func (l *Log) stateChange() LogRecord {
	if l.cfg.Crowds > 0 && l.emitted > l.cfg.Records/2 {
		l.cfg.Crowds--
		l.crowd, l.crowded = crowdSize, l.draw()
	}
	s := l.again()
	if n := uint64(len(l.changed)); n > 0 && l.r.below(2) == 0 {
		if c := l.changed[l.r.below(n)]; l.visible(c) {
			s = c
		}
	}
	switch u := l.r.below(100); {
	case s == nil || u < 4:
		return l.orphan(l.draw())
	case u < 20:
		return l.beforeItsEvent()
	case u < 30 && s.state != "":
		return l.restate(s)
	case u < 42 && s.state != "":
		e := l.stateOf(s, l.r.pick(l.cfg.Uncounted), s.stateTime-1-l.r.between(0, 2)*l.r.between(0, hour))
		return l.place(LogSuperseded, e)
	case u < 44:
		return l.badState(s)
	}
	return l.turn(s)
}

// turn retracts an event, or restores one that is retracted. Sometimes the state has the very time of the one before.
func (l *Log) turn(s *sent) LogRecord {
	class, state := LogRetraction, l.r.pick(l.cfg.Uncounted)
	if l.uncounted(s.state) {
		class, state = LogRestoration, l.r.pick(l.cfg.Counted)
	}
	at := l.now - 20
	switch {
	case s.state == "":
		at = l.since(s, at)
	case s.state != "" && (l.r.below(10) == 0 || at < s.stateTime):
		at = s.stateTime
	}
	e := l.stateOf(s, state, at)
	s.state, s.stateTime, s.origin = state, at, e.Origin
	if l.changed = append(l.changed, s); len(l.changed) > changedEvents {
		l.changed = l.changed[1:]
	}
	return l.place(class, e)
}

// since is when a stateChange of an event without a state is timed: where it would be before the event, at the event's time, unless
// Backdated says otherwise.
func (l *Log) since(s *sent, at int64) int64 {
	if l.r.below(100) < uint64(l.cfg.Backdated) {
		return s.event.Time - 1 - l.r.between(0, 2)*l.r.between(0, hour)
	}
	return max(at, s.event.Time)
}

func (l *Log) uncounted(state string) bool {
	for _, s := range l.cfg.Uncounted {
		if s == state {
			return true
		}
	}
	return false
}

// restate says again what holds: half of them a redelivery where a stateChange said it before.
func (l *Log) restate(s *sent) LogRecord {
	e := l.stateOf(s, s.state, s.stateTime)
	if s.origin != (schemas.Origin{}) && l.r.below(2) == 0 {
		e.Origin = s.origin
	}
	return l.place(LogRestated, e)
}

// beforeItsEvent sends a stateChange and keeps its event back, one in ten until more than 24 h of log time have passed.
func (l *Log) beforeItsEvent() LogRecord {
	c := l.draw()
	at := max(l.now, l.newest[c])
	s := l.fresh(c, at)
	wait := l.r.between(1, 200)
	if l.r.below(10) == 0 {
		wait = l.cfg.Records*day/l.cfg.Period.Milliseconds()*2 + 100
	}
	state := l.r.pick(l.cfg.Uncounted)
	if l.r.below(4) == 0 {
		state = l.r.pick(l.cfg.Counted)
	}
	stated := at + l.r.between(0, 3) - 1
	if s.state == "" {
		stated = l.since(s, stated)
	}
	e := l.stateOf(s, state, min(stated, l.now+tolerance))
	l.early = append(l.early, early{sent: s, due: l.emitted + wait, change: e, expires: l.now + day})
	return l.place(LogEarly, e)
}

// await sends an event that a stateChange came before, unless it has become too old meanwhile.
func (l *Log) await(e *early) LogRecord {
	if !l.visible(e.sent) {
		return l.place(LogBeyond, e.event)
	}
	if l.now < e.expires && (e.state == "" || e.change.Time >= e.stateTime) {
		e.state, e.stateTime, e.origin = e.change.State, e.change.Time, e.change.Origin
	}
	return l.accept(LogAwaited, e.sent)
}

// orphan is a stateChange of an event that never comes.
func (l *Log) orphan(customer int) LogRecord {
	s := l.fresh(customer, l.now)
	return l.place(LogOrphan, l.stateOf(s, l.r.pick(l.cfg.Uncounted), l.now))
}

func (l *Log) badState(s *sent) LogRecord {
	if l.r.below(2) == 0 {
		return l.place(LogBadState, l.stateOf(s, "LOST", l.now))
	}
	return l.place(LogBadState, l.stateOf(s, l.r.pick(l.cfg.Uncounted), l.now+tolerance+1))
}

// stateOf makes a stateChange of an origin of its own.
func (l *Log) stateOf(s *sent, state string, at int64) schemas.Event {
	e := schemas.Event{
		Kind: schemas.KindStateChange, Organisation: s.event.Organisation, Team: s.event.Team, Source: s.event.Source, Customer: s.event.Customer,
		ID: s.event.ID, Side: s.event.Side, Time: at, Origin: l.origin(),
	}
	e.SetText(schemas.FieldState, state)
	return e
}
