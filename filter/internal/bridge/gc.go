//go:build wasip1

package bridge

import _ "unsafe" // for go:linkname

// SetGCPercent is what runtime/debug calls by that name. That package brings os along.
//
//go:linkname SetGCPercent runtime/debug.setGCPercent
func SetGCPercent(percent int32) (before int32)
