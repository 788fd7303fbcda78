//go:build linux && amd64

package chdb

import (
	"fmt"
	"log/slog"
	"syscall"
	"unsafe"

	"github.com/ebitengine/purego"
)

// guarded are the signals whose handlers must stay Go's: the eight that the engine may take over or reset to their defaults, and those by
// which Go preempts and the command is stopped.
var guarded = []syscall.Signal{
	syscall.SIGABRT, syscall.SIGSEGV, syscall.SIGILL, syscall.SIGBUS, syscall.SIGSYS, syscall.SIGFPE, syscall.SIGTSTP, syscall.SIGTRAP,
	syscall.SIGURG, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGPIPE, syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGHUP,
}

// action is glibc's struct sigaction on x86-64, 152 bytes, with room to spare. Handler and flags decide what a signal does.
type action [256]byte

const actionFlagsAt = 136 // bytes: behind the handler (8) and the mask (128)

// saRestorer is set by glibc on every handler it installs and says nothing about the handler.
const saRestorer = 0x04000000

func (a *action) same(b *action) bool {
	flags := func(x *action) uint32 { return *(*uint32)(unsafe.Pointer(&x[actionFlagsAt])) &^ saRestorer }
	return [8]byte(a[:8]) == [8]byte(b[:8]) && flags(a) == flags(b)
}

// guard puts back what an engine call did to the process's signal handlers.
type guard struct {
	sigaction func(sig int32, act, old unsafe.Pointer) int32
}

func newGuard() (guard, error) {
	var g guard
	self, err := purego.Dlopen("", purego.RTLD_NOW)
	if err != nil {
		return g, err
	}
	symbol, err := purego.Dlsym(self, "sigaction")
	if err != nil {
		return g, fmt.Errorf("no C library with sigaction: %w", err)
	}
	purego.RegisterFunc(&g.sigaction, symbol)
	return g, nil
}

// run calls f and gives back to Go whatever handlers f changed. Calls must not overlap.
func (g guard) run(f func()) {
	before := g.snapshot()
	f()
	for i, now := range g.snapshot() {
		if !now.same(&before[i]) {
			g.sigaction(int32(guarded[i]), unsafe.Pointer(&before[i]), nil)
			slog.Debug("engine changed a signal handler, put back", "signal", guarded[i].String())
		}
	}
}

func (g guard) snapshot() []action {
	s := make([]action, len(guarded))
	for i, sig := range guarded {
		g.sigaction(int32(sig), nil, unsafe.Pointer(&s[i]))
	}
	return s
}
