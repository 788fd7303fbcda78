package peers

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/streamgauge/streamgauge/topology"
)

// site is where the servers of one round answer.
type site struct {
	brokers []string
	redis   string
}

// ground gives each round servers without a trace of an earlier one.
type ground interface {
	// open fails where something of ours is there already.
	open(ctx context.Context, topo *topology.Topology) (site, error)
	// close takes away what the round left: its topics, its consumer group, its windows.
	close(ctx context.Context, t *task) error
	// String says in a report what servers they are.
	String() string
}

// embedded are the servers of the demo, in a process of their own and new for each round.
type embedded struct{ servers *process }

func (*embedded) String() string { return "embedded Kafka and Redis, in a process of their own" }

func (g *embedded) open(ctx context.Context, _ *topology.Topology) (site, error) {
	p, err := start(asServers, &task{})
	if err != nil {
		return site{}, err
	}
	a, err := p.answer(ctx)
	if err != nil {
		return site{}, errors.Join(err, p.stop())
	}
	g.servers = p
	return site{brokers: a.Kafka, redis: a.Redis}, nil
}

func (g *embedded) close(context.Context, *task) error { return g.servers.stop() }

// given are servers of the user's. Topics have fixed names, so bench makes and deletes them, and begins only where none of them is
// there: it must never be what empties somebody's log.
type given struct {
	brokers []string
	redis   string
}

func (g *given) String() string {
	return fmt.Sprintf("Kafka at %s, Redis at %s", strings.Join(g.brokers, ","), g.redis)
}

func (g *given) open(ctx context.Context, topo *topology.Topology) (site, error) {
	admin, err := connect(g.brokers)
	if err != nil {
		return site{}, err
	}
	defer admin.Close()
	there, err := listed(ctx, admin, topo)
	if err != nil {
		return site{}, err
	}
	if len(there) > 0 {
		return site{}, fmt.Errorf("kafka at %s holds topics %s: bench makes topics of these names and deletes them, so it begins only where none is. Give it a cluster of its own, such as `bash deploy/servers/servers.sh run bin/streamgauge bench …` starts",
			strings.Join(g.brokers, ","), strings.Join(there, ", "))
	}
	client := redis.NewClient(&redis.Options{Addr: g.redis})
	defer client.Close()
	switch n, err := client.DBSize(ctx).Result(); {
	case err != nil:
		return site{}, fmt.Errorf("redis at %s: %w", g.redis, err)
	case n > 0:
		return site{}, fmt.Errorf("redis at %s holds %d keys in database 0: bench needs it empty; give it a Redis of its own", g.redis, n)
	}
	return site{brokers: g.brokers, redis: g.redis}, nil
}

func (g *given) close(ctx context.Context, t *task) error {
	admin, err := connect(g.brokers)
	if err != nil {
		return err
	}
	defer admin.Close()
	return errors.Join(deleteGroup(ctx, admin, t.Group), deleteTopics(ctx, admin, t.topology()), g.deleteWindows(ctx, t.Config.Generation))
}

func connect(brokers []string) (*kadm.Client, error) {
	cl, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.MetadataMinAge(20*time.Millisecond), kgo.RetryTimeout(10*time.Second))
	if err != nil {
		return nil, fmt.Errorf("kafka: %w", err)
	}
	return kadm.NewClient(cl), nil
}

// listed are the topology's topics that the brokers hold.
func listed(ctx context.Context, admin *kadm.Client, topo *topology.Topology) (names []string, err error) {
	all, err := admin.ListTopics(ctx)
	if err != nil {
		return nil, fmt.Errorf("kafka: list topics: %w", err)
	}
	for _, x := range topo.Topics {
		if all.Has(x.Name) {
			names = append(names, x.Name)
		}
	}
	return names, nil
}

// deletedWithin bounds how long brokers may take to forget topics; a test broker takes a tenth of a second.
const deletedWithin = 30 * time.Second

func deleteTopics(ctx context.Context, admin *kadm.Client, topo *topology.Topology) error {
	ctx, cancel := context.WithTimeout(ctx, deletedWithin)
	defer cancel()
	names, err := listed(ctx, admin, topo)
	if err != nil || len(names) == 0 {
		return err
	}
	if r, err := admin.DeleteTopics(ctx, names...); err != nil {
		return fmt.Errorf("kafka: delete topics: %w", err)
	} else if err := r.Error(); err != nil {
		return fmt.Errorf("kafka: delete topics: %w", err)
	}
	return until(ctx, func() (bool, error) {
		names, err := listed(ctx, admin, topo)
		return len(names) == 0, err
	})
}

// deleteGroup sends the static members away, which would keep the group for their session timeout, and deletes it.
func deleteGroup(ctx context.Context, admin *kadm.Client, group string) error {
	described, err := admin.DescribeGroups(ctx, group)
	if err != nil {
		return fmt.Errorf("kafka: describe group %s: %w", group, err)
	}
	leave := kadm.LeaveGroup(group)
	for _, m := range described[group].Members {
		if m.InstanceID != nil {
			leave.InstanceIDs(*m.InstanceID)
		}
	}
	if _, err := admin.LeaveGroup(ctx, leave); err != nil {
		return fmt.Errorf("kafka: empty group %s: %w", group, err)
	}
	if _, err := admin.DeleteGroup(ctx, group); err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
		return fmt.Errorf("kafka: delete group %s: %w", group, err)
	}
	return nil
}

// deleteWindows deletes the keys of a generation, which were all this round's: the database was empty before.
func (g *given) deleteWindows(ctx context.Context, generation int32) error {
	client := redis.NewClient(&redis.Options{Addr: g.redis})
	defer client.Close()
	scan := client.Scan(ctx, 0, fmt.Sprintf("{%d.*", generation), 1000).Iterator()
	for scan.Next(ctx) {
		if err := client.Unlink(ctx, scan.Val()).Err(); err != nil {
			return fmt.Errorf("redis at %s: %w", g.redis, err)
		}
	}
	if err := scan.Err(); err != nil {
		return fmt.Errorf("redis at %s: %w", g.redis, err)
	}
	return nil
}

// pollEvery is how often bench asks the brokers how far something is: 1 % of the shortest round that means something.
const pollEvery = 10 * time.Millisecond

// until asks again and again until done, an error, or the end of ctx.
func until(ctx context.Context, done func() (bool, error)) error {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		if ok, err := done(); ok || err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
