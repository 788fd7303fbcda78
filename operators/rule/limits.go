package rule

// Limits of a configuration. They keep compiling, planning and judging bounded whatever a folder holds.
const (
	MaxFilters    = 64   // one class bit per retained event, in one 64-bit word
	MaxWindows    = 256  // each is two searches per event: at 50 ns together 13 µs
	MaxScans      = 16   // each looks at up to 4,096 events of every window that uses it: about 0.1 ms an event
	MaxColumns    = 32   // each is 4 bytes per retained event
	MaxEquals     = 16   // each is a chain through all retained events: 8 bytes per event
	MaxAggregates = 1024 // each is measured for every event; at 100 ns each that is 0.1 ms an event
	MaxRules      = 1000 // a fact names each rule with its outcome, about 30 bytes: 30 kB a fact
	MaxFeatures   = 1000 // a fact holds each feature, about 30 bytes

	maxFolder      = 1 << 20    // bytes of all files: the snapshot must fit a record of topic config
	maxExpression  = 4096       // characters of one expression: two pages; what is longer belongs into features
	maxNodes       = 1000       // nodes of one expression; bounds time and stack of compiling and judging
	maxDepth       = 100        // nesting of one expression; bounds the stack
	maxText        = 1000       // characters of one name, reason or text parameter: it stands in every fact that it concerns
	maxList        = 1000       // elements of a list; longer ones belong into dated lists, a later version
	maxPattern     = 500        // characters of a regular expression
	maxDigits      = 18         // digits of a decimal factor of money, so that products fit 192 bits
	maxScore       = 1_000_000  // so that the sum over MaxRules fits 32 bits
	maxSlack       = 90 * day   // retention is memory: slack beyond a quarter is a mistake in the unit
	maxWindow      = 3660 * day // ten years; what is longer is a mistyped unit
	maxMapLinear   = 8          // longer lists are looked up by hash; below, comparing is as fast
	maxNumberChars = 64         // characters of a number: 38 digits, sign, point and exponent with room to spare
	maxBits        = 2200       // of a folded number's numerator and denominator: the doubles' range, twice
)
