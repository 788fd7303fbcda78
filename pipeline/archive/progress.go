package archive

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Progress returns for every partition of topic facts the offset in that topic below which every fact is in ClickHouse; 0 where nothing
// is yet. Behind it some may be there already: whoever counts rows leaves out fact_offset at or above it. It grows at every block and,
// when nothing comes, within two flush intervals of the last one.
func Progress(ctx context.Context, client *kgo.Client, topic, group string) (map[int32]int64, error) {
	admin := kadm.NewClient(client)
	topics, err := admin.ListTopics(ctx, topic)
	if err == nil {
		err = topics[topic].Err
	}
	if err != nil {
		return nil, fmt.Errorf("partitions of topic %s: %w", topic, err)
	}
	progress := map[int32]int64{}
	for partition := range topics[topic].Partitions {
		progress[partition] = 0
	}
	offsets, err := admin.FetchOffsets(ctx, group)
	if errors.Is(err, kerr.GroupIDNotFound) { // nobody has ever joined
		return progress, nil
	}
	if err == nil {
		err = offsets.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("progress of group %s on topic %s: %w", group, topic, err)
	}
	for partition, o := range offsets[topic] {
		progress[partition] = max(o.At, 0)
	}
	return progress, nil
}
