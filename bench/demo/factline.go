package demo

import (
	"strconv"

	"github.com/streamgauge/streamgauge/operators"
	"github.com/streamgauge/streamgauge/schemas"
)

// appendFactLine appends a fact as one line of facts.jsonl. Numbers that carry money or features are exact decimal text; what is not
// determinable is left out.
func appendFactLine(b []byte, line int, f *schemas.Fact) []byte {
	text := func(key, v string) {
		b = append(b, `,"`...)
		b = append(b, key...)
		b = append(b, `":`...)
		b = schemas.AppendJSONString(b, v)
	}
	b = append(b, `{"line":`...)
	b = strconv.AppendInt(b, int64(line), 10)
	text("id", f.Event.ID)
	text("customer", f.Event.Customer)
	b = append(b, `,"time":"`...)
	b = schemas.AppendTime(b, f.Event.Time)
	b = append(b, '"')
	text("kind", f.Event.Kind.String())
	text("outcome", f.Outcome.String())
	if f.Reason != "" {
		text("reason", f.Reason)
	}
	if f.Detail != "" && f.Reason != operators.ReasonFuture { // that one quotes the broker's clock: two replays of a file give the same bytes
		text("detail", f.Detail)
	}
	b = append(b, `,"late":`...)
	b = strconv.AppendBool(b, f.Late)
	if f.Outcome == schemas.Assessed {
		text("level", f.InitialLevel.String())
		b = appendVerdicts(b, f)
	}
	return append(b, "}\n"...)
}

func appendVerdicts(b []byte, f *schemas.Fact) []byte {
	b = append(b, `,"rules":{`...)
	for i := range f.Rules {
		b = appendKey(b, i, f.Rules[i].Rule)
		b = schemas.AppendJSONString(b, f.Rules[i].Verdict.String())
	}
	b = append(b, `},"features":{`...)
	for i := range f.Features {
		b = appendKey(b, i, f.Features[i].Name)
		b = append(b, '"')
		b = schemas.Int128FromBytes(f.Features[i].Value).AppendDecimal(b)
		b = append(b, '"')
	}
	b = append(b, '}')
	if len(f.Hits) == 0 {
		return b
	}
	b = append(b, `,"hits":[`...)
	for i := range f.Hits {
		h := &f.Hits[i]
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, `{"rule":`...)
		b = schemas.AppendJSONString(b, h.Rule)
		b = append(b, `,"level":"`...)
		b = append(b, h.Level.String()...)
		b = append(b, `","shadow":`...)
		b = strconv.AppendBool(b, h.Shadow)
		if h.AtWatermark {
			b = append(b, `,"at_watermark":true`...)
		}
		b = append(b, `,"reason":`...)
		b = schemas.AppendJSONString(b, h.Reason)
		b = append(b, `,"values":{`...)
		for j := range h.Values {
			b = appendKey(b, j, h.Values[j].Name)
			b = schemas.AppendJSONString(b, h.Values[j].Value)
		}
		b = append(b, "}}"...)
	}
	return append(b, ']')
}

func appendKey(b []byte, i int, k string) []byte {
	if i > 0 {
		b = append(b, ',')
	}
	b = schemas.AppendJSONString(b, k)
	return append(b, ':')
}

// appendRejectedLine appends one line of rejected.jsonl: a line of the input that became no event, and why.
func appendRejectedLine(b []byte, line int, reason, detail string) []byte {
	b = append(b, `{"line":`...)
	b = strconv.AppendInt(b, int64(line), 10)
	b = append(b, `,"reason":`...)
	b = schemas.AppendJSONString(b, reason)
	b = append(b, `,"detail":`...)
	b = schemas.AppendJSONString(b, detail)
	return append(b, "}\n"...)
}
