package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"

	"github.com/redis/go-redis/v9"
)

// ErrOperator is a refusal that does not go by: somebody has to change the servers or the configuration, and the message says what.
// After it nothing is known of a flush, as after any other error, and trying on is right: the change may come while we run.
var ErrOperator = errors.New("window store: somebody has to act")

// errInterrupted is a flush between whose calls another one came. Nothing is lost; it is flushed again.
var errInterrupted = errors.New("window store: interrupted by another flush, or by a failover")

// refusal is what an error of Redis means for us.
type refusal struct {
	again     bool   // goes by in a moment: tried again inside
	elsewhere bool   // who has the slot must be asked anew
	moving    bool   // the slot's keys may not all be where they were: count them
	advice    string // not "": ErrOperator, and what to do
}

// refusals by the word that the error begins with.
var refusals = map[string]refusal{
	"LOADING":     {again: true}, // its data after a restart
	"MASTERDOWN":  {again: true, elsewhere: true},
	"READONLY":    {again: true, elsewhere: true, advice: "this is a replica: give the master's address, or all nodes in redis.addresses with redis.cluster: true"},
	"CLUSTERDOWN": {again: true, elsewhere: true},
	"TRYAGAIN":    {again: true, elsewhere: true, moving: true}, // some keys of the slot are here, some are there
	"MOVED":       {again: true, elsewhere: true, moving: true},
	"ASK":         {again: true, elsewhere: true, moving: true}, // not followed: the slot is served again when its keys are in one place
	"BUSY":        {again: true},                                // a script of somebody else
	"NOREPLICAS":  {again: true, advice: "fewer replicas are connected than min-replicas-to-write asks for: start them"},
	"NOSCRIPT":    {again: true}, // told SCRIPT FLUSH between SCRIPT LOAD and EVALSHA
	"OOM":         {advice: "Redis has reached its maxmemory, and evicts nothing, as it must: raise maxmemory, or add shards"},
	"MISCONF":     {advice: "Redis cannot write to its disk and takes no writes: see its log, make room"},
	"NOAUTH":      {advice: "give redis.username and redis.password"},
	"WRONGPASS":   {advice: "redis.username or redis.password is wrong"},
	"NOPERM":      {advice: "allow the user of redis.username: +get +mget +set +setrange +getrange +strlen +exists +del +evalsha +script|load +dbsize +scan +info +cluster, ~{*"},
	"CROSSSLOT":   {advice: "a proxy that does not know hash tags is in between: give the nodes' own addresses"},
}

// notCluster is what a MOVED means to a client of a single Redis.
var notCluster = refusal{advice: "the address is of a node of a Redis Cluster: set redis.cluster: true"}

// classify says what an error means. What it does not know is not tried again.
func classify(err error, cluster bool) refusal {
	var said redis.Error
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return refusal{elsewhere: true} // the time is up; a master that hangs may have been replaced
	case errors.As(err, &said):
		word, _, _ := strings.Cut(strings.TrimPrefix(said.Error(), "ERR "), " ")
		if !cluster && (word == "MOVED" || word == "ASK") {
			return notCluster
		}
		if strings.HasPrefix(said.Error(), "ERR max number of clients reached") {
			return refusal{again: true, advice: "raise maxclients of Redis"}
		}
		return refusals[word]
	}
	var network net.Error
	if errors.As(err, &network) && network.Timeout() {
		return refusal{elsewhere: true} // took ReadTimeout already
	}
	broken := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.As(err, &network)
	return refusal{again: broken, elsewhere: broken}
}

// wrap adds what to do.
func (r refusal) wrap(err error) error {
	if r.advice == "" {
		return err
	}
	return fmt.Errorf("%w: %w. %s", ErrOperator, err, r.advice)
}
