package main

import (
	"bytes"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// startRegistry returns the address of a registry.
func startRegistry(t *testing.T) string {
	t.Helper()
	t.Setenv("DOCKER_CONFIG", t.TempDir()) // no one's credentials
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

func pull(t *testing.T, reference string) v1.Image {
	t.Helper()
	ref, err := name.ParseReference(reference)
	if err != nil {
		t.Fatal(err)
	}
	image, err := remote.Image(ref)
	if err != nil {
		t.Fatal(err)
	}
	return image
}

// What is pushed comes back as it is in the file, and is what fetchers of Wasm take.
func TestPush(t *testing.T) {
	destination := startRegistry(t) + "/mesh/envoy-circuit-breaker:1.2.3"
	archive := filepath.Join(t.TempDir(), "image.tar")
	if err := run(t.Context(), io.Discard, "../../build/plugin.wasm", archive, destination, about); err != nil {
		t.Fatal(err)
	}
	image := pull(t, destination)
	digest, err := image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	if inFile, err := laidOut(t, archive).Digest(); err != nil || digest != inFile {
		t.Errorf("pushed %v, but the file has %v %v", digest, inFile, err)
	}
	if mediaType, err := image.MediaType(); err != nil || mediaType != types.OCIManifestSchema1 {
		t.Errorf("the manifest's media type: %s %v", mediaType, err)
	}
	checkContent(t, "pulled", image, about.config())
	checkFetched(t, image)
}

// The file, loaded into an engine and pushed by that, has Docker's media types. Fetchers of Wasm take it too.
func TestPushByDocker(t *testing.T) {
	destination := startRegistry(t) + "/mesh/envoy-circuit-breaker:1.2.3"
	tag, err := name.NewTag(destination)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(tag, saved(t, makeArchive(t, about))); err != nil {
		t.Fatal(err)
	}
	image := pull(t, destination)
	if mediaType, err := image.MediaType(); err != nil || mediaType != types.DockerManifestSchema2 {
		t.Errorf("the manifest's media type: %s %v", mediaType, err)
	}
	checkContent(t, "pulled", image, about.config())
	checkFetched(t, image)
}

func checkFetched(t *testing.T, image v1.Image) {
	t.Helper()
	plugin, err := fetchWasm(image)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(plugin, readPlugin(t)) {
		t.Errorf("what is fetched has %d bytes and is not the plugin", len(plugin))
	}
}

func TestPushReturnsDigest(t *testing.T) {
	destination := startRegistry(t) + "/envoy-circuit-breaker"
	image, err := newImage([]byte("\x00asm"), about)
	if err != nil {
		t.Fatal(err)
	}
	pushed, err := push(t.Context(), image, destination+":1.2.3")
	if err != nil {
		t.Fatal(err)
	}
	digest, err := image.Digest()
	if want := fmt.Sprintf("%s@%s", destination, digest); err != nil || pushed != want {
		t.Errorf("pushed %q, want %q (%v)", pushed, want, err)
	}
	pull(t, pushed)
}

// Whoever cannot push is told where to, and what to do.
func TestPushErrors(t *testing.T) {
	gone := startRegistry(t)
	closed := httptest.NewServer(http.NotFoundHandler())
	nobody := strings.TrimPrefix(closed.URL, "http://")
	closed.Close()
	locked := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("WWW-Authenticate", `Basic realm="registry"`)
		w.WriteHeader(http.StatusUnauthorized)
	}))
	t.Cleanup(locked.Close)
	private := strings.TrimPrefix(locked.URL, "http://")

	image, err := newImage([]byte("\x00asm"), about)
	if err != nil {
		t.Fatal(err)
	}
	for destination, want := range map[string][]string{
		nobody + "/breaker:1":                               {"pushing to " + nobody + "/breaker:1", "connection refused"},
		private + "/breaker:1":                              {"pushing to " + private + "/breaker:1", "401", "docker login " + private},
		"registry.example.com/Breaker:1":                    {`"registry.example.com/Breaker:1" is no place for an image`, "registry.example.com/envoy-circuit-breaker:1.0.0"},
		"registry.example.com/breaker":                      {"is no place for an image"}, // which version?
		"oci://registry.example.com/breaker:1":              {"is no place for an image"},
		gone + "/breaker@sha256:" + strings.Repeat("0", 64): {"is no place for an image"},
	} {
		_, err := push(t.Context(), image, destination)
		if err == nil {
			t.Errorf("%s: pushed", destination)
			continue
		}
		for _, words := range want {
			if !strings.Contains(err.Error(), words) {
				t.Errorf("%s: %v, want %q in it", destination, err, words)
			}
		}
	}
}
