package store

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
)

// allPartitions are those of the partition counts that are tried: few, odd, and the most that a configuration takes.
var allPartitions = []int32{1, 2, 3, 7, 12, 256, 1000, 4096}

// F21: random tags put two partitions into one slot and none into another.
func TestTags_EveryPartitionHasASlotOfItsOwnAndTheyAreSpreadEvenly(t *testing.T) {
	for _, n := range allPartitions {
		seen := map[int]int32{}
		for p, tag := range tags(7, n) {
			slot := int(crc16(0, strings.Trim(tag, "{}"))) % slots
			if want := p * slots / int(n); slot != want {
				t.Fatalf("partition %d of %d: tag %s lies in slot %d, want %d", p, n, tag, slot, want)
			}
			if other, taken := seen[slot]; taken {
				t.Fatalf("partitions %d and %d of %d lie in slot %d", other, p, n, slot)
			}
			seen[slot] = int32(p)
			if !strings.HasPrefix(tag, fmt.Sprintf("{7.%d.", p)) {
				t.Fatalf("partition %d of generation 7 has tag %s", p, tag)
			}
		}
	}
}

// Stored keys are found again by these names: a change of any loses every window.
func TestTags_AreTheSameForEver(t *testing.T) {
	for _, c := range []struct {
		generation, partitions, p int32
		want                      string
	}{{1, 1, 0, "{1.0.0q35}"}, {1, 12, 0, "{1.0.0q35}"}, {1, 12, 11, "{1.11.0eml}"}, {2, 256, 129, "{2.129.0l3j}"}, {32767, 4096, 4095, "{32767.4095.0c3v}"}} {
		if got := tags(c.generation, c.partitions)[c.p]; got != c.want {
			t.Errorf("generation %d, partition %d of %d: %s, want %s", c.generation, c.p, c.partitions, got, c.want)
		}
	}
	id := hashed([]byte("team\x00customer"))
	if got, want := headName(id)+" "+chunkName(id, ChunkName{Seq: 12, Version: 3}), "h:i1q7ZHoexuRQNkrUYSzV8A c:i1q7ZHoexuRQNkrUYSzV8A:12.3"; got != want {
		t.Errorf("names %s, want %s", got, want)
	}
}

// The client routes by a function of its own; here every partition's slot is on a node of its own, whose port tells the slot.
func TestTags_TheClientSendsThemToThoseSlots(t *testing.T) {
	const n = 256
	c := redis.NewClusterClient(&redis.ClusterOptions{ClusterSlots: func(context.Context) (all []redis.ClusterSlot, err error) {
		for p := range int32(n) {
			slot := slotOf(p, n)
			node := []redis.ClusterNode{{Addr: fmt.Sprintf("10.0.0.1:%d", slot+1)}}
			all = append(all, redis.ClusterSlot{Start: slot, End: slot, Nodes: node}, redis.ClusterSlot{Start: slot + 1, End: slotOf(p+1, n) - 1, Nodes: []redis.ClusterNode{{Addr: "10.0.0.1:65535"}}})
		}
		return all, nil
	}})
	defer c.Close()
	s := NewRedis(c, 3, n)
	for p := range int32(n) {
		node, err := s.nodes.master(t.Context(), s.key(p, "h:x"))
		if want := fmt.Sprintf("10.0.0.1:%d", slotOf(p, n)+1); err != nil || node.Options().Addr != want {
			t.Fatalf("partition %d goes to %v, error %v, want %s", p, node, err, want)
		}
	}
}

// The check value of CRC-16/XMODEM.
func TestCRC16_IsTheOneOfRedisCluster(t *testing.T) {
	if got := crc16(0, "123456789"); got != 0x31c3 {
		t.Errorf("%04x, want 31c3", got)
	}
	if got := crc16(crc16(0, "1234"), "56789"); got != 0x31c3 {
		t.Errorf("in two pieces %04x, want 31c3", got)
	}
}

func TestTags_ARealClusterPutsThemIntoThoseSlots(t *testing.T) {
	addrs := os.Getenv("STREAMGAUGE_TEST_REDIS_CLUSTER")
	if addrs == "" {
		t.Skip("STREAMGAUGE_TEST_REDIS_CLUSTER names no cluster: make test-servers starts one")
	}
	c := redis.NewClient(Settings{Addresses: strings.Split(addrs, ",")}.Options())
	defer c.Close()
	for _, n := range []int32{1, 12, 256} {
		s := NewRedis(c, 3, n)
		for p := range n {
			for _, key := range []string{s.markerKey(p), s.key(p, "h:{x}"), s.key(p, "c:y:1.2")} {
				slot, err := c.ClusterKeySlot(t.Context(), key).Result()
				if err != nil || int(slot) != slotOf(p, n) {
					t.Fatalf("CLUSTER KEYSLOT %s is %d, error %v, want %d", key, slot, err, slotOf(p, n))
				}
			}
		}
	}
}
