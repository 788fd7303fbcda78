package demo

import (
	"errors"
	"io"

	"github.com/streamgauge/streamgauge/bench/input"
)

// files reads several input files as one; lines are numbered through.
type files struct {
	readers []*input.Reader
	at      int
	before  int // lines of the files before
	last    int // number of the last line
}

func openAll(paths []string, m input.Mapping) (*files, error) {
	f := &files{}
	var errs []error
	for _, p := range paths {
		r, err := input.Open(p, m)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		f.readers = append(f.readers, r)
	}
	if len(errs) > 0 {
		f.close()
		return nil, errors.Join(errs...)
	}
	return f, nil
}

// next returns io.EOF behind the last line of the last file.
func (f *files) next() (input.Line, error) {
	for f.at < len(f.readers) {
		line, err := f.readers[f.at].Next()
		if err == nil {
			line.Number += f.before
			f.last = line.Number
			return line, nil
		}
		if !errors.Is(err, io.EOF) {
			return line, err
		}
		f.at++
		f.before = f.last
	}
	return input.Line{}, io.EOF
}

// progress is how many bytes of all files are read.
func (f *files) progress() (read, size int64) {
	for _, r := range f.readers {
		read, size = read+r.BytesRead(), size+r.Size()
	}
	return read, size
}

func (f *files) close() {
	for _, r := range f.readers {
		r.Close()
	}
}
