package peers

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
)

// Machine is where a bench ran. What the system does not tell is empty.
type Machine struct {
	CPU    string `json:"cpu"`   // model name
	Cores  int    `json:"cores"` // that Go uses
	System string `json:"system"`
	Go     string `json:"go"`
	Load   string `json:"load"` // of the last 1, 5 and 15 minutes, before the first round: above a tenth of a core the figures are noisy
}

// thisMachine asks Linux's /proc.
func thisMachine() Machine {
	m := Machine{Cores: runtime.GOMAXPROCS(0), System: runtime.GOOS + "/" + runtime.GOARCH, Go: runtime.Version()}
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(text)) {
			if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				m.CPU = strings.TrimSpace(value)
				break
			}
		}
	}
	if text, err := os.ReadFile("/proc/loadavg"); err == nil {
		if f := strings.Fields(string(text)); len(f) >= 3 {
			m.Load = strings.Join(f[:3], " ")
		}
	}
	return m
}

// String is a report's line.
func (m Machine) String() string {
	cpu := m.CPU
	if cpu == "" {
		cpu = "unknown CPU"
	}
	return fmt.Sprintf("%d cores of %s, %s, %s, load before the bench %s", m.Cores, cpu, m.System, m.Go, m.Load)
}

// builtFrom is the commit that the Go tool wrote into the binary, with + where the tree held more than it; empty without one.
func builtFrom() (commit string) {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	dirty := ""
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			commit = s.Value[:min(len(s.Value), 12)]
		case "vcs.modified":
			if s.Value == "true" {
				dirty = "+"
			}
		}
	}
	if commit == "" {
		return ""
	}
	return commit + dirty
}
