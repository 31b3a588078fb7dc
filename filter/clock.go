//go:build wasip1

package main

import (
	"envoy-circuit-breaker/breaker"
	"envoy-circuit-breaker/filter/internal/bridge"
)

// clock is Envoy's steady clock. Every exact reading and every tick sets the coarse one, which so lags by no more than
// the tick's period and costs a request nothing.
type clock struct{}

var coarse breaker.Time

func (clock) Now() breaker.Time {
	coarse = breaker.Time(bridge.Now())
	return coarse
}

func (clock) Coarse() breaker.Time { return coarse }
