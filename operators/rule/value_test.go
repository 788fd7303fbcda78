package rule

import "github.com/streamgauge/streamgauge/schemas"

// None is the absent value.
func None(why string) Value { return Value{Why: why} }

// IntValue is a count.
func IntValue(n int64) Value { return Value{I: schemas.I128(n)} }

// MoneyValue is an amount in 10⁻⁶ of the base currency.
func MoneyValue(v schemas.Int128) Value { return Value{I: v} }

// DurationValue is a duration in ms.
func DurationValue(ms int64) Value { return Value{I: schemas.I128(ms)} }

// TextValue is a text.
func TextValue(s string) Value { return Value{S: s} }
