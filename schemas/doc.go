// Package schemas is what flows: pure data and its encodings. It imports nothing of ours; everything else imports it.
//
// Topics, who writes and who reads each:
//
//	payments transactions   producers → intake              their formats, JSON
//	events                  intake, apply → monitor         Event; one ordered log per customer partition
//	operation-realtime      monitor → alerting consumers    CloudEvent: pending, completed
//	facts                   monitor → archive               Fact; partition as in events
//	rejected                intake, monitor → people        Rejection: origin, reason, the bytes
//	config                  apply → monitor                 Snapshot: rules and policy, kept for ever
//
// The way of one value: an input record becomes an Event (event.go, field.go, money.go), the event a Fact (fact.go) and a CloudEvent
// (assessment.go, cloudevent.go), or a Rejection. topic.go joins topics, types and the Avro schemas in wire/, which a test holds
// against the Go types; encode.go and decode.go are the hot path's own way to the same bytes.
package schemas
