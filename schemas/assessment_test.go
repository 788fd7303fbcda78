package schemas_test

import (
	"encoding/binary"
	"encoding/hex"
	"regexp"
	"strings"
	"testing"

	"github.com/streamgauge/streamgauge/schemas"
)

var uuid8 = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)

// TestAssessmentGUID_CarriesGenerationAndPartition: a UUIDv8 from which a decision finds its partition.
func TestAssessmentGUID_CarriesGenerationAndPartition(t *testing.T) {
	for generation := int32(0); generation < 65_536; generation += 257 {
		for _, partition := range []int32{0, 1, 17, 255, 256, 65_535} {
			guid := schemas.AssessmentGUID(generation, partition, 0, &schemas.Event{ID: "a"})
			if !uuid8.MatchString(guid) {
				t.Fatalf("%s is no UUIDv8", guid)
			}
			b, err := hex.DecodeString(strings.ReplaceAll(guid, "-", ""))
			if err != nil {
				t.Fatal(err)
			}
			if g, p := binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:]); int32(g) != generation || int32(p) != partition {
				t.Fatalf("%s: generation %d partition %d, want %d and %d", guid, g, p, generation, partition)
			}
		}
	}
}

// TestAssessmentGUID_DistinctForDistinctIdentities: names that meet when written one behind the other, sides, kinds and places in the log.
func TestAssessmentGUID_DistinctForDistinctIdentities(t *testing.T) {
	texts := []string{"", "a", "ab", "b", "a\x00", "\x00a", "\x00\x00\x00\x01a", "ba"}
	guids := map[string]schemas.Event{}
	n := 0
	put := func(e schemas.Event, number int64) {
		n++
		guid := schemas.AssessmentGUID(1, 2, number, &e)
		if had, ok := guids[guid]; ok {
			t.Fatalf("%+v and %+v share %s", had, e, guid)
		}
		guids[guid] = e
	}
	for _, o := range texts {
		for _, team := range texts {
			for _, customer := range texts {
				for _, id := range texts {
					put(schemas.Event{Organisation: o, Team: team, Customer: customer, ID: id}, 0)
				}
			}
		}
	}
	for side := range schemas.Side(3) {
		for kind := schemas.KindPayment; kind <= schemas.KindTransaction; kind++ {
			for number := range int64(300) {
				put(schemas.Event{ID: "one", Side: side, Kind: kind}, number)
			}
		}
	}
	if len(guids) != n || n != 4096+1800 {
		t.Errorf("%d guids of %d identities", len(guids), n)
	}
}

// TestAssessmentGUID_FollowsFromTheLogAlone: a retry, on any machine, gives the same bytes; nothing but the identity is in it.
func TestAssessmentGUID_FollowsFromTheLogAlone(t *testing.T) {
	e := wholeEvent()
	guid := schemas.AssessmentGUID(1, 17, 0, &e)
	if want := "00010011-286e-8e6d-adac-8082706637dd"; guid != want {
		t.Errorf("%s, was %s: an assessment would be reported twice", guid, want)
	}
	if again := schemas.AssessmentGUID(1, 17, 1, &e); again == guid {
		t.Error("an id that is used again, at another place of the log, has the first one's guid")
	}
	e.Time, e.Amount, e.State, e.Origin, e.Attributes = 1, 2, "DECLINED", schemas.Origin{Topic: "other"}, nil
	if got := schemas.AssessmentGUID(1, 17, 0, &e); got != guid {
		t.Errorf("%s, with another payload %s", guid, got)
	}
}

// TestCloudEventID_AsManyAsThereAreGUIDs: ids of one type and of two never meet.
func TestCloudEventID_AsManyAsThereAreGUIDs(t *testing.T) {
	ids := map[string]bool{}
	for offset := range int64(20_000) {
		guid := schemas.AssessmentGUID(1, int32(offset%3), offset/3, &schemas.Event{ID: "a"})
		ids[guid], ids[schemas.CloudEventID(guid, schemas.OperationPending)], ids[schemas.CloudEventID(guid, schemas.OperationCompleted)] = true, true, true
	}
	if len(ids) != 3*20_000 {
		t.Errorf("%d of 60000 guids and ids are distinct", len(ids))
	}
	for _, bad := range []string{"", "0001", "00010011-286e-8e6d-adac-8082706637d", "00010011-286e-8e6d-adac-8082706637dx", "00010011x286e-8e6d-adac-8082706637dd", "0001001g-286e-8e6d-adac-8082706637dd"} {
		if id := schemas.CloudEventID(bad, schemas.OperationPending); id != "" {
			t.Errorf("id of %q: %q", bad, id)
		}
	}
}

// TestCloudEventID_OnePerTypeAndNeverTheGUID: pending and completed of one assessment are two events.
func TestCloudEventID_OnePerTypeAndNeverTheGUID(t *testing.T) {
	guid := schemas.AssessmentGUID(1, 2, 0, &schemas.Event{ID: "a"})
	pending, completed := schemas.CloudEventID(guid, schemas.OperationPending), schemas.CloudEventID(guid, schemas.OperationCompleted)
	if pending == completed || pending == guid || completed == guid || !uuid8.MatchString(pending) || !uuid8.MatchString(completed) {
		t.Errorf("guid %s pending %s completed %s", guid, pending, completed)
	}
	if schemas.CloudEventID(guid, schemas.OperationPending) != pending {
		t.Error("the id changes from call to call")
	}
	if want := "1e06fdd7-e25f-8ae9-a9ce-653df98977ca"; schemas.CloudEventID("00010011-286e-8e6d-adac-8082706637dd", schemas.OperationPending) != want {
		t.Errorf("%s, was %s: a consumer would take a retry for a second event", schemas.CloudEventID("00010011-286e-8e6d-adac-8082706637dd", schemas.OperationPending), want)
	}
}
