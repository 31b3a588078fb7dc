package small

// A Duration is a time.Duration: so many nanoseconds, with those of its methods that the plugin uses.
type Duration int64

// Units, as in package time.
const (
	Nanosecond  Duration = 1
	Microsecond          = 1000 * Nanosecond
	Millisecond          = 1000 * Microsecond
	Second               = 1000 * Millisecond
	Minute               = 60 * Second
	Hour                 = 60 * Minute
)

const longest = Duration(1<<63 - 1)

// Seconds returns the duration in seconds.
func (d Duration) Seconds() float64 { return float64(d/Second) + float64(d%Second)/float64(Second) }

// Milliseconds returns the duration in whole milliseconds.
func (d Duration) Milliseconds() int64 { return int64(d / Millisecond) }

// Abs returns the duration without its sign; the longest there is for the least.
func (d Duration) Abs() Duration {
	switch {
	case d >= 0:
		return d
	case d == -longest-1:
		return longest
	}
	return -d
}

// Round returns the nearest multiple of a unit, the one further from zero of two; the longest or least duration where there is none.
// Without a unit it is the duration itself.
func (d Duration) Round(unit Duration) Duration {
	if unit <= 0 {
		return d
	}
	if over := d % unit; d < 0 && over+unit > -over || d >= 0 && over+over-unit < 0 {
		return d - over
	} else if d < 0 {
		if rounded := d - over - unit; rounded < d {
			return rounded
		}
		return -longest - 1
	} else if rounded := d - over + unit; rounded > d {
		return rounded
	}
	return longest
}

// String returns the duration as "1h2m3.5s"; below a second it is in a smaller unit, such as "1.5ms".
func (d Duration) String() string {
	if d == 0 {
		return "0s"
	}
	var buf [32]byte // the longest is -2562047h47m16.854775808s
	b, u := buf[:], uint64(d)
	if d < 0 {
		u = -u
	}
	i := len(b) - 1
	b[i] = 's'
	switch {
	case u < uint64(Microsecond):
		i--
		b[i] = 'n'
		i = digits(b[:i], u)
	case u < uint64(Millisecond):
		i -= len("µ")
		copy(b[i:], "µ")
		i = decimal(b[:i], u, 3)
	case u < uint64(Second):
		i--
		b[i] = 'm'
		i = decimal(b[:i], u, 6)
	default:
		const minute, hour = uint64(Minute), uint64(Hour)
		i = decimal(b[:i], u%minute, 9)
		if u >= minute {
			i--
			b[i] = 'm'
			i = digits(b[:i], u%hour/minute)
		}
		if u >= hour {
			i--
			b[i] = 'h'
			i = digits(b[:i], u/hour)
		}
	}
	if d < 0 {
		i--
		b[i] = '-'
	}
	return string(b[i:])
}

// digits writes a number to the end of b, and returns where it begins.
func digits(b []byte, n uint64) int {
	i := len(b)
	for {
		i--
		b[i] = '0' + byte(n%10)
		if n /= 10; n == 0 {
			return i
		}
	}
}

// decimal writes a number with so many places after its point to the end of b, without zeros at the end, and returns where it begins.
func decimal(b []byte, n uint64, places int) int {
	i, shown := len(b), false
	for range places {
		digit := byte(n % 10)
		if shown = shown || digit != 0; shown {
			i--
			b[i] = '0' + digit
		}
		n /= 10
	}
	if shown {
		i--
		b[i] = '.'
	}
	return digits(b[:i], n)
}
