package operators

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/streamgauge/streamgauge/schemas"
)

func TestCheckText_FindsEveryLoneSurrogateAndNoPair(t *testing.T) {
	tokens := []string{`\ud83d`, `\ude00`, `\uD800`, `\uDFFF`, `\u0041`, `\uffff`, `\\`, `u`, `d83d`, `\n`, `\"`, `ü`, ` `}
	r := rand.New(rand.NewPCG(3, 4))
	for range 50_000 {
		var literal strings.Builder
		for range 1 + r.IntN(6) {
			literal.WriteString(tokens[r.IntN(len(tokens))])
		}
		value := []byte(`"` + literal.String() + `"`)
		var text string
		if err := json.Unmarshal(value, &text); err != nil {
			t.Fatalf("%s: %v", value, err)
		}
		lone := strings.ContainsRune(text, '\uFFFD') // no token holds it: encoding/json put it where a surrogate had no partner
		if err := CheckText(value); (err != nil) != lone {
			t.Fatalf("%s: lone surrogate %v, got %v", value, lone, err)
		}
	}
}

func TestCheckText_SaysWhere(t *testing.T) {
	for value, want := range map[string]string{
		"":                           "empty value",
		"\xef\xbb\xbf{}":             "byte order mark at byte 0; send UTF-8 without it",
		"{\"ü\":\"\xff\"}":           "not UTF-8 at byte 7",
		"{\"a\":\"\xed\xa0":          "not UTF-8 at byte 6", // an encoded surrogate
		`"\ude00"`:                   "lone surrogate at byte 1",
		`"\ud83d\ude00\ud8` + `00x"`: "lone surrogate at byte 13",
	} {
		if err := CheckText([]byte(value)); err == nil || err.Error() != want {
			t.Errorf("%q: got %v, want %s", value, err, want)
		}
	}
	if err := CheckText([]byte(`{"a":"\ud83d\ude00 \\ud83d"}`)); err != nil {
		t.Error(err)
	}
}

func TestParsed_PairsOfSurrogatesBecomeTheirRune(t *testing.T) {
	high, low := utf16.EncodeRune('😀')
	value := fmt.Sprintf(`{"id":"\u%04x\u%04X","time":1,"customer":"c","amount":1}`, high, low)
	if it := intake(t, schemas.Transactions, []byte(value)); it.Event.ID != "😀" {
		t.Errorf("id %q, %s", it.Event.ID, it.Detail)
	}
}

func TestParsed_OneBatchsMembersAreNotKeptInThePool(t *testing.T) {
	p := new(parsed)
	p.begin(&schemas.Event{})
	if !p.parse([]byte(`{"a":{"b":1},"c":"d"}`)) {
		t.Fatal(p.faults.detail())
	}
	p.release()
	for i, m := range p.members[:cap(p.members)] {
		if m.name != nil || m.text != nil {
			t.Errorf("member %d still holds %q: %q", i, m.name, m.text)
		}
	}
}
