# The OCI image that Istio and Envoy Gateway pull: nothing but the plugin, as /plugin.wasm. `make image` makes the same one without
# a container engine. For its labels: --build-arg VERSION=1.0.0, and likewise REVISION and SOURCE.

FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=dev
RUN make build VERSION="$VERSION"

FROM scratch
ARG VERSION=dev
ARG REVISION
ARG SOURCE
LABEL org.opencontainers.image.title="envoy-circuit-breaker" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION" \
      org.opencontainers.image.source="$SOURCE"
COPY --from=build /src/build/plugin.wasm /plugin.wasm
