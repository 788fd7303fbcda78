package pipeline_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/streamgauge/streamgauge/pipeline"
)

func TestInspect_SaysWhetherTheWindowStoreAndTheLogAgree(t *testing.T) {
	p := newProduct(t, nil)
	if err := pipeline.Prepare(t.Context(), p.topo, p.env); err != nil {
		t.Fatal(err)
	}
	if _, err := pipeline.Apply(t.Context(), p.env, folder("features: [{name: s, expr: \"sum('2h', amount, direction == 'OUT')\"}, {name: n, expr: \"count('2h')\"}]"), false); err != nil {
		t.Fatal(err)
	}
	at := time.Now().Add(-time.Hour).Truncate(time.Second)
	err := p.run(func(ctx context.Context) { // an orderly end flushes
		for i := range 5 {
			p.pay(ctx, fmt.Sprint(i), "c", at.Add(time.Duration(i)*time.Minute), "10")
			p.pay(ctx, fmt.Sprint(i), "other", at, "1")
		}
		p.facts(ctx, 10)
	})
	if err != nil {
		t.Fatal(err)
	}
	found, err := pipeline.Inspect(t.Context(), p.env, "default", "c")
	if err != nil {
		t.Fatal(err)
	}
	text := found.Text(2)
	for _, want := range []string{"yes, byte for byte (5 records", "5 retained", "sum('2h', amount, direction == 'OUT')  50", "count('2h')", "newest 2 events", at.Add(4 * time.Minute).UTC().Format("2006-01-02T15:04:05")} {
		if !strings.Contains(text, want) {
			t.Errorf("not said: %q\n%s", want, text)
		}
	}
	if !found.Agrees {
		t.Fatalf("%s", text)
	}
	if found, err = pipeline.Inspect(t.Context(), p.env, "default", "nobody"); err != nil || !found.Agrees || !strings.Contains(found.Why, "neither") {
		t.Errorf("a customer that nobody knows: %+v, %v", found, err)
	}
	p.swap(t)
	if found, err = pipeline.Inspect(t.Context(), p.env, "default", "c"); err != nil || found.Agrees || !strings.Contains(found.Text(1), "NO: the log folds to another state") {
		t.Errorf("another customer's windows under the key: %v\n%s", err, found.Text(1))
	}
}

// swap puts the stored windows of two customers under each other's key.
func (p *product) swap(t *testing.T) {
	t.Helper()
	cl := redis.NewClient(&redis.Options{Addr: p.env.Config.Redis.Address})
	defer cl.Close()
	keys, err := cl.Keys(t.Context(), "*:h:*").Result()
	if err != nil || len(keys) != 2 {
		t.Fatalf("keys %v, %v", keys, err)
	}
	a, b := cl.Get(t.Context(), keys[0]).Val(), cl.Get(t.Context(), keys[1]).Val()
	if err := cl.MSet(t.Context(), keys[0], b, keys[1], a).Err(); err != nil {
		t.Fatal(err)
	}
}
