package window

import (
	"math"
	"strconv"
	"testing"
	"unsafe"

	"github.com/streamgauge/streamgauge/schemas"
)

// TestMarks_RoundsWrapWithoutStaleMarks: after 2³² counts an old mark must not look fresh.
func TestMarks_RoundsWrapWithoutStaleMarks(t *testing.T) {
	c := New("t", "c", &Shape{Retention: 1000, Classify: func(*schemas.Past) uint64 { return 0 }})
	e := schemas.Event{Kind: schemas.KindPayment, Time: 5}
	e.SetText(schemas.FieldType, "a")
	c.Fold(&e, 1, false, true, 1)
	var m Marks
	for range 2 { // the first round marks with 1, the one after the wrap would too
		if n, _ := c.Distinct(0, 1, All, None, schemas.FieldType, &m); n != 1 {
			t.Fatalf("%d distinct of one", n)
		}
		m.now = math.MaxUint32
	}
}

// TestRow_SizeIsWhatItsCommentSays: capacity is planned with it.
func TestRow_SizeIsWhatItsCommentSays(t *testing.T) {
	if n := unsafe.Sizeof(row{}); n != 88 {
		t.Errorf("a row takes %d bytes", n)
	}
}

// TestFold_AllocatesNothing: but for growth, which is amortised.
func TestFold_AllocatesNothing(t *testing.T) {
	c := New("t", "c", &Shape{Retention: 1 << 40, Classify: func(p *schemas.Past) uint64 { return uint64(p.Kind) }})
	e := schemas.Event{Kind: schemas.KindPayment, Side: schemas.SideOut, Origin: schemas.Origin{Topic: "payments"}}
	e.SetText(schemas.FieldType, "a")
	c.rows = make([]row, 0, 40)
	n := testing.AllocsPerRun(20, func() {
		e.Time++
		c.Fold(&e, uint64(e.Time), false, true, 1)
	})
	if n > 0 {
		t.Errorf("%.0f allocations a fold", n)
	}
}

// TestRestore_ForgetsTheTransactionsTexts: aborted transactions must not fill a customer's dictionary.
func TestRestore_ForgetsTheTransactionsTexts(t *testing.T) {
	c := New("t", "c", &Shape{Retention: 1000, Classify: func(*schemas.Past) uint64 { return 0 }})
	for i := range 100 {
		save := c.Save()
		e := schemas.Event{Kind: schemas.KindPayment, Time: int64(i)}
		e.SetText(schemas.FieldCounterparty, strconv.Itoa(i))
		place := c.Fold(&e, 1, false, true, 1)
		if i < 40 { // kept
			continue
		}
		c.Unfold(place)
		c.Restore(save)
	}
	if n := len(c.dict.values); n != 40 || c.dict.id("39") != 40 || c.dict.id("99") != 41 {
		t.Errorf("%d texts held of 40", n)
	}
}

// TestTrim_GivesMemoryBack: of a burst that has left, neither rows nor ids nor texts stay.
func TestTrim_GivesMemoryBack(t *testing.T) {
	c := New("t", "c", &Shape{Retention: 1000, Classify: func(*schemas.Past) uint64 { return 0 }})
	for i := range 10_000 {
		e := schemas.Event{Kind: schemas.KindPayment, Time: int64(i / 10)}
		e.SetText(schemas.FieldCounterparty, strconv.Itoa(i))
		c.Fold(&e, uint64(i), false, true, 1)
	}
	for step := range int64(25) { // little by little
		e := schemas.Event{Kind: schemas.KindPayment, Time: 1000 + 50*step}
		c.Fold(&e, uint64(step), false, true, 1)
		c.Trim()
	}
	if cap(c.rows) > 200 || len(c.ids.slots) > 1024 || len(c.dict.values) > 200 {
		t.Errorf("room for %d rows holds %d, %d id slots hold %d ids, %d texts", cap(c.rows), len(c.rows), len(c.ids.slots), c.ids.n, len(c.dict.values))
	}
}
