package operators

import (
	"testing"

	"github.com/streamgauge/streamgauge/schemas"
)

func TestLink_AnEventKnowsWhoseItIsAndWhereItCameFrom(t *testing.T) {
	e := intake(t, schemas.Payments, []byte(benchSpektr)).Event
	if e.Organisation != "org" || e.Team != "tm" || e.Source != "core" || e.Customer != "596" {
		t.Errorf("organisation %q, team %q, source %q, customer %q", e.Organisation, e.Team, e.Source, e.Customer)
	}
	if want := (schemas.Origin{Topic: schemas.Payments, Partition: 3, Offset: 7}); e.Origin != want {
		t.Errorf("origin %v, want %v", e.Origin, want)
	}
	if key := schemas.CustomerKey(nil, e.Team, e.Customer); string(key) != "tm\x00596" {
		t.Errorf("key %q", key)
	}
}

func TestRejection_HoldsTheOriginTheReasonAndTheBytes(t *testing.T) {
	it := &Item{Key: []byte("k"), Value: []byte("{"), Offset: 9}
	it.Reject(ReasonInvalidJSON, "unexpected end at byte 1")
	want := schemas.Rejection{
		Origin: schemas.Origin{Topic: "payments", Partition: 4, Offset: 9},
		Stage:  "intake", Reason: "invalid_json", Detail: "unexpected end at byte 1", Key: []byte("k"), Value: []byte("{"),
	}
	got := Rejection(it, "payments", 4, "intake")
	encoded, err := schemas.RejectedRecords.Codec.Append(nil, &got)
	if err != nil {
		t.Fatal(err)
	}
	var back schemas.Rejection
	if err := schemas.RejectedRecords.Codec.Decode(encoded, &back); err != nil {
		t.Fatal(err)
	}
	if back.Origin != want.Origin || back.Stage != want.Stage || back.Reason != want.Reason || back.Detail != want.Detail ||
		string(back.Key) != "k" || string(back.Value) != "{" {
		t.Errorf("got  %v\nwant %v", back, want)
	}
}
