package window

// Limits, each with its number (DESIGN, contract 2 and the rule language).
const (
	MaxDistinct = 65_536    // different values that a distinct counts exactly; beyond it is "cap"
	MaxScanned  = 4_096     // events of a window that a Scan looks at; beyond it is "cap"
	MaxEqual    = 65_536    // events that meet an Equal; beyond it is "cap"
	MaxEvents   = 5_000_000 // visible events of a customer; beyond it the horizon moves
)

// limitSet is the limits and the sizes of blocks; tests make them small, to meet borders often.
type limitSet struct {
	Distinct, Scanned, Equal, Events int
	Chunk                            int // rows of a chunk when it is sealed; the head holds up to twice as many
	Fan                              int // chunks that share one entry of supers
}

var limits = limitSet{Distinct: MaxDistinct, Scanned: MaxScanned, Equal: MaxEqual, Events: MaxEvents, Chunk: 1024, Fan: 64}
