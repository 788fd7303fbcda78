package oracle

import (
	"fmt"
	"math/big"
	"slices"

	"github.com/streamgauge/streamgauge/schemas"
)

// of is the aggregate of the events, which stand in (time, log) order.
func (f *Feature) of(list []*Past) Value {
	switch f.Func {
	case Count:
		return number(whole(int64(len(list))))
	case Distinct:
		values := map[string]bool{}
		for _, p := range list {
			if text, given := f.column(p); given {
				values[text] = true
			}
		}
		if len(values) > maxDistinct {
			return Value{}
		}
		return number(whole(int64(len(values))))
	case FirstText, LastText:
		return f.end(list)
	}
	var amounts []int64
	for _, p := range list {
		if p.HasAmount {
			amounts = append(amounts, p.Amount)
		}
	}
	return ofAmounts(f.Func, amounts)
}

// end is the column of the earliest or latest event that has it.
func (f *Feature) end(list []*Past) Value {
	for i := range list {
		p := list[i]
		if f.Func == LastText {
			p = list[len(list)-1-i]
		}
		if text, given := f.column(p); given {
			return Value{Text: text, Known: true}
		}
	}
	return Value{}
}

func ofAmounts(fn Func, amounts []int64) Value {
	var sum schemas.Int128
	for _, a := range amounts {
		sum = sum.Add(schemas.I128(a))
	}
	switch {
	case fn == Sum:
		return number(sum)
	case len(amounts) == 0:
		return Value{}
	}
	switch fn {
	case Avg:
		return number(sum.DivRound(uint64(len(amounts))))
	case Min:
		return number(schemas.I128(slices.Min(amounts)))
	case Max:
		return number(schemas.I128(slices.Max(amounts)))
	case First:
		return number(schemas.I128(amounts[0]))
	case Last:
		return number(schemas.I128(amounts[len(amounts)-1]))
	case Stddev:
		wide := make([]schemas.Int128, len(amounts))
		for i, a := range amounts {
			wide[i] = schemas.I128(a)
		}
		return number(deviation(wide))
	}
	panic(fmt.Sprintf("BUG: oracle: no aggregate %q", fn))
}

// dailyOf is the aggregate of the local days' sums, or counts. A day counts with its first event; of sums, that is one with an amount.
func (v *view) dailyOf(f *Feature, list []*Past) Value {
	var days []date
	var totals []schemas.Int128
	for _, p := range list {
		if !f.Counts && !p.HasAmount {
			continue
		}
		d := v.calendar.on(p.Time)
		i := slices.Index(days, d)
		if i < 0 {
			i = len(days)
			days, totals = append(days, d), append(totals, schemas.Int128{})
		}
		if f.Counts {
			totals[i] = totals[i].Add(whole(1))
		} else {
			totals[i] = totals[i].Add(schemas.I128(p.Amount))
		}
	}
	switch {
	case f.Func == DailyDays:
		return number(whole(int64(len(days))))
	case len(days) == 0:
		return Value{}
	}
	switch f.Func {
	case DailyMax:
		return number(slices.MaxFunc(totals, schemas.Int128.Cmp))
	case DailyStddev:
		return number(deviation(totals))
	}
	var sum schemas.Int128
	for _, x := range totals {
		sum = sum.Add(x)
	}
	return number(sum.DivRound(uint64(len(totals))))
}

// deviation is the standard deviation of the population, √(n·Σx² − (Σx)²) / n, rounded half-even to a whole number: exact integers of any
// width, no float.
func deviation(values []schemas.Int128) schemas.Int128 {
	sum, squares := new(big.Int), new(big.Int)
	for _, v := range values {
		x := bigOf(v)
		sum.Add(sum, x)
		squares.Add(squares, new(big.Int).Mul(x, x))
	}
	n := big.NewInt(int64(len(values)))
	square := squares.Mul(squares, n)
	square.Sub(square, sum.Mul(sum, sum)) // (n·σ)²
	n.Mul(n, n)
	q := new(big.Int).Div(square, n)
	q.Sqrt(q) // ⌊σ⌋, since q²·n² ≤ square means q² ≤ ⌊square / n²⌋
	half := new(big.Int).Lsh(q, 1)
	half.Add(half, big.NewInt(1)) // twice ⌊σ⌋ + ½
	half.Mul(half, half)
	half.Mul(half, n)
	if c := half.Cmp(square.Lsh(square, 2)); c < 0 || c == 0 && q.Bit(0) == 1 {
		q.Add(q, big.NewInt(1))
	}
	return int128Of(q)
}

func bigOf(v schemas.Int128) *big.Int {
	x := new(big.Int).Lsh(big.NewInt(v.Hi), 64)
	return x.Add(x, new(big.Int).SetUint64(v.Lo))
}

// int128Of narrows a number that is not below 0.
func int128Of(x *big.Int) schemas.Int128 {
	if x.Sign() < 0 || x.BitLen() > 127 {
		panic(fmt.Sprintf("BUG: oracle: deviation %s", x))
	}
	return schemas.Int128{Hi: new(big.Int).Rsh(x, 64).Int64(), Lo: new(big.Int).And(x, new(big.Int).SetUint64(1<<64-1)).Uint64()}
}

func number(v schemas.Int128) Value { return Value{Number: v, Known: true} }

// whole is n in 10⁻⁶ units; n stays far below the 9·10¹² that fit.
func whole(n int64) schemas.Int128 { return schemas.I128(n * schemas.Micro) }
