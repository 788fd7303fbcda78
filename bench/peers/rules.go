package peers

import (
	_ "embed"

	"github.com/streamgauge/streamgauge/pipeline"
	"github.com/streamgauge/streamgauge/schemas"
)

// twenty are the bench's own rules: five that read twenty distinct windows.
//
//go:embed rules/twenty.yaml
var twenty string

// rules are the files of the folder, or the bench's own without one.
func rules(dir string) ([]schemas.SnapshotFile, error) {
	if dir != "" {
		return pipeline.ReadRules(dir)
	}
	return []schemas.SnapshotFile{{Name: "twenty.yaml", Content: twenty}}, nil
}
