package generator

import (
	"sort"
	"strconv"
)

// segment is a class of customers with habits in common.
type segment uint8

const (
	private segment = iota
	student
	business
	numSegments
)

// habits of a segment.
type habits struct {
	share    uint64 // percent of customers
	activity uint64 // factor on the customer's rank weight
	out      int    // of 10,000 ordinary events: paid by the customer
	scale    int64  // percent of the amount table
	large    int    // of 10,000 ordinary events: an amount from largeCents instead
	friends  uint64 // favourite counterparties
	loyal    int    // of 10,000 transfers: to or from a favourite
	runs     int    // of 10,000 ordinary events: begins a run of payments, such as suppliers' invoices of a month
	awake    [2][24]int
	channels []string
}

// awake tables: of 100 drawn events at that hour, how many the customer takes; weekdays, weekends.
var (
	awakePrivate  = [2][24]int{spans(8, 7, 22, 95, 17, 21), spans(10, 9, 23, 95, 11, 19)}
	awakeStudent  = [2][24]int{spans(20, 10, 24, 95, 18, 24), spans(30, 11, 24, 95, 18, 24)}
	awakeBusiness = [2][24]int{spans(2, 8, 18, 95, 9, 12), spans(1, 9, 14, 20, 9, 12)}
)

// spans is low outside [from, to), 70 % of high inside it and high in [peak, peakEnd).
func spans(low, from, to, high, peak, peakEnd int) (h [24]int) {
	for i := range h {
		switch {
		case i >= peak && i < peakEnd:
			h[i] = high
		case i >= from && i < to:
			h[i] = high * 7 / 10
		default:
			h[i] = low
		}
	}
	return h
}

var segments = [numSegments]habits{
	private:  {share: 78, activity: 10, out: 8800, scale: 100, large: 15, friends: 4, loyal: 9200, awake: awakePrivate, channels: []string{"pos", "pos", "pos", "online", "online", "atm"}},
	student:  {share: 10, activity: 8, out: 9000, scale: 45, large: 0, friends: 3, loyal: 9200, awake: awakeStudent, channels: []string{"online", "online", "pos", "pos", "mobile"}},
	business: {share: 12, activity: 24, out: 2500, scale: 420, large: 120, friends: 4, loyal: 9700, runs: 10, awake: awakeBusiness, channels: []string{"online", "online", "branch", "file"}},
}

// Tables of text. Home is where most counterparties are.
var (
	home      = []string{"DE", "DE", "DE", "FR", "NL", "AT", "ES", "IT", "PL", "BE"}
	abroad    = []string{"GB", "US", "CH", "SE", "CZ", "TR", "AE", "SG", "HK", "PA", "CY", "MT"}
	foreign   = []string{"USD", "GBP", "CHF", "SEK", "PLN", "TRY"}
	declined  = []string{"DECLINED", "DECLINED", "FAILED", "EXPIRED", "REVERSED"}
	succeeded = []string{"EXECUTED", "SUCCESSFUL"}
)

// Sizes of the world outside.
const (
	merchants = 4000    // shops and suppliers
	strangers = 900_000 // private persons elsewhere
	employers = 300
)

// account is one customer's profile and what the generator remembers of it.
type account struct {
	segment segment
	flat    bool   // sends to topic transactions; otherwise to payments
	plain   bool   // leaves out the currency where the format allows
	payday  uint8  // day of the month; 0: no salary
	cash    bool   // a shop: cash deposits are its day's takings
	scale   uint16 // percent of the segment's amounts
	shift   uint8  // hours that the customer's day is ahead of UTC
	country uint8  // index into home
	paid    int32  // month of the last salary, months since 1970
	rented  int32  // month of the last rent
	salary  int64  // cents
	rent    int64  // cents; 0: none
	newest  int64  // ms; largest event time emitted that the engine can accept; 0: none
	quiet   int64  // ms; dormant customers: time of the last event planned
}

// accounts are all customers. The last pool ones are dormant: they have no ordinary events.
type accounts struct {
	list    []account
	weights []uint64 // cumulated chances of an ordinary event, of list[i]; dormant ones are not in it
	ranks   []int32  // account by descending activity before the segment's factor
	hot     int      // the customer that Config.Hot means
	dormant []int    // the pool, the longest quiet first
}

// newAccounts draws every profile. Activity falls with the rank like 1/(rank+20): the busiest of 2,000 has about 1 % of all events.
func newAccounts(cfg *Config) accounts {
	r := newRandom(cfg.Seed, streamAccounts)
	a := accounts{list: make([]account, cfg.Customers)}
	for i := range a.list {
		a.list[i] = newAccount(r)
	}
	active := cfg.Customers - cfg.pool()
	a.ranks = make([]int32, active)
	for i := range a.ranks { // the inside-out shuffle
		j := int(r.below(uint64(i) + 1))
		a.ranks[i] = a.ranks[j]
		a.ranks[j] = int32(i)
	}
	a.weights = make([]uint64, active)
	for rank, i := range a.ranks {
		a.weights[i] = 1_000_000_000 / uint64(rank+20) * segments[a.list[i].segment].activity
	}
	for i := 1; i < active; i++ {
		a.weights[i] += a.weights[i-1]
	}
	a.hot = int(a.ranks[0])
	for i := active; i < cfg.Customers; i++ {
		a.dormant = append(a.dormant, i)
	}
	return a
}

func newAccount(r random) (a account) {
	for u := r.below(100); ; a.segment++ {
		share := segments[a.segment].share
		if u < share {
			break
		}
		u -= share
	}
	a.flat = r.below(100) < 40
	a.plain = r.below(100) < 30
	a.scale = uint16(r.quantile(amountScale))
	a.shift = uint8(r.below(3))
	a.country = uint8(r.below(uint64(len(home))))
	switch a.segment {
	case private:
		if r.below(100) < 85 {
			a.payday = uint8([]int64{1, 15, 25, 27, 28}[r.below(5)])
			a.salary = r.between(1_500, 6_200)*100 + r.between(0, 100)
		}
		if r.below(100) < 70 {
			a.rent = r.between(450, 1_900) * 100
		}
	case student:
		a.payday, a.salary = 3, r.between(400, 950)*100
		a.rent = r.between(250, 600) * 100
	case business:
		a.cash = r.below(100) < 25
		a.rent = r.between(900, 4_000) * 100
	}
	return a
}

// draw picks the customer of an ordinary event at time t: by activity, then by whether the customer is awake, with a few tries.
func (a *accounts) draw(r random, t int64, hotPercent int) int {
	if hotPercent > 0 && r.below(100) < uint64(hotPercent) {
		return a.hot
	}
	i := 0
	for range 4 {
		u := r.below(a.weights[len(a.weights)-1])
		i = sort.Search(len(a.weights), func(i int) bool { return a.weights[i] > u })
		c := &a.list[i]
		if r.below(100) < uint64(segments[c.segment].awake[weekend(t)][(hourOf(t)+int(c.shift))%24]) {
			break
		}
	}
	return i
}

func (a *account) name(i int) string { return numbered('C', 7, uint64(i)) }

// numbered is a letter and a number of at least width digits.
func numbered(letter byte, width int, n uint64) string {
	b := make([]byte, 1, 24)
	b[0] = letter
	digits := strconv.AppendUint(make([]byte, 0, 20), n, 10)
	for i := len(digits); i < width; i++ {
		b = append(b, '0')
	}
	return string(append(b, digits...))
}
