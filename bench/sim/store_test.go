package sim

import (
	"context"
	"errors"
	"time"

	"github.com/streamgauge/streamgauge/pipeline/store"
)

// redis is the window store as a master and what its replicas had, and, while it is split, an old master that some still reach.
type redis struct {
	w     *world
	now   *store.Memory
	then  []*store.Memory // what a replica may have been promoted with: earlier states, the newest last
	old   *store.Memory   // the old master of a split; nil: there is none
	stays map[*process]bool
	down  time.Time // nobody reaches it until then
}

func newRedis(w *world) *redis {
	r := &redis{w: w, stays: map[*process]bool{}}
	r.promote(store.NewMemory())
	return r
}

// promote makes a state the master's.
func (r *redis) promote(m *store.Memory) {
	r.now = m.Snapshot()
	r.now.Between, r.now.CallKeys = r.between, r.w.callKeys
}

// between lets others in between two calls of a flush.
func (r *redis) between(int32, int) error {
	t := r.w.cur
	if !r.w.parked(r.w.now.Add(time.Duration(r.w.rnd.IntN(3000))*time.Microsecond), nil) {
		return errDead
	}
	if t.proc.takeCut() {
		return errors.New("the connection was cut between two calls")
	}
	return nil
}

var errDead = errors.New("the process was killed between two calls")

// reached is the node that a process talks to.
func (r *redis) reached(p *process) *store.Memory {
	if r.old != nil && r.stays[p] {
		return r.old
	}
	return r.now
}

// keep remembers the master's state as one that a replica may have.
func (r *redis) keep() {
	if r.then = append(r.then, r.now.Snapshot()); len(r.then) > 8 {
		r.then = r.then[1:]
	}
}

// client is the pipeline's Store in one process.
type client struct {
	r *redis
	p *process
}

var errAway = errors.New("redis does not answer")

func (c client) Load(ctx context.Context, p int32, keys [][]byte) (store.Marker, [][]byte, error) {
	c.r.w.pause()
	if c.r.down.After(c.r.w.now) {
		return store.Marker{}, nil, errAway
	}
	m, values, err := c.r.reached(c.p).Load(ctx, p, keys)
	c.r.w.pause()
	return m, values, err
}

func (c client) LoadChunks(ctx context.Context, p int32, refs []store.ChunkRef) (store.Marker, [][]byte, error) {
	c.r.w.pause()
	if c.r.down.After(c.r.w.now) {
		return store.Marker{}, nil, errAway
	}
	return c.r.reached(c.p).LoadChunks(ctx, p, refs)
}

func (c client) Flush(ctx context.Context, f *store.Flush) (store.Result, error) {
	w, fate := c.r.w, c.p.takeFlush()
	w.park(w.now.Add(fate.late), nil)
	if fate.before || c.r.down.After(w.now) {
		return store.Result{}, errAway
	}
	if at := c.r.w.group.decided(f.Partition); f.Next.Offset > max(at, 0) {
		w.fault("I4: a flush moves partition %d to offset %d, the group is at %d", f.Partition, f.Next.Offset, at)
	}
	c.r.keep()
	out, err := c.r.reached(c.p).Flush(ctx, f)
	if errors.Is(err, errDead) {
		panic(killed{})
	}
	w.pause()
	if fate.after {
		return store.Result{}, errAway
	}
	return out, err
}
