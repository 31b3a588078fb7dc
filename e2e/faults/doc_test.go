// Package faults_test breaks a real Envoy that has the plugin, its clients and its upstreams in every way that is known to happen, under
// load, and counts what the clients see request by request. It takes minutes, so it has build tags: make test-faults and make soak.
package faults_test
