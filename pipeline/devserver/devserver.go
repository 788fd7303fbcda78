// Package devserver is what runs embedded: a Kafka broker and a Redis in this process, and the ClickHouse engine in a sidecar. The
// demo, the tests and the benches use it; every server listens on loopback only and dies with the process.
package devserver

import (
	"context"
	"fmt"

	"github.com/alicebob/miniredis/v2"
	"github.com/twmb/franz-go/pkg/kfake"
)

// Servers are an embedded broker and Redis, in memory.
type Servers struct {
	Kafka *kfake.Cluster
	Redis *miniredis.Miniredis
}

// Start starts both on ports that the system chooses.
func Start(_ context.Context) (*Servers, error) {
	kafka, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.BrokerConfigs(map[string]string{
		"group.initial.rebalance.delay.ms":         "0",
		"group.consumer.heartbeat.interval.ms":     "500",
		"group.consumer.min.heartbeat.interval.ms": "100",
	}))
	if err != nil {
		return nil, fmt.Errorf("embedded kafka: %w", err)
	}
	redis := miniredis.NewMiniRedis()
	if err := redis.StartAddr("127.0.0.1:0"); err != nil {
		kafka.Close()
		return nil, fmt.Errorf("embedded redis: %w", err)
	}
	return &Servers{Kafka: kafka, Redis: redis}, nil
}

// Brokers are the broker's addresses.
func (s *Servers) Brokers() []string { return s.Kafka.ListenAddrs() }

// RedisAddress is where the Redis listens.
func (s *Servers) RedisAddress() string { return s.Redis.Addr() }

// Close stops both.
func (s *Servers) Close() {
	s.Redis.Close()
	s.Kafka.Close()
}
