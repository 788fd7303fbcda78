package topology

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/streamgauge/streamgauge/operators"
)

// Config is the configuration file of run: where the servers are and how much of the machine to use. Rules and policy are not here:
// they enter through topic config, so that the log decides when they begin.
type Config struct {
	Organisation string   `yaml:"organisation"` // tenant; stands in every event
	Generation   int32    `yaml:"generation"`   // of the topology, from 1; another partition count is another generation
	Sources      []Source `yaml:"sources"`
	Rules        string   `yaml:"rules"` // folder that run publishes where topic config is empty; empty: the built-in library
	Kafka        Kafka    `yaml:"kafka"`
	Redis        Redis    `yaml:"redis"`
	ClickHouse   House    `yaml:"clickhouse"`
	Intake       Intake   `yaml:"intake"`
	Monitor      Monitor  `yaml:"monitor"`
}

// Source is operators.Source as the file writes it.
type Source struct {
	Name   string `yaml:"name"`
	Team   string `yaml:"team"`
	Topic  string `yaml:"topic"`
	Format string `yaml:"format"`
}

// Kafka says where the brokers are and what topics are made like.
type Kafka struct {
	Brokers     []string `yaml:"brokers"`      // host:port
	Partitions  int32    `yaml:"partitions"`   // of events and what is partitioned like it; fixed for a generation's life
	Replication int16    `yaml:"replication"`  // of topics that run creates
	MinInSync   int      `yaml:"min_in_sync"`  // replicas that must have a record before it is acknowledged
	EventsKept  Duration `yaml:"events_kept"`  // retention of events and facts
	StartupWait Duration `yaml:"startup_wait"` // how long run tries to reach the servers before it gives up
}

// Redis says where the window store is: a database, or a Cluster, that nobody else puts keys into.
type Redis struct {
	Address   string   `yaml:"address"`   // host:port
	Addresses []string `yaml:"addresses"` // instead of it: some nodes of a Cluster, any
	Cluster   bool     `yaml:"cluster"`   // false: asked of the first node that answers
	Database  int      `yaml:"database"`  // of a single Redis; a Cluster has none but 0
	Username  string   `yaml:"username"`
	Password  string   `yaml:"password"`
}

// Nodes are the addresses, whichever key gave them.
func (r *Redis) Nodes() []string {
	if len(r.Addresses) > 0 {
		return r.Addresses
	}
	return []string{r.Address}
}

// defaultRedis is where a file that says nothing looks.
const defaultRedis = "127.0.0.1:6379"

// House says where ClickHouse is; an empty URL switches the archive off.
type House struct {
	URL      string `yaml:"url"` // http://user:password@host:8123 or clickhouse://host:9000
	Database string `yaml:"database"`
}

// Intake bounds stage intake.
type Intake struct {
	Workers int `yaml:"workers"` // members of the consumer group in this process
}

// Monitor bounds stage monitor.
type Monitor struct {
	Lanes      int      `yaml:"lanes"`       // transactional sessions in this process; 2 to 4 a core let one's commit wait overlap another's work
	MaxPoll    int      `yaml:"max_poll"`    // records in one transaction at the most
	FlushEvery Duration `yaml:"flush_every"` // how long a changed customer waits for the window store: what a restart replays
	FlushAt    int      `yaml:"flush_at"`    // changed customers that do not wait
	Memory     int      `yaml:"memory"`      // MiB that the windows of this process may take; what the window store has is left to it beyond that
	EndOnHalt  bool     `yaml:"end_on_halt"` // end the process with the first partition that halts; false: its others go on, and it is reported every minute
}

// Duration is a time.Duration that YAML writes as text: 250ms, 72h.
type Duration time.Duration

// UnmarshalYAML implements yaml.Unmarshaler.
func (d *Duration) UnmarshalYAML(n *yaml.Node) error {
	v, err := time.ParseDuration(n.Value)
	if err != nil {
		// This type is what the decoder collects; any other error would end it there.
		return &yaml.TypeError{Errors: []string{fmt.Sprintf("line %d: %q is not a duration; write 250ms, 30s or 72h", n.Line, n.Value)}}
	}
	*d = Duration(v)
	return nil
}

// MarshalYAML implements yaml.Marshaler.
func (d Duration) MarshalYAML() (any, error) { return time.Duration(d).String(), nil }

// DefaultConfig is what a file need not say.
func DefaultConfig() Config {
	return Config{
		Organisation: "default",
		Generation:   1,
		Sources: []Source{
			{Name: "payments", Team: "default", Topic: "payments", Format: "spektr"},
			{Name: "transactions", Team: "default", Topic: "transactions", Format: "flat"},
		},
		Kafka:      Kafka{Brokers: []string{"127.0.0.1:9092"}, Partitions: 8, Replication: 1, MinInSync: 1, EventsKept: Duration(7 * 24 * time.Hour), StartupWait: Duration(30 * time.Second)},
		Redis:      Redis{Address: defaultRedis},
		ClickHouse: House{Database: "streamgauge"},
		Intake:     Intake{Workers: 2},
		Monitor:    Monitor{Lanes: 4, MaxPoll: 4000, FlushEvery: Duration(250 * time.Millisecond), FlushAt: 2000, Memory: 1024},
	}
}

// ParseConfig reads a configuration file over the defaults and checks it. Every mistake comes at once, unknown keys included.
func ParseConfig(text []byte) (Config, error) {
	c := DefaultConfig()
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	var errs []error
	if err := d.Decode(&c); err != nil && !errors.Is(err, io.EOF) {
		var many *yaml.TypeError
		if !errors.As(err, &many) {
			return c, fmt.Errorf("configuration: %w", err)
		}
		for _, m := range many.Errors {
			errs = append(errs, errors.New(strings.Replace(m, "field ", "key ", 1)))
		}
	}
	errs = append(errs, c.Check())
	if err := errors.Join(errs...); err != nil {
		return c, fmt.Errorf("configuration:\n%w", err)
	}
	return c, nil
}

// Limits of a configuration.
const (
	maxPartitions = 4096  // what the 16 bits of an assessment guid hold, with room
	maxLanes      = 256   // each is a Kafka client of its own
	maxPollLimit  = 50000 // records of one transaction: bounds memory and what an abort repeats
	minKept       = Duration(time.Hour)
	maxGeneration = 1<<15 - 1 // 16 bits of an assessment guid
)

// Check reports every mistake at once, by key and value.
func (c *Config) Check() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	between := func(key string, v, lo, hi int) {
		if v < lo || v > hi {
			bad("%s: %d is not between %d and %d", key, v, lo, hi)
		}
	}
	if c.Organisation == "" {
		bad("organisation: empty")
	}
	between("generation", int(c.Generation), 1, maxGeneration)
	if err := c.OperatorSources().Check(); err != nil {
		errs = append(errs, err)
	}
	if len(c.Kafka.Brokers) == 0 {
		bad("kafka.brokers: none; give at least one host:port")
	}
	for _, b := range c.Kafka.Brokers {
		if !hostPort(b) {
			bad("kafka.brokers: %q is not host:port", b)
		}
	}
	between("kafka.partitions", int(c.Kafka.Partitions), 1, maxPartitions)
	between("kafka.replication", int(c.Kafka.Replication), 1, 16)
	between("kafka.min_in_sync", c.Kafka.MinInSync, 1, max(1, int(c.Kafka.Replication)))
	if c.Kafka.EventsKept < minKept {
		bad("kafka.events_kept: %s is below %s", time.Duration(c.Kafka.EventsKept), time.Duration(minKept))
	}
	if c.Kafka.StartupWait < 0 {
		bad("kafka.startup_wait: %s is negative", time.Duration(c.Kafka.StartupWait))
	}
	c.Redis.check(bad)
	if c.ClickHouse.URL != "" {
		u, err := url.Parse(c.ClickHouse.URL)
		if err != nil || u.Host == "" || !slices.Contains([]string{"http", "https", "clickhouse", "tcp"}, u.Scheme) {
			bad("clickhouse.url: %q is not http://host:port, https://host:port or clickhouse://host:port; leave it empty to run without the archive", c.ClickHouse.URL)
		}
	}
	if c.ClickHouse.Database == "" || strings.ContainsAny(c.ClickHouse.Database, "`\\\"' ") {
		bad("clickhouse.database: %q is not a database name", c.ClickHouse.Database)
	}
	between("intake.workers", c.Intake.Workers, 1, maxLanes)
	between("monitor.lanes", c.Monitor.Lanes, 1, maxLanes)
	between("monitor.max_poll", c.Monitor.MaxPoll, 1, maxPollLimit)
	between("monitor.flush_at", c.Monitor.FlushAt, 1, 1_000_000)
	between("monitor.memory", c.Monitor.Memory, 16, 1<<24)
	if c.Monitor.FlushEvery <= 0 || c.Monitor.FlushEvery > Duration(time.Minute) {
		bad("monitor.flush_every: %s is not between 1ns and 1m", time.Duration(c.Monitor.FlushEvery))
	}
	return errors.Join(errs...)
}

// maxRedisDatabase is more than any Redis is configured with.
const maxRedisDatabase = 1 << 16

func (r *Redis) check(bad func(format string, args ...any)) {
	if !hostPort(r.Address) {
		bad("redis.address: %q is not host:port", r.Address)
	}
	if len(r.Addresses) > 0 && r.Address != defaultRedis && r.Address != "" {
		bad("redis.address: %q stands beside redis.addresses: give one of the two", r.Address)
	}
	seen := map[string]bool{}
	for _, a := range r.Addresses {
		switch {
		case !hostPort(a):
			bad("redis.addresses: %q is not host:port", a)
		case seen[a]:
			bad("redis.addresses: %q is given twice", a)
		}
		seen[a] = true
	}
	switch {
	case r.Database < 0 || r.Database > maxRedisDatabase:
		bad("redis.database: %d is not between 0 and %d", r.Database, maxRedisDatabase)
	case r.Database != 0 && r.Cluster:
		bad("redis.database: %d with redis.cluster: a Cluster has none but 0", r.Database)
	}
}

// OperatorSources are the sources as intake's operators take them.
func (c *Config) OperatorSources() operators.Sources {
	out := make(operators.Sources, len(c.Sources))
	for i, s := range c.Sources {
		out[i] = operators.Source(s)
	}
	return out
}

func hostPort(s string) bool {
	i := strings.LastIndexByte(s, ':')
	if i <= 0 || i == len(s)-1 {
		return false
	}
	port := 0
	for _, c := range s[i+1:] {
		if c < '0' || c > '9' || port > 65535 {
			return false
		}
		port = port*10 + int(c-'0')
	}
	return port > 0 && port <= 65535
}
