package pipeline

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streamgauge/streamgauge/schemas"
	"github.com/streamgauge/streamgauge/topology"
)

// mortal is a network that a process loses when it sends EndTxn: what kill -9 looks like between TxnOffsetCommit and EndTxn.
type mortal struct {
	armed, dead atomic.Bool
	silent      bool // it is not dead, only slow: its connections stay, and what it sends meanwhile arrives later
	held        chan struct{}
}

type mortalConn struct {
	net.Conn
	m *mortal
}

func (m *mortal) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if m.dead.Load() && !m.silent {
		return nil, errors.New("this process is dead")
	}
	c, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return &mortalConn{Conn: c, m: m}, nil
}

func (c *mortalConn) Write(b []byte) (int, error) {
	if len(b) > 6 && binary.BigEndian.Uint16(b[4:]) == uint16(kmsg.EndTxn) && c.m.armed.Load() {
		c.m.dead.Store(true)
		if c.m.silent {
			<-c.m.held
			return c.Conn.Write(b)
		}
	}
	if c.m.dead.Load() && !c.m.silent {
		c.Conn.Close()
		return 0, errors.New("this process is dead")
	}
	return c.Conn.Write(b)
}

// takenOver has a first session die, or stop for a while, between TxnOffsetCommit and EndTxn, and a second one of other names get its
// partition. It returns how long that took, and the first session, whose Commit sends its outcome.
func takenOver(t *testing.T, env *Env, stage *topology.Stage, silent bool) (took time.Duration, outcome chan error, m *mortal) {
	t.Helper()
	m = &mortal{silent: silent, held: make(chan struct{})}
	dying := *env
	dying.Dial = m.dial
	first := join(t, &dying, stage, "first")
	commit := func() (bool, error) {
		var at Place
		for at.Offset == 0 {
			polled, _ := turn(t, first)
			if len(polled.Parts) > 0 {
				rs := polled.Parts[0].Records
				at = Place{Partition: 0, Offset: rs[len(rs)-1].Offset + 1}
			}
			if t.Context().Err() != nil {
				t.Fatal("no records")
			}
		}
		at.Metadata = (&note{Generation: 1, Partitions: 1, TopicID: "x", Committer: transactionalID("first")}).String()
		if err := first.Begin(); err != nil {
			t.Fatal(err)
		}
		first.Produce(&kgo.Record{Topic: schemas.Facts.Name, Value: []byte("fact")})
		return first.Commit(t.Context(), []Place{at})
	}
	if ok, err := commit(); !ok || err != nil {
		t.Fatalf("the first commit: %v, %v", ok, err)
	}
	produceEvent(t, env)
	m.armed.Store(true)
	outcome = make(chan error, 1)
	go func() {
		_, err := commit()
		outcome <- err
	}()
	for !m.dead.Load() {
		wait(t.Context(), time.Millisecond)
	}
	admin := adminOf(t, env)
	if _, err := admin.LeaveGroup(t.Context(), kadm.LeaveGroup(stage.Group).InstanceIDs("streamgauge-first")); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	second := join(t, env, stage, "second")
	for gained := false; !gained; {
		_, owned := turn(t, second)
		for _, o := range owned {
			gained = gained || o.Gained
			if o.Gained && o.Committed.Offset != 1 {
				t.Errorf("taken over at offset %d, want 1: the open transaction is aborted", o.Committed.Offset)
			}
		}
		if time.Since(began) > 30*time.Second {
			t.Fatal("the partition did not come within 30 s")
		}
	}
	return time.Since(began), outcome, m
}

func adminOf(t *testing.T, env *Env) *kadm.Client {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(env.Config.Kafka.Brokers...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return kadm.NewClient(cl)
}

func produceEvent(t *testing.T, env *Env) {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(env.Config.Kafka.Brokers...))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	if err := cl.ProduceSync(t.Context(), &kgo.Record{Topic: schemas.Events.Name, Value: []byte("event")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

// takeoverBroker is the embedded broker, or the one that the environment names, with one event in one partition.
func takeoverBroker(t *testing.T, served bool) (*Env, *topology.Stage) {
	t.Helper()
	if !served {
		env, stage, cl := broker(t, 1, 1)
		if _, err := kadm.NewClient(cl).CreateTopic(t.Context(), 1, 1, nil, schemas.Facts.Name); err != nil {
			t.Fatal(err)
		}
		return env, stage
	}
	brokers := os.Getenv("STREAMGAUGE_TEST_KAFKA")
	if brokers == "" {
		t.Skip("STREAMGAUGE_TEST_KAFKA names no broker: make test-servers starts one")
	}
	env, stage, _ := broker(t, 1, 0)
	env.Config.Kafka.Brokers = strings.Split(brokers, ",")
	unlike := *stage
	unlike.Group += "-takeover"
	admin := adminOf(t, env)
	for _, topic := range []string{schemas.Events.Name, schemas.Facts.Name} {
		r, err := admin.CreateTopic(t.Context(), 1, 1, nil, topic)
		if err != nil || r.Err != nil {
			t.Skipf("topic %s cannot be made, and this test would delete it (%v, %v): make test-servers starts a fresh broker", topic, err, r.Err)
		}
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 20*time.Second)
		defer cancel()
		if _, err := admin.DeleteTopics(ctx, schemas.Events.Name, schemas.Facts.Name); err != nil {
			t.Error(err)
		}
	})
	for ready := false; !ready; {
		known, err := admin.ListTopics(t.Context(), schemas.Events.Name, schemas.Facts.Name)
		ready = err == nil && known.Error() == nil
	}
	produceEvent(t, env)
	return env, &unlike
}

func TestTakeover_ADeadCommittersTransactionEndsAtOnce(t *testing.T) {
	env, stage := takeoverBroker(t, false)
	if took, _, _ := takenOver(t, env, stage, false); took > 4*time.Second {
		t.Errorf("the partition came after %s; the transaction timeout is %s, and this must not wait for it", took, txnTimeout)
	}
}

// A lane that is not dead but slow finds itself fenced: what it has begun comes to nothing.
func TestTakeover_ALiveZombieIsFenced(t *testing.T) {
	env, stage := takeoverBroker(t, false)
	_, outcome, m := takenOver(t, env, stage, true)
	m.armed.Store(false)
	close(m.held)
	if err := <-outcome; !errors.Is(err, kerr.InvalidProducerEpoch) && !errors.Is(err, kerr.ProducerFenced) && !errors.Is(err, kerr.InvalidTxnState) {
		t.Errorf("the zombie's commit ended with %v, want fenced", err)
	}
}

func TestServers_TakeoverOfADeadCommittersTransactionIsQuick(t *testing.T) {
	env, stage := takeoverBroker(t, true)
	took, _, _ := takenOver(t, env, stage, false)
	t.Logf("taken over in %s", took)
	if took > 5*time.Second {
		t.Errorf("the partition came after %s; brokers look for timed out transactions every 10 s, and this must not wait for that", took)
	}
}
