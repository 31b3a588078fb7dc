// Package machine names the machine that figures were measured on.
package machine

import (
	"os"
	"runtime"
	"strings"
)

// CPU returns the model of the processor, or its architecture where the system does not tell.
func CPU() string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return runtime.GOARCH
	}
	for line := range strings.Lines(string(text)) {
		if name, value, found := strings.Cut(line, ":"); found && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH // on Arm, Linux does not say
}
