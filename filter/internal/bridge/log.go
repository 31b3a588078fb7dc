//go:build wasip1

package bridge

import (
	"unsafe"

	"envoy-circuit-breaker/internal/smallfmt"
)

// LogInfof writes a line of Envoy's log at level info.
func LogInfof(format string, args ...any) { log(2, format, args) }

// LogWarnf writes one at level warning.
func LogWarnf(format string, args ...any) { log(3, format, args) }

// LogErrorf writes one at level error.
func LogErrorf(format string, args ...any) { log(4, format, args) }

// LogCriticalf writes one at level critical.
func LogCriticalf(format string, args ...any) { log(5, format, args) }

func log(level uint32, format string, args []any) {
	text := smallfmt.Appendf(nil, format, args...)
	proxyLog(level, unsafe.Pointer(unsafe.SliceData(text)), uint32(len(text)))
}
