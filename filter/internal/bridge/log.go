//go:build wasip1

package bridge

import (
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"

	"envoy-circuit-breaker/internal/smallfmt"
)

// Lines of Envoy's log. The SDK's functions of these names bring fmt along.

// LogInfof writes a line at level info.
func LogInfof(format string, args ...any) { proxywasm.LogInfo(smallfmt.Sprintf(format, args...)) }

// LogWarnf writes a line at level warning.
func LogWarnf(format string, args ...any) { proxywasm.LogWarn(smallfmt.Sprintf(format, args...)) }

// LogErrorf writes a line at level error.
func LogErrorf(format string, args ...any) { proxywasm.LogError(smallfmt.Sprintf(format, args...)) }

// LogCriticalf writes a line at level critical.
func LogCriticalf(format string, args ...any) {
	proxywasm.LogCritical(smallfmt.Sprintf(format, args...))
}
