package schemas

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
	"strconv"
)

// Micro is one currency unit in the integers that carry money: 10⁻⁶.
const Micro = 1_000_000

// MaxAmount bounds |amount|: 999,999,999,999.999999 (DESIGN, contract 6), so that 2⁶⁴ of them still sum within 128 bits.
const MaxAmount int64 = 999_999_999_999_999_999

// ErrAmountRange marks an amount beyond MaxAmount.
var ErrAmountRange = errors.New("amount_range: |amount| must be at most 999999999999.999999")

// ParseAmount reads a decimal number (JSON's grammar, a leading + and leading zeros allowed) into 10⁻⁶ units without going through a float.
// More than six decimals are rounded half-even and reported as rounded.
func ParseAmount(s string) (micros int64, rounded bool, err error) {
	return ParseScaled(s, 0)
}

// ParseScaled is ParseAmount of s·10^exp, |exp| ≤ 18: a file that holds cents is read with exp −2.
func ParseScaled(s string, exp int) (micros int64, rounded bool, err error) {
	d, err := splitDecimal(s)
	if err != nil {
		return 0, false, err
	}
	v, rounded, ok := d.scale(exp + 6)
	if !ok || v > uint64(MaxAmount) {
		return 0, false, fmt.Errorf("%w, got %s", ErrAmountRange, clip(s))
	}
	if d.neg {
		return -int64(v), rounded, nil
	}
	return int64(v), rounded, nil
}

// maxExponent is where a larger exponent changes nothing any more: no text has so many digits (2²⁸ of them are 256 MB).
const maxExponent = 1 << 28

// decimal is ±digits·10^exp with the digits still text.
type decimal struct {
	neg      bool
	int, dec string
	exp      int
}

func splitDecimal(s string) (d decimal, err error) {
	t := s
	bad := func() (decimal, error) { return decimal{}, fmt.Errorf("%q is not a decimal number", clip(s)) }
	if t != "" && (t[0] == '-' || t[0] == '+') {
		d.neg, t = t[0] == '-', t[1:]
	}
	i := digits(t)
	d.int, t = t[:i], t[i:]
	if t != "" && t[0] == '.' {
		i = digits(t[1:])
		if i == 0 {
			return bad()
		}
		d.dec, t = t[1:1+i], t[1+i:]
	}
	if d.int == "" {
		return bad()
	}
	if t != "" && (t[0] == 'e' || t[0] == 'E') {
		t = t[1:]
		neg := false
		if t != "" && (t[0] == '-' || t[0] == '+') {
			neg, t = t[0] == '-', t[1:]
		}
		i = digits(t)
		if i == 0 {
			return bad()
		}
		for _, c := range t[:i] {
			d.exp = min(d.exp*10+int(c-'0'), maxExponent)
		}
		if neg {
			d.exp = -d.exp
		}
		t = t[i:]
	}
	if t != "" {
		return bad()
	}
	return d, nil
}

func digits(s string) (n int) {
	for n < len(s) && s[n] >= '0' && s[n] <= '9' {
		n++
	}
	return n
}

// scale returns |d|·10^exp as an integer, rounded half-even; ok is false where it does not fit 64 bits.
func (d decimal) scale(exp int) (v uint64, rounded, ok bool) {
	all := d.int + d.dec
	point := len(d.int) + d.exp + exp // how many digits of all stand before the scaled point
	whole := min(max(point, 0), len(all))
	for _, c := range all[:whole] {
		if v > (1<<64-1-9)/10 {
			return 0, false, false
		}
		v = v*10 + uint64(c-'0')
	}
	for i := len(all); i < point && v != 0; i++ {
		if v > (1<<64-1)/10 {
			return 0, false, false
		}
		v *= 10
	}
	rest := all[whole:]
	if point < 0 { // all digits stand behind at least one zero
		for _, c := range rest {
			rounded = rounded || c != '0'
		}
		return 0, rounded, true
	}
	for _, c := range rest {
		rounded = rounded || c != '0'
	}
	if rounded && roundUp(rest, v&1 == 1) {
		v++
	}
	return v, rounded, true
}

// roundUp decides half-even for a fraction 0.rest behind an odd or even integer.
func roundUp(rest string, odd bool) bool {
	if rest[0] != '5' {
		return rest[0] > '5'
	}
	for _, c := range rest[1:] {
		if c != '0' {
			return true
		}
	}
	return odd
}

func clip(s string) string {
	if len(s) > 64 {
		return s[:64] + "…"
	}
	return s
}

// Int128 is a signed 128-bit integer in two's complement: sums of money in 10⁻⁶ units.
type Int128 struct {
	Hi int64
	Lo uint64
}

// I128 widens v.
func I128(v int64) Int128 { return Int128{Hi: v >> 63, Lo: uint64(v)} }

// Add returns a+b; 2⁶⁴ amounts within MaxAmount cannot overflow it.
func (a Int128) Add(b Int128) Int128 {
	lo, c := bits.Add64(a.Lo, b.Lo, 0)
	return Int128{Hi: a.Hi + b.Hi + int64(c), Lo: lo}
}

// Sub returns a−b.
func (a Int128) Sub(b Int128) Int128 {
	lo, c := bits.Sub64(a.Lo, b.Lo, 0)
	return Int128{Hi: a.Hi - b.Hi - int64(c), Lo: lo}
}

// Neg returns −a.
func (a Int128) Neg() Int128 { return Int128{}.Sub(a) }

// Sign is −1, 0 or 1.
func (a Int128) Sign() int {
	switch {
	case a.Hi < 0:
		return -1
	case a.Hi == 0 && a.Lo == 0:
		return 0
	}
	return 1
}

// Cmp is −1, 0 or 1 as a is below, equal to or above b.
func (a Int128) Cmp(b Int128) int {
	switch {
	case a.Hi != b.Hi:
		if a.Hi < b.Hi {
			return -1
		}
		return 1
	case a.Lo != b.Lo:
		if a.Lo < b.Lo {
			return -1
		}
		return 1
	}
	return 0
}

// DivRound returns a/n rounded half-even, n > 0.
func (a Int128) DivRound(n uint64) Int128 {
	if n == 0 {
		panic("BUG: DivRound by zero")
	}
	neg := a.Sign() < 0
	if neg {
		a = a.Neg()
	}
	q := Int128{Hi: int64(uint64(a.Hi) / n)}
	lo, rem := bits.Div64(uint64(a.Hi)%n, a.Lo, n)
	q.Lo = lo
	if half := n - rem; rem > half || rem == half && q.Lo&1 == 1 {
		q = q.Add(I128(1))
	}
	if neg {
		q = q.Neg()
	}
	return q
}

// Float returns the nearest float64; only for what leaves the exact world (ratios, means of ratios).
func (a Int128) Float() float64 {
	sign := 1.0
	if a.Sign() < 0 {
		sign, a = -1, a.Neg() // the smallest stays as it is, which is its magnitude without the sign
	}
	if a.Hi == 0 {
		return sign * float64(a.Lo)
	}
	shift := bits.LeadingZeros64(uint64(a.Hi))
	top := uint64(a.Hi)<<shift | a.Lo>>(64-shift)
	if a.Lo<<shift != 0 {
		top |= 1 // so that the one rounding, of 64 bits to 53, sees that something stands behind them
	}
	return sign * math.Ldexp(float64(top), 64-shift)
}

// Int64 narrows a and reports whether it fits.
func (a Int128) Int64() (int64, bool) {
	v := int64(a.Lo)
	return v, a.Hi == v>>63
}

// Bytes is a as 16 bytes, big endian two's complement: Avro's decimal(38,6) on fixed(16).
func (a Int128) Bytes() (b [16]byte) {
	for i := range 8 {
		b[i] = byte(uint64(a.Hi) >> (56 - 8*i))
		b[8+i] = byte(a.Lo >> (56 - 8*i))
	}
	return b
}

// Int128FromBytes is the inverse of Bytes.
func Int128FromBytes(b [16]byte) (a Int128) {
	var hi uint64
	for i := range 8 {
		hi = hi<<8 | uint64(b[i])
		a.Lo = a.Lo<<8 | uint64(b[8+i])
	}
	a.Hi = int64(hi)
	return a
}

// AppendDecimal appends a·10⁻⁶ as exact decimal text without trailing zeros: 57160000 is "57.16", 5000000 is "5".
func (a Int128) AppendDecimal(b []byte) []byte {
	if a.Sign() < 0 {
		b = append(b, '-')
		a = a.Neg()
	}
	whole := Int128{Hi: int64(uint64(a.Hi) / Micro)}
	lo, frac := bits.Div64(uint64(a.Hi)%Micro, a.Lo, Micro)
	whole.Lo = lo
	b = whole.appendUint(b)
	if frac == 0 {
		return b
	}
	b = append(b, '.')
	for d := uint64(Micro / 10); frac > 0; d /= 10 {
		b = append(b, byte('0'+frac/d))
		frac %= d
	}
	return b
}

// Decimal is AppendDecimal as a string.
func (a Int128) Decimal() string { return string(a.AppendDecimal(nil)) }

func (a Int128) appendUint(b []byte) []byte {
	if a.Hi == 0 {
		return strconv.AppendUint(b, a.Lo, 10)
	}
	const e18 = 1_000_000_000_000_000_000
	q := Int128{Hi: int64(uint64(a.Hi) / e18)}
	lo, rem := bits.Div64(uint64(a.Hi)%e18, a.Lo, e18)
	q.Lo = lo
	b = q.appendUint(b)
	for d := uint64(e18 / 10); d > 0; d /= 10 {
		b = append(b, byte('0'+rem/d%10))
	}
	return b
}

// FormatAmount is an amount in 10⁻⁶ units as exact decimal text.
func FormatAmount(micros int64) string { return I128(micros).Decimal() }
