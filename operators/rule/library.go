package rule

import (
	"embed"
	"fmt"
	"io/fs"
	"strings"

	"github.com/streamgauge/streamgauge/schemas"
)

//go:embed library/*.yaml
var library embed.FS

// Library is the built-in folder: rules, features and the commented default policy, ascending by name.
func Library() (files []schemas.SnapshotFile) {
	names, err := fs.Glob(library, "library/*.yaml")
	if err != nil {
		panic(fmt.Sprintf("BUG: library: %v", err))
	}
	for _, n := range names {
		b, err := library.ReadFile(n)
		if err != nil {
			panic(fmt.Sprintf("BUG: library: %v", err))
		}
		files = append(files, schemas.SnapshotFile{Name: strings.TrimPrefix(n, "library/"), Content: string(b)})
	}
	return files
}
