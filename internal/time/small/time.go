// Package small has the types of package time as the plugin needs them, without what that brings along: see the package above.
package small

// A Time is a moment of the wall clock: so many nanoseconds since 1970.
type Time int64

// Unix returns the time that is so many seconds and nanoseconds after the beginning of 1970.
func Unix(seconds, nanoseconds int64) Time { return Time(seconds*int64(Second) + nanoseconds) }

// UnixNano returns the nanoseconds since 1970.
func (t Time) UnixNano() int64 { return int64(t) }

// UnixMilli returns the whole milliseconds since 1970, rounded down.
func (t Time) UnixMilli() int64 {
	ms := int64(t) / int64(Millisecond)
	if int64(t)%int64(Millisecond) < 0 {
		ms--
	}
	return ms
}

// Sub returns how much later t is than u; the longest or least duration where it is more.
func (t Time) Sub(u Time) Duration {
	d := Duration(t - u)
	switch {
	case t > u && d < 0:
		return longest
	case t < u && d > 0:
		return -longest - 1
	}
	return d
}
