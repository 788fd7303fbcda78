package generator

import "container/heap"

// delays are quantiles of an exponential delay of mean 30 s, in ms: −ln(1−k/32)·30,000, the last step cut at 200 s.
var delays = []int64{
	0, 952, 1936, 2953, 4006, 5097, 6229, 7406, 8630, 9907, 11_241, 12_636, 14_100, 15_639, 17_261, 18_976, 20_794, 22_731,
	24_800, 27_024, 29_425, 32_035, 34_895, 38_055, 41_589, 45_595, 50_219, 55_689, 62_383, 71_014, 83_178, 103_972, 200_000,
}

// farAhead is how far future stamps are ahead of Config.Now at least: a run must not catch up with them.
const farAhead = 30 * day

// remembered is how many recent records a repeat or a conflict may take up: some hours of the default stream.
const remembered = 512

// disorder turns drafts in order of event time into drafts in order of arrival, and requests into records.
type disorder struct {
	g       *Generator
	random  random
	spoiler random

	drawn   int64 // drafts taken from merge
	ahead   draft // the next draft by event time
	ready   bool  // ahead is filled
	delayed byArrival
	recent  []draft // ring of well-formed records as sent
	oldest  int     // where the ring goes on
}

func newDisorder(g *Generator) disorder {
	return disorder{g: g, random: newRandom(g.cfg.Seed, streamDisorder), spoiler: newRandom(g.cfg.Seed, streamPoison)}
}

// next returns the next draft by arrival. Not to be called again after Config.Events of them.
func (s *disorder) next() draft {
	for {
		if events := s.g.cfg.Events; !s.ready && (events == 0 || s.drawn < events) {
			s.ahead, s.ready = s.g.merge.pull(), true
			s.ahead.arrival = s.ahead.time
			s.drawn++
		}
		if len(s.delayed) > 0 && (!s.ready || s.delayed[0].arrival <= s.ahead.arrival) {
			return heap.Pop(&s.delayed).(draft)
		}
		s.ready = false
		if d := s.delay(&s.ahead); d > 0 {
			s.ahead.arrival += d
			heap.Push(&s.delayed, s.ahead)
			continue
		}
		return s.make(s.ahead)
	}
}

// delay is how late a record is sent, in ms.
func (s *disorder) delay(d *draft) int64 {
	cfg := &s.g.cfg.Disorder
	if d.class != Ordinary && !(cfg.Labelled && (d.class == Planted || d.class == Near)) {
		return 0
	}
	if cfg.OutOfOrder+cfg.Late == 0 {
		return 0
	}
	switch u := int(s.random.below(tenThousand)); {
	case u < cfg.Late:
		return s.random.between(hour, 20*hour)
	case u < cfg.Late+cfg.OutOfOrder:
		return s.random.quantile(delays)
	}
	return 0
}

// make turns a request into a record. A repeat or conflict before anything was sent becomes an ordinary event, so that counts hold.
func (s *disorder) make(d draft) draft {
	g := s.g
	switch d.class {
	case Repeat, Conflict, BeyondRetention:
		if len(s.recent) == 0 {
			return s.fresh(d, Ordinary, d.time)
		}
		old := s.recent[s.random.below(uint64(len(s.recent)))]
		if d.class == BeyondRetention {
			d.account = old.account
			horizon := g.accounts.list[d.account].newest - g.cfg.Retention.Milliseconds()
			return s.fresh(d, BeyondRetention, horizon-max(s.random.between(-day, day), 0)) // half of them exactly at the horizon
		}
		old.class, old.arrival, old.seq = d.class, d.arrival, d.seq
		if d.class == Conflict {
			if s.random.below(2) == 0 {
				old.cents += s.random.between(1, 100)
			} else {
				old.time += s.random.between(1, minute)
			}
		}
		return old
	case Future:
		return s.fresh(d, Future, g.cfg.Now+farAhead+s.random.between(0, farAhead))
	case Poison:
		return s.fresh(d, Poison, d.time)
	}
	return d
}

// fresh is a new event of the request's customer, of another class and time.
func (s *disorder) fresh(d draft, class Class, t int64) draft {
	n := s.g.ordinary(s.random, d.account, d.time)
	n.class, n.time, n.arrival, n.seq = class, t, d.arrival, d.seq
	return n
}

// remember books a record as sent.
func (s *disorder) remember(d *draft) {
	switch d.class {
	case Ordinary, Planted, Near:
		if len(s.recent) < remembered {
			s.recent = append(s.recent, *d)
		} else {
			s.recent[s.oldest] = *d
			s.oldest = (s.oldest + 1) % remembered
		}
	case History:
	default:
		return
	}
	a := &s.g.accounts.list[d.account]
	a.newest = max(a.newest, d.time)
}

// byArrival is a heap of delayed drafts, ties in the order of event time.
type byArrival []draft

func (h byArrival) Len() int { return len(h) }
func (h byArrival) Less(i, j int) bool {
	if h[i].arrival != h[j].arrival {
		return h[i].arrival < h[j].arrival
	}
	return h[i].seq < h[j].seq
}
func (h byArrival) Swap(i, j int) { h[i], h[j] = h[j], h[i] }

// Push implements heap.Interface.
func (h *byArrival) Push(x any) { *h = append(*h, x.(draft)) }

// Pop implements heap.Interface.
func (h *byArrival) Pop() any {
	last := len(*h) - 1
	d := (*h)[last]
	*h = (*h)[:last]
	return d
}
