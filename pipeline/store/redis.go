package store

import (
	"context"
	"crypto/rand"
	_ "embed"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strconv"

	"github.com/redis/go-redis/v9"
)

// Scripts run by EVALSHA; where a master does not know one, it is loaded there (run).
var (
	//go:embed flush.lua
	flushSource string
	//go:embed wipe.lua
	wipeSource string
	//go:embed count.lua
	countSource string

	flushScript = redis.NewScript(flushSource)
	wipeScript  = redis.NewScript(wipeSource)
	countScript = redis.NewScript(countSource)

	scriptSources = map[*redis.Script]string{flushScript: flushSource, wipeScript: wipeSource, countScript: countSource}
)

// Redis is a Store in a single Redis or in a Redis Cluster (keys.go says under which names). Whatever it is asked runs on the master
// that holds the partition's slot, as one command. A single Redis must give it a database of its own, a Cluster slots of its own: keys
// are counted.
type Redis struct {
	nodes      nodes
	tags       []string // by partition
	partitions int32
}

// NewRedis uses client, which the caller closes: a *redis.Client or a *redis.ClusterClient.
func NewRedis(client redis.UniversalClient, generation, partitions int32) *Redis {
	return &Redis{nodes: newNodes(client, partitions), tags: tags(generation, partitions), partitions: partitions}
}

func (s *Redis) key(p int32, name string) string { return s.tags[p] + ":" + name }

func (s *Redis) markerKey(p int32) string { return s.key(p, "m") }

// Load implements Store by one MGET, which Redis runs as one step.
func (s *Redis) Load(ctx context.Context, p int32, keys [][]byte) (Marker, [][]byte, error) {
	if len(keys) == 0 {
		m, err := s.count(ctx, p)
		return m, nil, err
	}
	names := make([]string, 0, len(keys)+1)
	names = append(names, s.markerKey(p))
	for _, k := range keys {
		names = append(names, s.key(p, headName(hashed(k))))
	}
	return s.read(ctx, p, names)
}

// LoadChunks implements Store.
func (s *Redis) LoadChunks(ctx context.Context, p int32, refs []ChunkRef) (Marker, [][]byte, error) {
	names := make([]string, 0, len(refs)+1)
	names = append(names, s.markerKey(p))
	for _, r := range refs {
		names = append(names, s.key(p, chunkName(hashed(r.Key), r.Name)))
	}
	return s.read(ctx, p, names)
}

// read gets names, the marker's first.
func (s *Redis) read(ctx context.Context, p int32, names []string) (Marker, [][]byte, error) {
	var got []any
	err := s.on(ctx, p, func(c *redis.Client) (err error) {
		got, err = c.MGet(ctx, names...).Result()
		return err
	})
	if err != nil {
		return Marker{}, nil, fmt.Errorf("redis: partition %d: load %d keys: %w", p, len(names)-1, err)
	}
	text, _ := got[0].(string)
	now, err := parseStored(text)
	if err != nil {
		return Marker{}, nil, fmt.Errorf("redis: partition %d: %w", p, err)
	}
	values := make([][]byte, len(names)-1)
	for i := range values {
		if v, ok := got[i+1].(string); ok {
			values[i] = []byte(v)
		}
	}
	return now.marker, values, nil
}

// interrupted is a flush of which a call found that the one before it is not the last that was applied: another flush came between, or a
// failover lost it.
func interrupted(f *Flush, call int) error {
	return fmt.Errorf("%w: partition %d: flush to offset %d at its call %d", errInterrupted, f.Partition, f.Next.Offset, call)
}

// Flush implements Store by flush.lua.
func (s *Redis) Flush(ctx context.Context, f *Flush) (Result, error) {
	f.check()
	id := flushID()
	if f.Replace {
		if err := s.wipe(ctx, f.Partition, id); err != nil {
			return Result{}, fmt.Errorf("redis: partition %d: empty it: %w", f.Partition, err)
		}
		id = flushID()
	}
	calls := split(f.Entries, callKeys, callBytes)
	for i := range calls {
		next := ""
		if i == len(calls)-1 {
			next = f.Next.String()
		}
		names, args := s.encode(f, &calls[i], next, id, i)
		var reply []any
		err := s.on(ctx, f.Partition, func(c *redis.Client) (err error) {
			reply, err = run(ctx, c, flushScript, names, args...).Slice()
			return err
		})
		if err != nil {
			return Result{}, fmt.Errorf("redis: partition %d: call %d of %d of a flush of %d customers to offset %d: %w", f.Partition, i+1, len(calls), len(f.Entries), f.Next.Offset, err)
		}
		out, more, err := answer(f, &calls[i], reply, i)
		if err != nil {
			return Result{}, fmt.Errorf("redis: %w", err)
		}
		if !more {
			return out, nil
		}
	}
	return Result{Now: f.Next}, nil
}

// answer reads flush.lua's reply; more: the call is applied and the next one may follow.
func answer(f *Flush, c *call, reply []any, index int) (out Result, more bool, err error) {
	if len(reply) < 2 {
		return out, false, fmt.Errorf("partition %d: flush answered %v", f.Partition, reply)
	}
	text, _ := reply[1].(string)
	if out.Now, err = ParseMarker(text); err != nil {
		return out, false, fmt.Errorf("partition %d: %w", f.Partition, err)
	}
	switch reply[0] {
	case "OK":
		return out, true, nil
	case "BASE":
		return out, false, nil
	case "CHAIN":
		return out, false, interrupted(f, index)
	case "FULL":
		for _, x := range reply[2:] {
			i, ok := x.(int64)
			if !ok || i < 2 || int(i)-2 >= len(c.ops) {
				return out, false, fmt.Errorf("partition %d: flush answered %v", f.Partition, reply)
			}
			out.Full = append(out.Full, c.ops[i-2].entry.Key) // KEYS[1] is the marker
		}
		return out, false, nil
	}
	return out, false, fmt.Errorf("partition %d: flush answered %v", f.Partition, reply)
}

// encode is a call as flush.lua takes it.
func (s *Redis) encode(f *Flush, c *call, next, id string, index int) (names []string, args []any) {
	names = make([]string, 0, len(c.ops)+1)
	args = make([]any, 0, 3*len(c.ops)+4)
	names = append(names, s.markerKey(f.Partition))
	args = append(args, f.Base.String(), next, id, strconv.Itoa(index))
	for i := range c.ops {
		o := &c.ops[i]
		names = append(names, s.key(f.Partition, o.name))
		args = append(args, string(rune(o.kind)))
		switch o.kind {
		case opGuard:
			args = append(args, lsnText(o.entry.LSN))
		case opChunk:
			args = append(args, o.value)
		case opWhole:
			args = append(args, lsnText(o.entry.LSN), o.entry.Value)
		case opDelta:
			d := o.entry.Delta
			args = append(args, lsnText(o.entry.LSN), lsnText(d.FromLSN), strconv.Itoa(d.Length), d.Header, d.Tail)
		}
	}
	return names, args
}

func lsnText(lsn int64) []byte { return binary.BigEndian.AppendUint64(nil, uint64(lsn)) }

// flushID tells flushes apart; it decides nothing that anybody sees.
func flushID() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// run is EVALSHA, after SCRIPT LOAD where the master does not know the script: it is new, was restarted, or was told SCRIPT FLUSH.
func run(ctx context.Context, c *redis.Client, script *redis.Script, names []string, args ...any) *redis.Cmd {
	cmd := c.EvalSha(ctx, script.Hash(), names, args...)
	if redis.HasErrorPrefix(cmd.Err(), "NOSCRIPT") {
		if err := c.ScriptLoad(ctx, scriptSources[script]).Err(); err != nil {
			cmd.SetErr(err)
			return cmd
		}
		cmd = c.EvalSha(ctx, script.Hash(), names, args...)
	}
	return cmd
}
