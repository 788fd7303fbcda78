package archive

import (
	"io"
	"log/slog"
	"testing"
)

func newLogger(w io.Writer) *slog.Logger { return slog.New(slog.NewTextHandler(w, nil)) }

func TestIntent_ComesBackAsItWasCommitted(t *testing.T) {
	want := intent{End: 1 << 60, Topic: "0123456789abcdef0123456789abcdef"}
	got, pending, err := parseIntent(5, want.String())
	if err != nil || !pending || got != want {
		t.Errorf("got %+v %v %v", got, pending, err)
	}
	if n := len(want.String()); n > 100 {
		t.Errorf("%d bytes of metadata", n)
	}
}

func TestIntent_RefusesWhatNoArchiveWrote(t *testing.T) {
	for _, text := range []string{"x", "{}", `{"end":5}`, `{"end":4}`, `{"end":9,"other":1}`, `{"end":9} x`, `{"end":9}{}`, `{"end":1e99}`, "null", "9"} {
		if _, pending, err := parseIntent(5, text); err == nil || pending {
			t.Errorf("%s was taken for an intent", text)
		}
	}
	if _, pending, err := parseIntent(5, ""); err != nil || pending {
		t.Errorf("no text: pending %v, %v", pending, err)
	}
	if _, _, err := parseIntent(-1, `{"end":9,"topic":""}`); err == nil {
		t.Error("an intent without a committed offset was taken")
	}
}

func FuzzIntent(f *testing.F) {
	f.Add(int64(0), `{"end":5,"topic":"00"}`)
	f.Add(int64(7), "member-1")
	f.Fuzz(func(t *testing.T, offset int64, text string) {
		n, pending, err := parseIntent(offset, text)
		if err != nil || !pending {
			return
		}
		if n.End <= offset || offset < 0 {
			t.Errorf("offset %d end %d was taken", offset, n.End)
		}
		if again, _, err := parseIntent(offset, n.String()); err != nil || again != n {
			t.Errorf("%+v comes back as %+v, %v", n, again, err)
		}
	})
}
