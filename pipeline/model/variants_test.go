package model

// rules are a form of the protocol, and the guards that an ablation takes away from it.
type rules struct {
	// Forms.
	perCall     int  // customers in a call; 0: the flush is one call
	noSeal      bool // all rows in the head
	deltas      bool // heads go as deltas where the stored value is believed known
	chunksAhead bool // chunks in calls of their own before the heads that name them; else with them

	count counting

	// Guards of engine.md 4.0 taken away.
	noBase           bool
	noReadCheck      bool
	noUndo           bool
	noLSNOnWrite     bool
	noLSNOnReplay    bool
	noChain          bool
	noReplayDirty    bool
	goOn             bool // after an EndTxn without an answer, as if it had come to nothing
	lossIsFresh      bool // no marker, but a committed offset: taken as a fresh start
	currentConfig    bool // replay under the configuration in force at its end
	oneEpoch         bool // transaction.version=1: the producer's epoch stays from transaction to transaction
	noFence          bool // unstable offsets: the committed one is taken, nobody is fenced
	fetchBeforeFence bool // the committed offset is read, then its committer fenced
	flushUncounted   bool // the flush script does not count keys
	replayOverMoved  bool // the marker may move under a replay

	// Guards of deltas and chunks taken away.
	blindDelta      bool
	noDeltaLSN      bool
	noDeltaLength   bool
	fullMoves       bool // FULL for some customers does not hold the others and the marker back
	chunkInPlace    bool // no version in the name
	versionPerFlush bool // the version counts flushes, not edits
	deleteAhead     bool // in a call before the head's
	deleteBehind    bool // in a call after the head's
	deleteApart     bool // by a command outside the script, once the flush is confirmed
	chunksBehind    bool // in a call after the head's
	believedDead    bool // deletes the names of the believed directory only
	missingIsEmpty  bool // a chunk that is not there reads as empty
	headVouches     bool // a head loaded ahead of its marker vouches for its chunks
}

// counting says with which reads the stored keys are counted.
type counting uint8

const (
	countAlways  counting = iota
	countMissing          // on joining, and where a customer is not there
	countJoining
	countNever
)

// variant is one form of the protocol, whole or with something taken away.
type variant struct {
	name  string // letter of engine.md 4.0 where it has one, and what is taken away
	rules rules
}

// The forms that must hold.
var (
	formE = rules{noSeal: true, noLSNOnWrite: true, noLSNOnReplay: true, noChain: true, noReplayDirty: true}
	formH = rules{noSeal: true, perCall: 1, count: countMissing}
	formC = rules{perCall: 1, deltas: true, count: countMissing}
	formS = rules{perCall: 1, deltas: true, chunksAhead: true, count: countMissing}
)

var sound = []variant{
	{name: "E: atomic flush; base, read check, undo", rules: formE},
	{name: "EC: E with deltas and chunks", rules: less(formE, func(r *rules) { r.noSeal, r.deltas = false, true })},
	{name: "H2: flush in calls; LSN, chain token, replay marks dirty", rules: formH},
	{name: "C: H2 with deltas and chunks, an entry whole in its call", rules: formC},
	{name: "S: H2 with deltas and chunks, chunks in calls ahead", rules: formS},
}

// harmless are guards that turned out to be carried by others. Each holds, and says which.
var harmless = []variant{
	{name: "H2, marker may move under a replay", rules: less(formH, func(r *rules) { r.replayOverMoved = true })},
	{name: "H2 without LSN guard on write", rules: less(formH, func(r *rules) { r.noLSNOnWrite = true })},
	{name: "C, deletion in a later call of the flush", rules: less(formC, func(r *rules) { r.deleteBehind = true })},
	{name: "C, deletes the believed names only", rules: less(formC, func(r *rules) { r.believedDead = true })},
}

func less(r rules, take func(*rules)) rules {
	take(&r)
	return r
}

var ablations = []variant{
	{name: "A: E without base, read check, undo", rules: less(formE, func(r *rules) { r.noBase, r.noReadCheck, r.noUndo = true, true, true })},
	{name: "B: E without base, read check", rules: less(formE, func(r *rules) { r.noBase, r.noReadCheck = true, true })},
	{name: "C: E without read check", rules: less(formE, func(r *rules) { r.noReadCheck = true })},
	{name: "D: E without base", rules: less(formE, func(r *rules) { r.noBase = true })},
	{name: "M: E without undo", rules: less(formE, func(r *rules) { r.noUndo = true })},
	{name: "F: H2 without LSN, chain, replay dirty", rules: less(formH, func(r *rules) {
		r.noLSNOnWrite, r.noLSNOnReplay, r.noChain, r.noReplayDirty = true, true, true, true
	})},
	{name: "G: H2 without chain, replay dirty", rules: less(formH, func(r *rules) { r.noChain, r.noReplayDirty = true, true })},
	{name: "H: H2 without replay dirty", rules: less(formH, func(r *rules) { r.noReplayDirty = true })},
	{name: "I: H2 without LSN, replay dirty", rules: less(formH, func(r *rules) { r.noLSNOnWrite, r.noLSNOnReplay, r.noReplayDirty = true, true, true })},
	{name: "N: H2 without read check", rules: less(formH, func(r *rules) { r.noReadCheck = true })},
	{name: "O: H2 without base", rules: less(formH, func(r *rules) { r.noBase = true })},
	{name: "P: H2 without LSN", rules: less(formH, func(r *rules) { r.noLSNOnWrite, r.noLSNOnReplay = true, true })},
	{name: "Q: H2 without chain", rules: less(formH, func(r *rules) { r.noChain = true })},
	{name: "L: H2, goes on after an unanswered EndTxn", rules: less(formH, func(r *rules) { r.goOn = true })},
	{name: "F10: replay under the current configuration", rules: less(formH, func(r *rules) { r.currentConfig = true })},
	{name: "F12: missing marker taken as fresh", rules: less(formH, func(r *rules) { r.lossIsFresh = true })},
	{name: "F9: keys not counted", rules: less(formH, func(r *rules) { r.count = countNever })},
	{name: "F9: keys counted on joining only", rules: less(formH, func(r *rules) { r.count = countJoining })},
	{name: "F9: E, keys counted only where a customer is not there", rules: less(formE, func(r *rules) { r.count = countMissing })},
	{name: "F9: keys not counted by the flush", rules: less(formH, func(r *rules) { r.flushUncounted = true })},
	{name: "finding 4: transaction.version=1", rules: less(formH, func(r *rules) { r.oneEpoch = true })},
	{name: "takeover without fencing", rules: less(formH, func(r *rules) { r.noFence = true })},
	{name: "takeover with an offset from before the fence", rules: less(formH, func(r *rules) { r.fetchBeforeFence = true })},
	{name: "E, marker may move under a replay", rules: less(formE, func(r *rules) { r.replayOverMoved = true })},
	{name: "C, marker may move under a replay", rules: less(formC, func(r *rules) { r.replayOverMoved = true })},
	{name: "C, whole heads, without LSN guard on write", rules: less(formC, func(r *rules) { r.deltas, r.noLSNOnWrite = false, true })},
	{name: "C, blind delta", rules: less(formC, func(r *rules) { r.blindDelta = true })},
	{name: "C, delta without LSN", rules: less(formC, func(r *rules) { r.noDeltaLSN = true })},
	{name: "C, delta without length", rules: less(formC, func(r *rules) { r.noDeltaLength = true })},
	{name: "C, FULL lets the rest go on", rules: less(formC, func(r *rules) { r.fullMoves = true })},
	{name: "C, chunk after the head", rules: less(formC, func(r *rules) { r.chunksBehind = true })},
	{name: "C, deletion before the head", rules: less(formC, func(r *rules) { r.deleteAhead = true })},
	{name: "C, deletion in a stream of its own", rules: less(formC, func(r *rules) { r.deleteApart = true })},
	{name: "C, missing chunk read as empty", rules: less(formC, func(r *rules) { r.missingIsEmpty = true })},
	{name: "C, head ahead of its marker vouches for chunks", rules: less(formC, func(r *rules) { r.headVouches = true })},
	{name: "S, chunk overwritten in place", rules: less(formS, func(r *rules) { r.chunkInPlace = true })},
	{name: "S, one chunk version per flush", rules: less(formS, func(r *rules) { r.versionPerFlush = true })},
}
