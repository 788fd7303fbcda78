package schemas

// Rejection is a record that could not become a verdict: the value of topic rejected. Nothing of the input is lost.
type Rejection struct {
	Origin Origin `avro:"origin"` // place of the input record
	Stage  string `avro:"stage"`  // intake or monitor
	Reason string `avro:"reason"` // a code: invalid_json, missing, amount_range, future, conflict, …
	Detail string `avro:"detail"` // in words: field path, the value and the way out
	Key    []byte `avro:"key"`    // the input record's key
	Value  []byte `avro:"value"`  // the input record's bytes, as they came
}
