// Package version knows which version this is.
package version

import (
	"strconv"
	"strings"
)

// Version is what `make VERSION=…` was given: the same in the plugin, in breakerctl and in the image's labels.
var Version = "dev"

// Revision is the commit, where make knew it. The plugin has none, so that a checkout and an archive build the same bytes.
var Revision string

// Number is the version as the gauge that a plugin shows has it.
func Number() uint64 { return number(Version) }

// number makes a number of a version that orders as versions do: 1002003 of 1.2.3, of v1.2.3 and of what leads to it, such as
// 1.2.3-rc.1. It is 0 for what is not of that form, and where a part has more than three digits.
func number(version string) (n uint64) {
	version, _, _ = strings.Cut(strings.TrimPrefix(version, "v"), "+")
	version, _, _ = strings.Cut(version, "-")
	parts := 0
	for part := range strings.SplitSeq(version, ".") {
		digits, err := strconv.ParseUint(part, 10, 64)
		if err != nil || digits > 999 {
			return 0
		}
		n = n*1000 + digits
		parts++
	}
	if parts != 3 {
		return 0
	}
	return n
}
