package pipeline

import (
	"testing"
	"time"
)

func TestFences_ALateJoinOfADeadProcessIsSurvivedAndALiveTwinIsNot(t *testing.T) {
	var f fences
	now := time.Unix(0, 0)
	for i, step := range []struct {
		after time.Duration
		want  bool
	}{
		{0, false},
		{time.Second, false},
		{fenceRange, false}, // the first is too long ago
		{time.Second, false},
		{time.Second, true}, // the third within the range
		{fenceRange, false},
	} {
		now = now.Add(step.after)
		if got := f.again(now); got != step.want {
			t.Errorf("%d: fenced at %s: ends %v, want %v", i, now.Sub(time.Unix(0, 0)), got, step.want)
		}
	}
}
