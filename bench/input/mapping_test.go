package input

import (
	"math/big"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
)

func TestParseMapping_EveryMistakeAtOnce(t *testing.T) {
	_, err := ParseMapping("custmer=acct,amount=cents:1e-19,time=ts:epoch,id=tx:unix,currency=,nothing,,id=a,id=b,AMOUNT=x,foo=bar:baz")
	for _, want := range []string{
		`map "custmer=acct": "custmer" is no canonical column, did you mean customer?; there are id, time, customer, amount, direction,`,
		`map "amount=cents:1e-19": modifier "1e-19" of amount: want a power of ten such as 1e-2 (cents), from 1e-18 to 1e18`,
		`map "time=ts:epoch": modifier "epoch" of time: want unix (seconds), unixms or iso`,
		`map "id=tx:unix": modifier "unix": only amount and time take one`,
		`map "currency=": the file's column is empty`,
		`map "nothing": want canonical=column, such as customer=acct`,
		`map "": want canonical=column`,
		`map "id=b": id is mapped twice`,
		`map "AMOUNT=x": "AMOUNT" is no canonical column, did you mean amount?`,
		`map "foo=bar:baz": "foo" is no canonical column; there are`,
		`map "foo=bar:baz": modifier "baz": only amount and time take one`,
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\nis not in\n%v", want, err)
		}
	}
}

func TestParseMapping_TakesSpacesAndEveryModifier(t *testing.T) {
	m, err := ParseMapping(" customer = acct no , amount=cents:1e-2,time=ts:unixms, id=a:b:c ")
	if err == nil || len(m.columns) != 0 {
		t.Errorf("a column with a colon must not be taken silently: %v %v", m, err)
	}
	m, err = ParseMapping(" customer = acct no , amount=cents:1e18,time=ts:iso")
	want := []column{{canonical: "customer", from: "acct no"}, {canonical: "amount", from: "cents", scale: 18}, {canonical: "time", from: "ts"}}
	if err != nil || len(m.columns) != 3 || m.columns[0] != want[0] || m.columns[1] != want[1] || m.columns[2] != want[2] {
		t.Errorf("got %v %v, want %v", m, err, want)
	}
	if m, err := ParseMapping(" "); err != nil || len(m.columns) != 0 {
		t.Errorf("nothing to map: %v %v", m, err)
	}
}

func FuzzParseMapping(f *testing.F) {
	f.Add("customer=acct,amount=amt_cents:1e-2,time=ts:unix")
	f.Add("id=,=,:,amount=x:1e+2,time=:unix")
	f.Fuzz(func(t *testing.T, s string) {
		m, err := ParseMapping(s)
		if err == nil && strings.TrimSpace(s) != "" && len(m.columns) != strings.Count(s, ",")+1 {
			t.Errorf("%q: %d columns", s, len(m.columns))
		}
		if err != nil && len(m.columns) > 0 {
			t.Errorf("%q: columns beside %v", s, err)
		}
	})
}

func TestShift_MovesThePointExactlyOrLeavesItToIntake(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	texts := []string{"999999999999.999999", "1000000000000", "-0", "0e99999999999999999999", "1e99999999999999999999", "1e-99999999999999999999", "+7", "1E2"}
	for range 20_000 {
		s := strconv.FormatUint(r.Uint64()>>r.IntN(60), 10)
		if p := r.IntN(len(s) + 3); p > 0 && p < len(s) {
			s = s[:p] + "." + s[p:]
		}
		if r.IntN(4) == 0 {
			s += "e" + strconv.Itoa(r.IntN(20)-10)
		}
		texts = append(texts, s)
	}
	for _, text := range texts {
		exp := r.IntN(2*maxScale+1) - maxScale
		got := shift(text, exp)
		if len(text) > 20 && strings.Contains(text, "e") && got == text || strings.HasPrefix(text, "0e99") {
			continue // an exponent beyond int
		}
		want, ok := new(big.Rat).SetString(text)
		have, ok2 := new(big.Rat).SetString(got)
		power := new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(max(exp, -exp))), nil))
		if exp < 0 {
			power.Inv(power)
		}
		if !ok || !ok2 || want.Mul(want, power).Cmp(have) != 0 {
			t.Fatalf("%s·10^%d became %s", text, exp, got)
		}
	}
	for _, text := range []string{"", "abc", "1,5", " 1", "0x10", "1e", "NaN"} {
		if got := shift(text, -2); got != text {
			t.Errorf("%q became %q", text, got)
		}
	}
	if got := shift("5000000000", 3); got != "5000000000e3" { // in range by itself, not when scaled
		t.Errorf("an amount that leaves the range became %q", got)
	}
}

func TestTimes_OfFilesBecomeWhatIntakeTakes(t *testing.T) {
	for text, want := range map[string]string{
		"2018-04-01T00:00:31Z":             "2018-04-01T00:00:31Z",
		"2018-04-01T00:00:31.123456+02:00": "2018-04-01T00:00:31.123456+02:00",
		"2018-04-01 00:00:31":              "2018-04-01T00:00:31Z",
		"2018-04-01 00:00:31.9999":         "2018-04-01T00:00:31.999Z",
		"2018-04-01 00:00:31+02:00":        "2018-04-01T00:00:31+02:00",
		"2018-04-01T00:00:31":              "2018-04-01T00:00:31Z",
		"2018-04-01":                       "2018-04-01T00:00:00Z",
		"2018-02-30":                       "2018-02-30",
		"2018-04-01 00:00:31,5":            "2018-04-01 00:00:31,5",
		"01/04/2018":                       "01/04/2018",
		"1522540831":                       "1522540831",
		"":                                 "",
	} {
		if got := instant(text); got != want {
			t.Errorf("%q became %q, want %q", text, got, want)
		}
	}
	for _, c := range []struct {
		text string
		form timeForm
		ms   int64
		ok   bool
	}{
		{"1522540831", unix, 1522540831000, true},
		{"1522540831.25", unix, 1522540831250, true},
		{"1522540831.9999999", unix, 1522540831999, true},
		{"1522540831.", unix, 0, false},
		{"1522540831.2x", unix, 0, false},
		{"1.5e9", unix, 1500000000000, true},
		{"1522540831000", unix, 1522540831000000, true}, // milliseconds called seconds: intake says implausible_time
		{"1522540831000000", unix, 0, false},
		{"1522540831000", unixMS, 1522540831000, true},
		{"1522540831000.9", unixMS, 1522540831000, true},
		{"-1", unixMS, -1, true},
		{"2018-04-01", unix, 0, false},
		{"", unix, 0, false},
	} {
		if ms, ok := milliseconds(c.text, c.form); ms != c.ms || ok != c.ok {
			t.Errorf("%q: got %d %v, want %d %v", c.text, ms, ok, c.ms, c.ok)
		}
	}
}
