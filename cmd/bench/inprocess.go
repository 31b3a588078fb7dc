//go:build linux

package main

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"envoy-circuit-breaker/internal/wasmhost"
)

// measureInProcess measures, on a host of our own in this process, what no clock is needed for: what a request asks of the host,
// what it leaves behind for the garbage collector, and how workers get on with each other.
func (b *bench) measureInProcess(ctx context.Context) (err error) {
	if err := b.machine.useAllCores(); err != nil { // so that workers do get in each other's way
		return err
	}
	defer func() { err = errors.Join(err, b.machine.leaveEnvoyAlone()) }()
	b.progress.at(0, "host calls and garbage of a request")
	plugin, err := wasmhost.Compile(ctx, pluginFile)
	if err != nil {
		return err
	}
	defer plugin.Close(ctx)
	metered, err := wasmhost.Compile(ctx, meteredFile)
	if err != nil {
		return err
	}
	defer metered.Close(ctx)

	counts, _, err := costOf(plugin)
	if err != nil {
		return err
	}
	b.report("host calls of a healthy request", "", most(8), counts.calls)
	b.report("those that return a buffer", "", most(3), counts.buffers)
	b.report("those on shared data, between two bucket ends", "", most(0), counts.sharedData)
	_, garbage, err := costOf(metered)
	if err != nil {
		return err
	}
	b.report("garbage of a healthy request", "bytes", most(0), garbage)

	for i, h := range []struct {
		name, config string
		fails        bool // every other request
	}{{"healthy", "{}", false}, {"half of all requests fail", failingConfig, true}} {
		b.progress.at(0.4+0.3*float64(i), "16 workers, %s", h.name)
		conflicts, sharedData, err := hammer(plugin, h.config, h.fails)
		if err != nil {
			return err
		}
		b.report("16 workers, "+h.name+": CAS conflicts an outcome", "", most(0.05), conflicts)
		b.report("16 workers, "+h.name+": shared-data calls a request", "", most(0.02), sharedData)
	}
	return nil
}

var cluster = clusterName(0)

// serve sends a request through a worker, and ends it with a status of the upstream's.
func serve(vm *wasmhost.VM, status int) error {
	s, err := vm.Request(wasmhost.Req{Cluster: cluster})
	if err != nil {
		return err
	}
	if !s.Continued() {
		return errors.New("a request was not admitted")
	}
	return s.Status(status)
}

type hostCost struct{ calls, buffers, sharedData float64 }

func sharedDataCalls(c wasmhost.Counts) uint64 {
	return c.Calls["proxy_get_shared_data"] + c.Calls["proxy_set_shared_data"]
}

// costOf returns what a healthy request costs a worker that is warm, in host calls and, if the program can tell, in bytes.
func costOf(program *wasmhost.Program) (c hostCost, garbage float64, err error) {
	const requests = 10_000
	h, err := wasmhost.New(program, wasmhost.Options{Plugin: "breaker"})
	if err != nil {
		return c, 0, err
	}
	defer h.Close()
	vm := h.VM(0)
	send := func(n int) error {
		for range n {
			if err := serve(vm, 200); err != nil {
				return err
			}
		}
		return nil
	}
	if err := send(100); err != nil {
		return c, 0, err
	}
	allocated, metered := vm.Call("allocated")
	before := h.Counts()
	if err := send(requests); err != nil {
		return c, 0, err
	}
	d := h.Counts().Sub(before)
	if metered == nil {
		now, err := vm.Call("allocated")
		if err != nil {
			return c, 0, err
		}
		garbage = float64(now-allocated) / requests
	}
	return hostCost{float64(d.Total()) / requests, float64(d.TotalBuffers()) / requests, float64(sharedDataCalls(d)) / requests}, garbage, nil
}

// hammer has 16 workers send requests to one cluster, each as fast as it can. The clock goes by the requests, as if each worker
// had 1,000 of them a second, so the figures do not depend on how fast this machine is.
func hammer(program *wasmhost.Program, config string, fails bool) (conflictsPerOutcome, sharedDataPerRequest float64, err error) {
	const (
		workers   = 16
		perWorker = 20_000
		perSecond = 1000
		moment    = 10 * time.Millisecond
		perMoment = workers * perSecond * int(moment) / int(time.Second)
	)
	h, err := wasmhost.New(program, wasmhost.Options{Workers: workers, Plugin: "breaker", Config: config})
	if err != nil {
		return 0, 0, err
	}
	defer h.Close()
	for i := range workers {
		if err := serve(h.VM(i), 200); err != nil {
			return 0, 0, err
		}
	}
	before := h.Counts()
	// The workers take turns at shared data, as if each had a core of its own.
	h.SetHook(func(_ int, call, _ string) wasmhost.Status {
		if strings.HasSuffix(call, "_shared_data") {
			runtime.Gosched()
		}
		return wasmhost.OK
	})
	var sent atomic.Int64
	var group sync.WaitGroup
	errs := make(chan error, workers+1)
	moments := make(chan struct{})
	for i := range workers {
		group.Go(func() {
			for n := range perWorker {
				if sent.Add(1)%int64(perMoment) == 0 {
					moments <- struct{}{}
				}
				status := 200
				if fails && n%2 == 0 {
					status = 500
				}
				if err := serve(h.VM(i), status); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	advanced := make(chan struct{})
	go func() {
		defer close(advanced)
		for range moments {
			if err := h.Advance(moment); err != nil {
				select {
				case errs <- err:
				default: // one is enough
				}
			}
		}
	}()
	group.Wait()
	close(moments)
	<-advanced
	select {
	case err := <-errs:
		return 0, 0, err
	default:
	}
	d := h.Counts().Sub(before)
	const requests = workers * perWorker
	return float64(d.CASMismatches) / requests, float64(sharedDataCalls(d)) / requests, nil
}
