// Package version knows which version this is.
package version

// Version is what `make VERSION=…` was given: the same in the plugin, in breakerctl and in the image's labels.
var Version = "dev"

// Revision is the commit, where make knew it. The plugin has none, so that a checkout and an archive build the same bytes.
var Revision string
