// Package model is the protocol between Kafka and the window store as a model: pure Go, one goroutine, seeded, and nothing but tests. A
// new idea for the protocol goes in here first, holds here, and fails here when a guard of it is taken away; only then is it coded.
//
// # What it covers
//
// One partition. The log (customer_test.go) holds events in order, late events, retractions and restorations, and configuration
// switches; a customer's state is all its rows, so that anything applied twice, not at all, or under another configuration shows at
// once. Newest rows are in the head, older ones in sealed chunks, the oldest leave. The broker (kafka_test.go) has a group with
// generations and static members, transactions that are open, decided, completed, timed out, fenced by InitProducerID, EndTxn requests
// and answers that are lost, doubled and late, and offsets that are unstable meanwhile. The store (redis_test.go) is a master and a
// replica that is behind: a failover loses a suffix or everything, and the old master serves on for a while; or the keys move to another
// server and some do not arrive. A lane (lane_test.go, judge_test.go, replay_test.go) is killed, or stands still and does not know that
// another has its place; it loads heads and chunks one read at a time, judges, aborts, evicts, replays, takes over. A flush
// (flush_test.go) is cut into calls, which go to whichever server the connection leads to, are reordered, doubled, held back for long,
// and whose answers are lost. sim_test.go makes all this happen in any order, about 600 steps and 70 committed records a run, and then
// lets the faults end: everything must come to rest, judged and stored. check_test.go compares each verdict, each write to the store and
// each lane's memory with the pure function of the log (oracle_test.go), and names the invariant of engine.md 4.11 that breaks.
//
// variants_test.go lists the forms that must hold, and every guard that can be taken away from them. A failing run is printed as the
// shortest schedule that still fails in the same way.
//
//	go test ./pipeline/model                                          a short run
//	make test-model RUNS=100000                                       the long one, with the table
//	STREAMGAUGE_TEST_MODEL_TRACE=1 go test -v -run Found ./pipeline/model    how each ablation breaks, step by step
//
// # What it leaves out
//
// Values are lists, not bytes: encodings, and what a header might say of the layout behind it, are not in question here. There is no
// epoch (engine.md: not needed), no dedupe, no facts, one marker of one topic. Partitions share nothing but a session, so that one is
// enough. Emptying a partition and reading its log from 0 is always possible here.
//
// # What the code must keep
//
// Script, per call, before it writes anything: the count of keys; base CAS; chain token; LSN guard, which skips a customer's head,
// chunks and deletions together; deltas, each only onto exactly the LSN and the length that it was made for. One that does not fit makes
// the whole call write nothing and answer FULL, so that neither later calls nor the marker can follow. Length is not implied by the LSN:
// after a failover another owner's replay may have stored the same LSN in another layout, under the very marker that a late flush stands
// on.
//
// A head's units stand in log order and say all that they do; its header follows from the customer at its LSN, never from the layout.
// Then two stored values of one LSN mean the same, and a delta is right on either if it is put at the end.
//
// What a lane believes of a stored value changes only by a load, or by a flush of which every call was answered OK. After any other end
// beliefs stay as they were; the checks in the script answer for them.
//
// A chunk's version counts its edits since it was sealed, bumped by the fold and undone with it. Content follows from the name then,
// whoever writes it. A version per flush does not do: two owners flush at different places, and write different bytes under one name.
//
// A chunk is dirty, hence kept in memory and written, while its last edit is above what a marker vouches for: the smaller of the loaded
// head's LSN and the marker that came with it; after a confirmed flush, of the head's LSN and the flush's end. The head's LSN alone does
// not do: a replay loads a head that another owner's broken flush left ahead of the marker, a failover takes that back and leaves the
// marker, and the replay's own flush would name a chunk that nobody has.
//
// Chunks go in the call of the head that names them, or in an earlier one of the same flush. Superseded names are deleted in that call
// too, or later in the flush; not earlier, and not by a command of its own, which after a failover meets a head that still names them.
// The LSN guard is what keeps a late older head from coming back to names that are deleted.
//
// To delete are all names that the customer has had since the stored state that is believed, intermediate versions too, without those
// that live. With whole entries the stored chunks are then those of the stored heads but for a double fault: a partial flush, read by a
// replay, and lost. What is orphaned costs memory, never a verdict.
//
// A chunk that is not there means that the head in memory is not what is stored any more: drop and rebuild. It happens to a replay,
// without any loss, while the marker is where it was.
//
// A replay folds under the configuration of the place, skips what a loaded head holds, marks every customer that it touches dirty,
// skipped or not, and begins again when the marker moves under it, or when a flush of its own is not confirmed.
//
// Offsets are fetched after the fence, and stable; those read before it may be followed by a commit that was decided already. The last
// committer, whom the metadata names, need not be who left the transaction open: then only the transaction's timeout helps, and a lane
// tries once and waits. Right after EndTxn is answered its offsets are not visible yet: that the store is ahead of the group is judged
// against a stable fetch only.
//
// Keys that vanish one by one, as when a slot is moved the classic way and its new server fails over, are found by counting: a call of a
// flush, every one, keeps the number of keys in the marker's hash. It is compared with the store's own count on joining; in the step
// that finds a customer missing, for a live lane would take it for a new one; and by each call of a flush, which else adds keys to a
// count that began anew with a lost marker, until the two agree by chance. Emptying deletes the marker's hash first and again with every
// step, for a late flush of the first records would go on behind its chain token; then it counts again, for a failover may bring back
// what was deleted.
//
// # Guards that others carry
//
// Without chunks, the LSN guard on write is carried by the chain token together with the replay's own guard and its dirty marks (0
// violations); with chunks it is needed. A replay in H2 may see the marker move, for the LSN guard skips what the heads hold; in E,
// which has none, and with chunks it may not. Deleting in a later call, or only the believed names, costs memory alone.
package model
