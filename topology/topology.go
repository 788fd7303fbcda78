// Package topology is how the operators are joined: values with no connection behind them. monitoring.go is the topology of the
// product, config.go what an installation may choose, describe.go draws it. What runs it is package pipeline.
package topology

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/streamgauge/streamgauge/operators"
)

// Topology is stages between topics.
type Topology struct {
	Name   string
	Topics []Topic
	Stages []Stage
}

// Topic is a Kafka topic as run creates or checks it.
type Topic struct {
	Name       string
	Key        string // what the record key is
	Value      string // the type on it
	Partitions int32
	LogTime    bool              // the broker stamps records (LogAppendTime): log time
	Config     map[string]string // further topic configuration
	Outside    string            // who writes or reads it besides the stages; empty: nobody
}

// Stage is one consumer group's chain between topics.
type Stage struct {
	Name  string
	Group string
	From  []string // topics read
	To    []string // topics or systems written
	Steps []string // names of the chain's operators, or of what the stage does where it has none
	Chain []operators.Operator
}

// Validate reports every mistake of the wiring at once: topics read that nobody writes, names given twice, stages without input.
func (t *Topology) Validate() error {
	var errs []error
	topics := map[string]*Topic{}
	for i := range t.Topics {
		topic := &t.Topics[i]
		if topics[topic.Name] != nil {
			errs = append(errs, fmt.Errorf("topic %q is given twice", topic.Name))
		}
		if topic.Partitions < 1 {
			errs = append(errs, fmt.Errorf("topic %q: %d partitions", topic.Name, topic.Partitions))
		}
		topics[topic.Name] = topic
	}
	written := map[string]bool{}
	groups := map[string]bool{}
	for _, s := range t.Stages {
		if groups[s.Group] {
			errs = append(errs, fmt.Errorf("stage %q: group %q is another stage's", s.Name, s.Group))
		}
		groups[s.Group] = true
		if len(s.From) == 0 {
			errs = append(errs, fmt.Errorf("stage %q reads nothing", s.Name))
		}
		for _, to := range s.To {
			written[to] = true
		}
	}
	for _, s := range t.Stages {
		for _, from := range s.From {
			switch topic := topics[from]; {
			case topic == nil:
				errs = append(errs, fmt.Errorf("stage %q reads topic %q, which is not declared", s.Name, from))
			case !written[from] && !strings.Contains(topic.Outside, "→"):
				errs = append(errs, fmt.Errorf("stage %q reads topic %q, which nobody writes", s.Name, from))
			}
		}
	}
	return errors.Join(errs...)
}

// Stage returns the stage of that name; asking for one that is not there is our bug.
func (t *Topology) Stage(name string) *Stage {
	i := slices.IndexFunc(t.Stages, func(s Stage) bool { return s.Name == name })
	if i < 0 {
		panic("BUG: no stage " + name)
	}
	return &t.Stages[i]
}

// Topic returns the topic of that name; asking for one that is not there is our bug.
func (t *Topology) Topic(name string) *Topic {
	i := slices.IndexFunc(t.Topics, func(x Topic) bool { return x.Name == name })
	if i < 0 {
		panic("BUG: no topic " + name)
	}
	return &t.Topics[i]
}
