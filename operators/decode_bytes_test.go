package operators

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/streamgauge/streamgauge/schemas"
)

// bytesOf are values that no text file of cases can hold.
func bytesOf() map[string][]byte {
	return map[string][]byte{
		"empty": {}, "nil": nil, "spaces": []byte(" \n"), "nul": {0}, "avro": {0xC3, 0x01, 1, 2, 3}, "bom": []byte("\xef\xbb\xbf{}"),
		"utf-16":         []byte("\xff\xfe{\x00}\x00"),
		"not utf-8":      []byte(`{"id":"` + "\xff" + `"}`),
		"cut rune":       []byte(`{"id":"` + "\xe2\x82" + `"}`),
		"nul inside":     []byte("{\"id\":\"\x00\"}"),
		"open brackets":  bytes.Repeat([]byte("["), 100_000),
		"open objects":   bytes.Repeat([]byte(`{"a":`), 100_000),
		"flat array":     append(bytes.Repeat([]byte("[0,"), 1), bytes.Repeat([]byte("0,"), 500_000)...),
		"objects":        []byte("[" + strings.Repeat(`{"a":{"b":1}},`, 70_000) + "0]"),
		"escapes":        []byte(`{"id":"` + strings.Repeat(`\u0041`, 170_000) + `"}`),
		"escaped key":    []byte(`{"` + strings.Repeat(`\n`, 500_000) + `":{}}`),
		"digits":         []byte(`{"id":"1","time":1,"customer":"c","amount":` + strings.Repeat("9", 1_000_000) + `}`),
		"exponent":       []byte(`{"id":"1","time":1,"customer":"c","amount":1e` + strings.Repeat("9", 1_000_000) + `}`),
		"half backslash": []byte(`{"id":"\`),
		"half escape":    []byte(`{"id":"\ud83d\ude0`),
	}
}

func TestDecode_AnyBytesEndAsARejectionWithAReason(t *testing.T) {
	for _, topic := range []string{schemas.Payments, schemas.Transactions} {
		for name, value := range bytesOf() {
			if err := checkFate(t, topic, value); err != nil {
				t.Errorf("%s on %s: %v", name, topic, err)
			}
			if it := intake(t, topic, value); !it.Rejected {
				t.Errorf("%s on %s: became an event", name, topic)
			}
		}
	}
}

func TestDecode_OneRecordTakesBoundedMemory(t *testing.T) {
	const bound = 16 * MaxValue // escaped texts grow by doubling; members are bounded by MaxMembers
	for _, topic := range []string{schemas.Payments, schemas.Transactions} {
		for name, value := range bytesOf() {
			value = value[:min(len(value), MaxValue)]
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			intake(t, topic, value)
			runtime.ReadMemStats(&after)
			if took := after.TotalAlloc - before.TotalAlloc; took > bound {
				t.Errorf("%s on %s: %d bytes allocated for a record of %d", name, topic, took, len(value))
			}
		}
	}
}

func TestDecode_EveryFileOfTheJSONTestSuiteIsRejected(t *testing.T) {
	files := suite(t)
	if len(files) != 318 {
		t.Fatalf("%d files, want 318", len(files))
	}
	for name, value := range files {
		for _, topic := range []string{schemas.Payments, schemas.Transactions} {
			it := intake(t, topic, value)
			if err := checkFate(t, topic, value); err != nil {
				t.Errorf("%s on %s: %v", name, topic, err)
			}
			if !it.Rejected {
				t.Errorf("%s on %s became an event: %s", name, topic, render(it))
			}
			wellFormed := it.Reason != ReasonInvalidJSON && it.Reason != ReasonTooDeep
			if name[0] == 'n' && wellFormed {
				t.Errorf("%s on %s was taken for JSON: %s", name, topic, render(it))
			}
			if name[0] == 'y' && !wellFormed {
				t.Errorf("%s on %s is JSON, but: %s", name, topic, render(it))
			}
		}
	}
}

// suite reads the parsing tests of JSONTestSuite.
func suite(t testing.TB) map[string][]byte {
	t.Helper()
	f, err := os.Open(filepath.Join("..", "..", "shared", "data", "jsontestsuite", "JSONTestSuite-tests.tar.gz"))
	if errors.Is(err, os.ErrNotExist) {
		t.Skip("shared/data/jsontestsuite is not beside the repository")
	} else if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	unzipped, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	for r := tar.NewReader(unzipped); ; {
		head, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		} else if err != nil {
			t.Fatal(err)
		}
		if head.Typeflag != tar.TypeReg || filepath.Dir(head.Name) != "test_parsing" {
			continue
		}
		if files[filepath.Base(head.Name)], err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
	}
}

// checkFate holds one value's fate against encoding/json and big.Rat, which share nothing with the decoder.
func checkFate(t testing.TB, topic string, value []byte) error {
	it := intake(t, topic, value)
	if it.Rejected {
		if it.Reason == "" || it.Detail == "" || !utf8.ValidString(it.Detail) || len(it.Detail) > 4*maxDetail {
			return fmt.Errorf("rejected by %q with detail %q", it.Reason, it.Detail)
		}
		before := []string{ReasonInvalidJSON, ReasonTooDeep, ReasonTooLarge, ReasonDuplicateKey, ReasonTooManyFields}
		if !json.Valid(value) && !slices.Contains(before, it.Reason) {
			return fmt.Errorf("is no JSON, but was rejected by %s", it.Reason)
		}
		if it.Reason == ReasonInvalidJSON && json.Valid(value) && utf8.Valid(value) && !bytes.Contains(bytes.ToLower(value), []byte(`\ud`)) {
			return fmt.Errorf("is JSON, but: %s", it.Detail)
		}
		return nil
	}
	if !json.Valid(value) {
		return fmt.Errorf("no JSON became an event")
	}
	encoded, err := schemas.Events.Codec.Append(nil, &it.Event)
	if err != nil {
		return err
	}
	var back schemas.Event
	if err := schemas.Events.Codec.Decode(encoded, &back); err != nil {
		return err
	}
	if topic == schemas.Transactions {
		return sameAsNaive(&it.Event, value)
	}
	return nil
}

// sameAsNaive compares a flat event with what a map of the same object says.
func sameAsNaive(e *schemas.Event, value []byte) error {
	d := json.NewDecoder(bytes.NewReader(value))
	d.UseNumber()
	var object map[string]any
	if err := d.Decode(&object); err != nil {
		return err
	}
	amount, ok := new(big.Rat).SetString(fmt.Sprint(object["amount"]))
	if exact := big.NewRat(e.Amount, schemas.Micro); ok && exact.Cmp(amount) != 0 {
		off := exact.Sub(exact, amount)
		if off.Abs(off).Cmp(big.NewRat(1, 2*schemas.Micro)) > 0 || !slices.Contains(e.Flags, schemas.FlagRounded) {
			return fmt.Errorf("amount %s became %s, flags %v", amount, schemas.FormatAmount(e.Amount), e.Flags)
		}
	}
	if e.ID != fmt.Sprint(object["id"]) || e.Customer != fmt.Sprint(object["customer"]) {
		return fmt.Errorf("id %q, customer %q of %s", e.ID, e.Customer, value)
	}
	attributes := 0
	for key, v := range object {
		if _, canonical := flatPlace[key]; v == nil || canonical {
			continue
		}
		attributes++
		name := strings.TrimPrefix(key, AttributePrefix)
		i := slices.IndexFunc(e.Attributes, func(a schemas.Attribute) bool { return a.Name == name })
		if i < 0 || e.Attributes[i].Value != fmt.Sprint(v) {
			return fmt.Errorf("attribute %q of %s is not in %v", name, value, e.Attributes)
		}
	}
	if attributes != len(e.Attributes) {
		return fmt.Errorf("%d attributes of %s became %d", attributes, value, len(e.Attributes))
	}
	return nil
}

func TestDecode_RandomBytesAndMutilatedRecordsEndWithAReason(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		value := make([]byte, r.IntN(64))
		for i := range value {
			value[i] = byte(r.Uint32())
		}
		if r.IntN(2) == 0 {
			value = []byte(benchFlat)
			for range 1 + r.IntN(3) {
				i := r.IntN(len(value))
				value = append(value[:i], value[min(i+r.IntN(4), len(value)):]...)
				value[r.IntN(len(value))] = byte(r.Uint32())
			}
		}
		for _, topic := range []string{schemas.Payments, schemas.Transactions} {
			if err := checkFate(t, topic, value); err != nil {
				t.Fatalf("%q on %s: %v", value, topic, err)
			}
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, file := range []string{"spektr.txt", "flat.txt"} {
		cases, err := os.ReadFile(filepath.Join("testdata", "intake", file))
		if err != nil {
			f.Fatal(err)
		}
		for line := range bytes.Lines(cases) {
			if !bytes.HasPrefix(line, []byte("=> ")) && !bytes.HasPrefix(line, []byte("#")) {
				f.Add(bytes.TrimSuffix(line, []byte("\n")))
			}
		}
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		for _, topic := range []string{schemas.Payments, schemas.Transactions} {
			if err := checkFate(t, topic, value); err != nil {
				t.Errorf("on %s: %v", topic, err)
			}
		}
	})
}
