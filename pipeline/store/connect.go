package store

import (
	"time"

	"github.com/redis/go-redis/v9"
)

// Client settings. Errors are tried again by us, not by the client, so that what they say is seen (nodes.go).
const (
	dialTimeout    = time.Second     // loopback and one region answer in milliseconds; a dead node must not hold a lane
	commandTimeout = 3 * time.Second // a call is 0.3 ms of Redis; a fork or a disk may stall it for a second
	stateInterval  = time.Second     // by default a dead master is kept for a minute
	poolSize       = 64              // connections to a node; a lane has one flush a partition and one load under way
)

// Options are how a single Redis at addr is reached.
func Options(addr string) *redis.Options {
	return &redis.Options{
		Addr: addr, MaxRetries: -1, DialTimeout: dialTimeout, DialerRetries: 1, ReadTimeout: commandTimeout, WriteTimeout: commandTimeout,
		ContextTimeoutEnabled: true, PoolSize: poolSize,
	}
}

// ClusterOptions are how a Redis Cluster is reached of which addrs are some nodes.
func ClusterOptions(addrs []string) *redis.ClusterOptions {
	return &redis.ClusterOptions{
		Addrs: addrs, MaxRetries: -1, MaxRedirects: -1, DialTimeout: dialTimeout, DialerRetries: 1, ReadTimeout: commandTimeout, WriteTimeout: commandTimeout,
		ContextTimeoutEnabled: true, PoolSize: poolSize, ClusterStateReloadInterval: stateInterval,
	}
}
