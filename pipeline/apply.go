package pipeline

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/streamgauge/streamgauge/operators/rule"
	"github.com/streamgauge/streamgauge/schemas"
)

// Applied says what Apply did.
type Applied struct {
	Version int32 // in force afterwards
	Changed bool  // false: the folder is what is in force already
	Differs bool  // with onlyIfEmpty: the folder differs from what is in force, and was left alone
}

// Apply validates a configuration and makes it the one in force: in one transaction the snapshot goes to topic config and a control
// record into every partition of events, so that each partition switches at a place of its log. With onlyIfEmpty it publishes only
// where nothing was ever published. An invalid folder changes nothing and comes back with every mistake.
func Apply(ctx context.Context, env *Env, files []schemas.SnapshotFile, onlyIfEmpty bool) (Applied, error) {
	admin, err := env.connectKafka(ctx)
	if err != nil {
		return Applied{}, err
	}
	defer admin.Close()
	return apply(ctx, env, admin, files, onlyIfEmpty)
}

// applyTries bounds how often an apply begins again that another one, begun later, fenced.
const applyTries = 5

func apply(ctx context.Context, env *Env, admin *kadm.Client, files []schemas.SnapshotFile, onlyIfEmpty bool) (a Applied, err error) {
	for range applyTries {
		a, err = applyOnce(ctx, env, admin, files, onlyIfEmpty)
		if !isFenced(err) {
			return a, err
		}
		wait(ctx, lastPause/10)
	}
	return a, fmt.Errorf("others apply at the same time: %w", err)
}

// isFenced is an error that a later apply's InitProducerID causes. Beginning again is safe whatever became of the transaction: it reads
// first what is there.
func isFenced(err error) bool {
	for _, fenced := range []error{kerr.ProducerFenced, kerr.InvalidProducerEpoch, kerr.InvalidTxnState, kerr.InvalidProducerIDMapping} {
		if errors.Is(err, fenced) {
			return true
		}
	}
	return false
}

func applyOnce(ctx context.Context, env *Env, admin *kadm.Client, files []schemas.SnapshotFile, onlyIfEmpty bool) (Applied, error) {
	next := schemas.Snapshot{Version: 1, Files: files}
	if _, err := rule.Compile(&next); err != nil {
		return Applied{}, err
	}
	if onlyIfEmpty { // the ordinary start of a process must not fence an apply that is under way
		snapshots, err := readSnapshots(ctx, &brokerLog{env: env, admin: admin})
		if err != nil {
			return Applied{}, err
		}
		if n := len(snapshots); n > 0 {
			return Applied{Version: snapshots[n-1].Version, Differs: snapshots[n-1].Digest() != next.Digest()}, nil
		}
	}
	// The producer comes before the reading: of two at once, the later one's InitProducerID ends the earlier one's transaction.
	cl, err := kgo.NewClient(append(env.kafkaOpts("apply"), kgo.TransactionalID("streamgauge-apply"), kgo.TransactionTimeout(txnTimeout),
		kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	if err != nil {
		return Applied{}, fmt.Errorf("kafka: %w", err)
	}
	defer cl.Close()
	if _, _, err := cl.ProducerID(ctx); err != nil {
		return Applied{}, fmt.Errorf("apply: begin: %w", err)
	}
	snapshots, err := readSnapshots(ctx, &brokerLog{env: env, admin: admin})
	if err != nil {
		return Applied{}, err
	}
	if n := len(snapshots); n > 0 {
		last := snapshots[n-1]
		same := last.Digest() == next.Digest()
		if same || onlyIfEmpty {
			return Applied{Version: last.Version, Differs: !same}, nil
		}
		next.Version = last.Version + 1
	}
	if err := publish(ctx, env, cl, &next); err != nil {
		return Applied{}, fmt.Errorf("apply configuration %d: %w", next.Version, err)
	}
	return Applied{Version: next.Version, Changed: true}, nil
}

func publish(ctx context.Context, env *Env, cl *kgo.Client, s *schemas.Snapshot) error {
	value, err := schemas.Configurations.Codec.Append(nil, s)
	if err != nil {
		return err
	}
	records := []*kgo.Record{{Topic: schemas.Configurations.Name, Key: []byte(strconv.Itoa(int(s.Version))), Value: value}}
	control := schemas.Event{Kind: schemas.KindControl, Organisation: env.Config.Organisation, Control: schemas.Control{Version: s.Version, Digest: s.Digest()}}
	for p := range env.Config.Kafka.Partitions {
		value, err := schemas.Events.Codec.Append(nil, &control)
		if err != nil {
			return err
		}
		records = append(records, &kgo.Record{Topic: schemas.Events.Name, Partition: p, Value: value})
	}
	if err := cl.BeginTransaction(); err != nil {
		return err
	}
	err = cl.ProduceSync(ctx, records...).FirstErr()
	end := cl.EndTransaction(ctx, kgo.TransactionEndTry(err == nil))
	return errors.Join(err, end)
}

// ReadRules reads a rules folder: every file below it, ascending by name. Which files are allowed is Compile's to say.
func ReadRules(dir string) ([]schemas.SnapshotFile, error) {
	var files []schemas.SnapshotFile
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if strings.HasPrefix(d.Name(), ".") {
			return nil // editors' and version control's own
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		files = append(files, schemas.SnapshotFile{Name: filepath.ToSlash(name), Content: string(text)})
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("rules folder %s: %w", dir, err)
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("rules folder %s: no files; it takes .yaml files with rules, features and policy", dir)
	}
	sort.Slice(files, func(i, j int) bool { return files[i].Name < files[j].Name })
	return files, nil
}

// Rules are the files that a configuration names: its folder, or the built-in library.
func Rules(dir string) ([]schemas.SnapshotFile, error) {
	if dir == "" {
		return rule.Library(), nil
	}
	return ReadRules(dir)
}
