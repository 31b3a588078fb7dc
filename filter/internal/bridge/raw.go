//go:build wasip1

package bridge

import (
	"unsafe"

	"envoy-circuit-breaker/internal/smallfmt"
	"envoy-circuit-breaker/internal/time"
)

// Raw host calls. A []byte that one of them returns is valid until the next host call.

// Status is what a host call answers.
type Status uint32

// The statuses that this plugin tells apart.
const (
	OK          Status = 0
	NotFound    Status = 1
	CasMismatch Status = 8
)

// Header map types of proxy-wasm.
const (
	RequestHeaders   uint32 = 0
	ResponseHeaders  uint32 = 2
	ResponseTrailers uint32 = 3
	CallHeaders      uint32 = 6 // of the answer to a call of the plugin's own
)

// Property reads a property; segments of the path are separated by NUL. It returns nil if there is none.
func Property(path string) []byte {
	raw = true
	status := proxyGetProperty(unsafe.Pointer(unsafe.StringData(path)), uint32(len(path)), unsafe.Pointer(&outData), unsafe.Pointer(&outSize))
	return result(status)
}

// SetProperty writes a property.
func SetProperty(path string, value []byte) Status {
	return Status(proxySetProperty(unsafe.Pointer(unsafe.StringData(path)), uint32(len(path)), unsafe.Pointer(unsafe.SliceData(value)), uint32(len(value))))
}

// Header reads a header or trailer. It returns nil if there is none.
func Header(mapType uint32, key string) []byte {
	raw = true
	status := proxyGetHeaderMapValue(mapType, unsafe.Pointer(unsafe.StringData(key)), uint32(len(key)), unsafe.Pointer(&outData), unsafe.Pointer(&outSize))
	return result(status)
}

// SetHeader sets a header, in place of any that there are of that name.
func SetHeader(mapType uint32, key, value string) Status {
	return Status(proxyReplaceHeaderMapValue(mapType,
		unsafe.Pointer(unsafe.StringData(key)), uint32(len(key)), unsafe.Pointer(unsafe.StringData(value)), uint32(len(value))))
}

// SharedData reads a value of shared data and its CAS number. It returns nil if there is none.
func SharedData(key []byte) (value []byte, cas uint32) {
	raw = true
	status := proxyGetSharedData(unsafe.Pointer(unsafe.SliceData(key)), uint32(len(key)), unsafe.Pointer(&outData), unsafe.Pointer(&outSize), unsafe.Pointer(&outCas))
	if value = result(status); value == nil {
		return nil, 0
	}
	return value, outCas
}

// SetSharedData writes a value of shared data if its CAS number is still cas.
func SetSharedData(key []byte, value []byte, cas uint32) Status {
	return Status(proxySetSharedData(unsafe.Pointer(unsafe.SliceData(key)), uint32(len(key)), unsafe.Pointer(unsafe.SliceData(value)), uint32(len(value)), cas))
}

// result ends a raw call: what the host wrote, in the buffer that it was lent.
func result(status uint32) []byte {
	raw = false
	if Status(status) != OK {
		return nil
	}
	if outSize == 0 {
		return scratch[:0]
	}
	return lent[:outSize]
}

// SetEffectiveContext makes another context the one that host calls are about, until the callback is over.
func SetEffectiveContext(id uint32) { proxySetEffectiveContext(id) }

// Metric types of proxy-wasm.
const (
	Counter uint32 = 0
	Gauge   uint32 = 1
)

// DefineMetric defines a stat, or finds the one of that name, and returns its id.
func DefineMetric(metricType uint32, name []byte) (id uint32, err error) {
	status := proxyDefineMetric(metricType, unsafe.Pointer(unsafe.SliceData(name)), uint32(len(name)), unsafe.Pointer(&outID))
	if Status(status) != OK {
		return 0, smallfmt.Errorf("defining the stat %q: host status %d", name, status)
	}
	return outID, nil
}

// AddMetric adds to a counter or gauge.
func AddMetric(id uint32, offset int64) { proxyIncrementMetric(id, offset) }

// RecordMetric sets a gauge.
func RecordMetric(id uint32, value uint64) { proxyRecordMetric(id, value) }

// MetricValue reads a counter or gauge, over all workers.
func MetricValue(id uint32) uint64 {
	outWord = 0
	proxyGetMetric(id, unsafe.Pointer(&outWord))
	return outWord
}

// Now reads WASI's monotonic clock, in nanoseconds: Envoy's steady clock, the same for every worker of a process.
func Now() int64 { return clock(1) }

// WallClock reads WASI's other clock: the time of day.
func WallClock() time.Time { return time.Unix(0, clock(0)) }

func clock(id uint32) int64 {
	const precision = 1 // nanosecond
	clockTimeGet(id, precision, unsafe.Pointer(&outWord))
	return int64(outWord)
}

// SendLocalResponse answers the request of the current stream. headers is a serialized header map. grpcStatus is -1
// unless it shall replace the one that Envoy derives from the HTTP status.
func SendLocalResponse(code uint32, details string, body, headers []byte, grpcStatus int32) Status {
	return Status(proxySendLocalResponse(code,
		unsafe.Pointer(unsafe.StringData(details)), uint32(len(details)),
		unsafe.Pointer(unsafe.SliceData(body)), uint32(len(body)),
		unsafe.Pointer(unsafe.SliceData(headers)), uint32(len(headers)), grpcStatus))
}
