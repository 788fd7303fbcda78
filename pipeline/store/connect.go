package store

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// Settings say where Redis is.
type Settings struct {
	Addresses          []string // host:port; of a Cluster some nodes, any
	Cluster            bool     // false: asked of the first node that answers
	Database           int      // of a single Redis, our own; a Cluster has none but 0
	Username, Password string
}

// Client settings. Errors are tried again by us, not by the client, so that what they say is seen (nodes.go).
const (
	dialTimeout    = time.Second     // loopback and one region answer in milliseconds; a dead node must not hold a lane
	commandTimeout = 3 * time.Second // a call is 0.3 ms of Redis; a fork or a disk may stall it for a second
	stateInterval  = time.Second     // by default a dead master is kept for a minute
	poolSize       = 64              // connections to a node; a lane has one flush a partition and one load under way
	oldestRedis    = 7               // scripts are replicated by their effects, and say OOM as a command does
)

// still: a server that announces a move would have its connections follow it, past our count of the keys at the new place.
var still = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}

// Options are how a single Redis is reached at the first address.
func (s Settings) Options() *redis.Options {
	return &redis.Options{
		Addr: s.Addresses[0], DB: s.Database, Username: s.Username, Password: s.Password,
		MaxRetries: -1, DialTimeout: dialTimeout, DialerRetries: 1, ReadTimeout: commandTimeout, WriteTimeout: commandTimeout,
		ContextTimeoutEnabled: true, PoolSize: poolSize, MaintNotificationsConfig: still,
	}
}

// ClusterOptions are how a Redis Cluster is reached.
func (s Settings) ClusterOptions() *redis.ClusterOptions {
	return &redis.ClusterOptions{
		Addrs: s.Addresses, Username: s.Username, Password: s.Password,
		MaxRetries: -1, MaxRedirects: -1, DialTimeout: dialTimeout, DialerRetries: 1, ReadTimeout: commandTimeout, WriteTimeout: commandTimeout,
		ContextTimeoutEnabled: true, PoolSize: poolSize, ClusterStateReloadInterval: stateInterval, MaintNotificationsConfig: still,
	}
}

// Open reaches Redis once and checks that it is fit to hold windows: of a version that we know, a master, and evicting nothing; every
// master of a Cluster. The caller closes the client. ErrOperator: it answered, and trying again without a change is in vain.
func Open(ctx context.Context, s Settings) (redis.UniversalClient, error) {
	var errs []error
	for _, address := range s.Addresses {
		one := s
		one.Addresses = []string{address}
		client := redis.NewClient(one.Options())
		facts, err := about(ctx, client)
		if err != nil {
			client.Close()
			errs = append(errs, fmt.Errorf("%s: %w", address, classify(err, s.Cluster).wrap(err)))
			continue
		}
		if !s.Cluster && facts["redis_mode"] != "cluster" {
			if err := errors.Join(one.single(facts, len(s.Addresses)), fit(address, facts)); err != nil {
				client.Close()
				return nil, err
			}
			return client, nil
		}
		client.Close()
		if err := s.clustered(address, facts); err != nil {
			return nil, err
		}
		cluster := redis.NewClusterClient(s.ClusterOptions())
		if err := fitCluster(ctx, cluster); err != nil {
			cluster.Close()
			return nil, err
		}
		return cluster, nil
	}
	return nil, errors.Join(errs...)
}

// about is INFO as a map. The embedded Redis says nothing of what we look for.
func about(ctx context.Context, c *redis.Client) (map[string]string, error) {
	text, err := c.Info(ctx).Result()
	if err != nil {
		return nil, err
	}
	facts := map[string]string{}
	for line := range strings.Lines(text) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			facts[key] = value
		}
	}
	return facts, nil
}

// single checks what a single Redis must be besides fit.
func (s Settings) single(facts map[string]string, addresses int) error {
	address := s.Addresses[0]
	switch {
	case facts["redis_mode"] == "sentinel":
		return fmt.Errorf("%w: %s is a Sentinel: give the address of the master that it watches", ErrOperator, address)
	case facts["role"] == "slave": // may be about to be promoted
		return fmt.Errorf("%s is a replica of %s:%s: give the master's address", address, facts["master_host"], facts["master_port"])
	case addresses > 1:
		return fmt.Errorf("%w: %d addresses are given, and %s is not a node of a Redis Cluster: give the one Redis to be used", ErrOperator, addresses, address)
	}
	return nil
}

// clustered checks that the node can be of a Cluster.
func (s Settings) clustered(address string, facts map[string]string) error {
	switch {
	case facts["redis_mode"] != "cluster":
		return fmt.Errorf("%w: redis.cluster is true, and %s is not a node of a Redis Cluster", ErrOperator, address)
	case s.Database != 0:
		return fmt.Errorf("%w: redis.database is %d, and %s is a node of a Redis Cluster, which has none but 0", ErrOperator, s.Database, address)
	}
	return nil
}

// fit checks what any Redis must be that holds windows. What it does not say, as the embedded one, is not checked.
func fit(address string, facts map[string]string) error {
	var errs []error
	if policy := facts["maxmemory_policy"]; policy != "" && policy != "noeviction" {
		errs = append(errs, fmt.Errorf("%w: Redis at %s has maxmemory-policy %s: it would throw windows away when memory is short. Set maxmemory-policy noeviction there, in its file and by CONFIG SET", ErrOperator, address, policy))
	}
	if version := facts["redis_version"]; version != "" {
		if major, err := strconv.Atoi(strings.Split(version, ".")[0]); err != nil || major < oldestRedis {
			errs = append(errs, fmt.Errorf("%w: Redis at %s is version %s: it must be %d or newer, or Valkey", ErrOperator, address, version, oldestRedis))
		}
	}
	return errors.Join(errs...)
}

// fitCluster checks every master, and every replica that answers: it may be a master tomorrow. All mistakes come at once.
func fitCluster(ctx context.Context, c *redis.ClusterClient) error {
	var mu sync.Mutex
	var mistakes []error
	check := func(silent bool) func(context.Context, *redis.Client) error {
		return func(ctx context.Context, node *redis.Client) error {
			facts, err := about(ctx, node)
			if err != nil {
				if silent {
					return nil
				}
				return fmt.Errorf("%s: %w", node.Options().Addr, err)
			}
			if err := fit(node.Options().Addr, facts); err != nil {
				mu.Lock()
				defer mu.Unlock()
				mistakes = append(mistakes, err)
			}
			return nil
		}
	}
	err := c.ForEachMaster(ctx, check(false))
	if err == nil {
		err = c.ForEachSlave(ctx, check(true))
	}
	if err != nil {
		mistakes = append(mistakes, classify(err, true).wrap(err))
	}
	return errors.Join(mistakes...)
}
