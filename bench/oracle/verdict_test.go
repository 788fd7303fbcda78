package oracle

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/streamgauge/streamgauge/schemas"
)

// verdicts expects a rule's verdict on the last of the events, fed in order to an oracle of its own.
func verdicts(t *testing.T, what, rule string, want schemas.Verdict, events ...schemas.Event) {
	t.Helper()
	l := newLog(t, Default())
	var w Want
	for i, e := range events {
		if e.ID == "" {
			e.ID = fmt.Sprint(i)
		}
		w = l.step(e)
		l.expect(what, w, schemas.Assessed, "")
	}
	for _, j := range w.Rules {
		if j.Rule == rule && j.Verdict != want {
			t.Errorf("%s: %s is %s, want %s", what, rule, j.Verdict, want)
		}
	}
	if len(w.Rules) != 5 {
		t.Errorf("%d verdicts, want 5", len(w.Rules))
	}
}

// TestLibrary_HandWrittenRulesSayWhatTheFilesSay: the numbers in verdict.go and Default stand in the library's files a second time.
func TestLibrary_HandWrittenRulesSayWhatTheFilesSay(t *testing.T) {
	const folder = "../../operators/rule/library/"
	files := map[string][]string{
		"dormant":     {"id: DORMANT", "params: {idle: 180d, minimum: 1000}", "when: since(true) >= params.idle && amount >= params.minimum"},
		"fan_out":     {"id: FAN_OUT", "params: {beneficiaries: 5, window: 8h}", "when: distinct(params.window, counterparty, direction == 'OUT') >= params.beneficiaries"},
		"structuring": {"id: STRUCT_BELOW", "params: {threshold: 10000, margin: 0.10, events: 3, window: 72h}"},
		"velocity":    {"id: VEL_OUT", "params: {events: 10, window: 1h}", "when: count(params.window, direction == 'OUT') >= params.events"},
		"volume":      {"id: VOL_OUT", "params: {limit: 25000, window: 24h}", "when: sum(params.window, amount, direction == 'OUT') >= params.limit"},
		"policy":      {"base_currency: EUR", "human_from: HIGH", "slack: 24h", "prefix: app.amlyze,"},
		"features":    nil,
	}
	for name, r := range map[string]string{"dormant": "DORMANT", "fan_out": "FAN_OUT", "structuring": "STRUCT_BELOW", "velocity": "VEL_OUT", "volume": "VOL_OUT"} {
		x, _ := libraryRule(r)
		files[name] = append(files[name], "level: "+x.Level.String(), fmt.Sprintf("score: %d\n", x.Score), "on: [payment, transaction]", "nature: AML")
	}
	cfg := Default()
	for _, f := range cfg.Features {
		expr := fmt.Sprintf("count('%dd', direction == '%s')", f.Window/day, f.Side)
		if f.Func == Sum {
			expr = fmt.Sprintf("sum('%dd', amount, direction == '%s')", f.Window/day, f.Side)
		}
		files["features"] = append(files["features"], fmt.Sprintf("- {name: %s, expr: %q}", f.Name, expr))
	}
	files["policy"] = append(files["policy"], "\n  counted: ["+strings.Join(cfg.Counted, ", ")+"]", "uncounted: ["+strings.Join(cfg.Uncounted, ", ")+"]")
	for name, lines := range files {
		text, err := os.ReadFile(folder + name + ".yaml")
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range lines {
			if !strings.Contains(string(text), line) {
				t.Errorf("%s.yaml no longer says %q: change the oracle by hand", name, line)
			}
		}
	}
	if entries, err := os.ReadDir(folder); err != nil || len(entries) != len(files) {
		t.Errorf("the library has %d files, the oracle knows %d (%v)", len(entries), len(files), err)
	}
}

// series is n payments, gap apart.
func series(n int, gap, units int64) (list []schemas.Event) {
	for i := range n {
		list = append(list, pay("", int64(i)*gap, units))
	}
	return list
}

func with(e schemas.Event, f schemas.Field, text string) schemas.Event {
	e.SetText(f, text)
	return e
}

func incoming(list []schemas.Event) []schemas.Event {
	for i := range list {
		list[i].Side = schemas.SideIn
	}
	return list
}

func TestVerdict_VelocityAtItsThreshold(t *testing.T) {
	verdicts(t, "nine", "VEL_OUT", schemas.NoHit, series(9, minute, 1)...)
	verdicts(t, "ten", "VEL_OUT", schemas.Hit, series(10, minute, 1)...)
	verdicts(t, "ten that came in", "VEL_OUT", schemas.NoHit, incoming(series(10, minute, 1))...)
	ten := series(10, minute, 1)
	ten[9].Time = base + hour
	verdicts(t, "the first one exactly an hour before the tenth", "VEL_OUT", schemas.NoHit, ten...)
	ten[9].Time--
	verdicts(t, "the first one 1 ms less before", "VEL_OUT", schemas.Hit, ten...)
	ten[4] = with(ten[4], schemas.FieldState, "DECLINED")
	verdicts(t, "one of ten declined", "VEL_OUT", schemas.NoHit, ten...)
	eleven := append(series(10, minute, 1), with(pay("", 10*minute, 1), schemas.FieldState, "DECLINED"))
	verdicts(t, "a declined one after ten", "VEL_OUT", schemas.Hit, eleven...)
}

func TestVerdict_VolumeAtItsThreshold(t *testing.T) {
	below := []schemas.Event{pay("", 0, 20_000), pay("", hour, 4_999)}
	verdicts(t, "24,999", "VOL_OUT", schemas.NoHit, below...)
	verdicts(t, "25,000", "VOL_OUT", schemas.Hit, append(below, pay("", 2*hour, 1))...)
	verdicts(t, "25,000 exactly a day apart", "VOL_OUT", schemas.NoHit, pay("", 0, 20_000), pay("", day, 5_000))
	verdicts(t, "in dollars", "VOL_OUT", schemas.NoHit, with(pay("", 0, 30_000), schemas.FieldCurrency, "USD"))
	verdicts(t, "in the base currency by name", "VOL_OUT", schemas.Hit, with(pay("", 0, 30_000), schemas.FieldCurrency, "EUR"))
}

func TestVerdict_StructuringKnowsItsBand(t *testing.T) {
	verdicts(t, "three at the lower edge", "STRUCT_BELOW", schemas.Hit, series(3, 30*hour, 9_000)...)
	verdicts(t, "incoming as well", "STRUCT_BELOW", schemas.Hit, incoming(series(3, 30*hour, 9_999))...)
	verdicts(t, "two", "STRUCT_BELOW", schemas.NoHit, series(2, hour, 9_500)...)
	verdicts(t, "three at the threshold itself", "STRUCT_BELOW", schemas.NoHit, series(3, hour, 10_000)...)
	low := series(3, hour, 9_000)
	low[1].Amount--
	verdicts(t, "one a millionth below the band", "STRUCT_BELOW", schemas.NoHit, low...)
	verdicts(t, "three over exactly 72 h", "STRUCT_BELOW", schemas.NoHit, series(3, 36*hour, 9_500)...)
	verdicts(t, "three, then a small one", "STRUCT_BELOW", schemas.Hit, append(series(3, hour, 9_500), pay("", 4*hour, 1))...)
}

func TestVerdict_FanOutCountsCounterpartiesPaid(t *testing.T) {
	to := func(n int, gap int64) (list []schemas.Event) {
		for i, e := range series(n, gap, 1) {
			list = append(list, with(e, schemas.FieldCounterparty, fmt.Sprint("x", i)))
		}
		return list
	}
	verdicts(t, "four", "FAN_OUT", schemas.NoHit, to(4, hour)...)
	verdicts(t, "five", "FAN_OUT", schemas.Hit, to(5, hour)...)
	verdicts(t, "five over exactly 8 h", "FAN_OUT", schemas.NoHit, to(5, 2*hour)...)
	verdicts(t, "five that paid the customer", "FAN_OUT", schemas.NoHit, incoming(to(5, hour))...)
	five := to(5, hour)
	five[0] = with(five[0], schemas.FieldCounterparty, "x4")
	verdicts(t, "one of them twice", "FAN_OUT", schemas.NoHit, five...)
	verdicts(t, "and one without a name", "FAN_OUT", schemas.NoHit, append(to(4, hour), pay("", 5*hour, 1))...)
}

func TestVerdict_DormantFollowsTheRulesOfUnknown(t *testing.T) {
	verdicts(t, "no earlier event, large", "DORMANT", schemas.ND, pay("", 0, 1_000))
	verdicts(t, "no earlier event, small: decided all the same", "DORMANT", schemas.NoHit, pay("", 0, 999))
	verdicts(t, "exactly 180 days", "DORMANT", schemas.Hit, pay("", 0, 1), pay("", 180*day, 1_000))
	verdicts(t, "1 ms less", "DORMANT", schemas.NoHit, pay("", 0, 1), pay("", 180*day-1, 1_000))
	verdicts(t, "small", "DORMANT", schemas.NoHit, pay("", 0, 1), pay("", 180*day, 999))
	dollars := with(pay("", 180*day, 9_000), schemas.FieldCurrency, "USD")
	verdicts(t, "an amount of no data", "DORMANT", schemas.ND, pay("", 0, 1), dollars)
	dollars.Time--
	verdicts(t, "an amount of no data, decided all the same", "DORMANT", schemas.NoHit, pay("", 0, 1), dollars)
	verdicts(t, "a declined event between does not count", "DORMANT", schemas.Hit,
		pay("", 0, 1), with(pay("", 90*day, 1), schemas.FieldState, "DECLINED"), pay("", 180*day, 1_000))
	verdicts(t, "the event itself declined", "DORMANT", schemas.Hit, pay("", 0, 1), with(pay("", 180*day, 1_000), schemas.FieldState, "DECLINED"))
	verdicts(t, "a tie: the one before in the log is 0 ms away", "DORMANT", schemas.NoHit, pay("", 0, 1), pay("", 180*day, 1), pay("", 180*day, 1_000))
	verdicts(t, "a late event looks back from its own time", "DORMANT", schemas.Hit,
		pay("", 0, 1), pay("", 200*day, 1), pay("", 199*day, 1_000))
	verdicts(t, "a late event has no event before", "DORMANT", schemas.ND, pay("", day, 1), pay("", 0, 1_000))
}

func TestVerdict_LevelAndStageFollowFromTheHits(t *testing.T) {
	l := newLog(t, Default())
	w := l.step(pay("a", 0, 1))
	if w.Level != schemas.LevelNone || w.Open || w.Score != 0 {
		t.Errorf("without a hit: %+v", w)
	}
	w = l.step(pay("b", 1, 25_000))
	volume, _ := libraryRule("VOL_OUT")
	if w.Level != volume.Level || w.Score != volume.Score || w.Open != (volume.Level >= schemas.LevelHigh) {
		t.Errorf("VOL_OUT alone: %+v", w)
	}
	w = l.step(pay("d", 200*day, 26_000))
	dormant, _ := libraryRule("DORMANT")
	if w.Level != max(dormant.Level, volume.Level) || w.Score != dormant.Score+volume.Score || !w.Open {
		t.Errorf("DORMANT and VOL_OUT: %+v", w)
	}
	cfg := Default()
	cfg.HumanFrom = schemas.LevelExtreme + 1
	if w := newLog(t, cfg).step(pay("a", 0, 26_000)); w.Open {
		t.Error("policy decides everything, and a human is asked")
	}
}
