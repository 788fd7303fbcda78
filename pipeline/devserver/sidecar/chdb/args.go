//go:build linux && amd64

package chdb

import (
	"runtime"
	"unsafe"
)

// args are a statement's C arguments, pinned until release.
type args struct {
	pin                                *runtime.Pinner
	sql, format                        text
	names, nameLens, values, valueLens unsafe.Pointer // arrays of n; nil for none
	n                                  uintptr
}

func newArgs(sql, format string, params []Param) args {
	a := args{pin: new(runtime.Pinner), n: uintptr(len(params))}
	a.sql, a.format = a.text(sql), a.text(format)
	if len(params) == 0 {
		return a
	}
	names, nameLens := make([]unsafe.Pointer, len(params)), make([]uintptr, len(params))
	values, valueLens := make([]unsafe.Pointer, len(params)), make([]uintptr, len(params))
	for i, p := range params {
		name, value := a.text(p.Name), a.text(p.Value)
		names[i], nameLens[i], values[i], valueLens[i] = name.at, name.n, value.at, value.n
	}
	a.names, a.nameLens = pinned(&a, names), pinned(&a, nameLens)
	a.values, a.valueLens = pinned(&a, values), pinned(&a, valueLens)
	return a
}

// text copies s to where the garbage collector leaves it; "" points at a byte too, since the engine refuses NULL.
func (a *args) text(s string) text {
	b := append([]byte(s), 0)
	a.pin.Pin(&b[0])
	return text{unsafe.Pointer(&b[0]), uintptr(len(s))}
}

func pinned[T any](a *args, x []T) unsafe.Pointer {
	a.pin.Pin(&x[0])
	return unsafe.Pointer(&x[0])
}

func (a *args) release() { a.pin.Unpin() }
