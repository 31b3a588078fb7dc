//go:build wasip1 && !faulty

package main

// injectFault does nothing: only a build for tests has faults.
func injectFault() {}
