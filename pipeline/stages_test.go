package pipeline_test

import (
	"strings"
	"testing"

	"github.com/streamgauge/streamgauge/pipeline"
	"github.com/streamgauge/streamgauge/topology"
)

// Without the check a misspelt stage is a process that does nothing and says that it runs.
func TestRun_StageThatTheTopologyLacksIsRefused(t *testing.T) {
	c := topology.DefaultConfig()
	err := pipeline.Run(t.Context(), topology.Monitoring(&c), &pipeline.Env{Config: c, Stages: []string{"monitor", "monitr", "archiv"}})
	if err == nil || !strings.Contains(err.Error(), `"monitr"`) || !strings.Contains(err.Error(), `"archiv"`) || strings.Contains(err.Error(), `"monitor"`) {
		t.Errorf("got %v", err)
	}
}
