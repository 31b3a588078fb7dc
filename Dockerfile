# The OCI image that Istio and Envoy Gateway pull: nothing but the plugin, as /plugin.wasm.

FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN make build

FROM scratch
COPY --from=build /src/build/plugin.wasm /plugin.wasm
