package main

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

var about = labels{version: "1.2.3", revision: "8d1c0ef", source: "https://example.com/envoy-circuit-breaker"}

// readPlugin returns the real plugin, which `make build` makes.
func readPlugin(t *testing.T) []byte {
	t.Helper()
	plugin, err := os.ReadFile("../../build/plugin.wasm")
	if err != nil {
		t.Fatal(err)
	}
	return plugin
}

// makeArchive returns the file that the program writes.
func makeArchive(t *testing.T, about labels) string {
	t.Helper()
	archive := filepath.Join(t.TempDir(), "image.tar")
	if err := run(t.Context(), io.Discard, "../../build/plugin.wasm", archive, "", about); err != nil {
		t.Fatal(err)
	}
	return archive
}

// entries reads a tar.
func entries(t *testing.T, r io.Reader) (headers []tar.Header, contents map[string][]byte) {
	t.Helper()
	contents = map[string][]byte{}
	for files := tar.NewReader(r); ; {
		header, err := files.Next()
		if errors.Is(err, io.EOF) {
			return headers, contents
		}
		if err != nil {
			t.Fatal(err)
		}
		headers = append(headers, *header)
		if contents[header.Name], err = io.ReadAll(files); err != nil {
			t.Fatal(err)
		}
	}
}

// saved returns the image as those read it who know the form of `docker save`, with Docker's media types.
func saved(t *testing.T, archive string) v1.Image {
	t.Helper()
	image, err := tarball.ImageFromPath(archive, nil)
	if err != nil {
		t.Fatal(err)
	}
	return image
}

// laidOut returns the image as those read it who know OCI layouts.
func laidOut(t *testing.T, archive string) v1.Image {
	t.Helper()
	text, err := os.ReadFile(archive)
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	_, contents := entries(t, bytes.NewReader(text))
	for name, content := range contents {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(folder, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, name), content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	index, err := layout.ImageIndexFromPath(folder)
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Index(index); err != nil {
		t.Error(err)
	}
	manifest, err := index.IndexManifest()
	if err != nil || len(manifest.Manifests) != 1 {
		t.Fatalf("the index: %+v %v", manifest, err)
	}
	if name := manifest.Manifests[0].Annotations["org.opencontainers.image.ref.name"]; name != about.version {
		t.Errorf("the image's name in the layout: %q, want %q", name, about.version)
	}
	image, err := index.Image(manifest.Manifests[0].Digest)
	if err != nil {
		t.Fatal(err)
	}
	return image
}

// The file is an image in both forms, with the labels, and with nothing but the plugin in it.
func TestArchive(t *testing.T) {
	archive := makeArchive(t, about)
	for form, image := range map[string]v1.Image{"docker save": saved(t, archive), "OCI layout": laidOut(t, archive)} {
		if err := validate.Image(image); err != nil {
			t.Errorf("%s: %v", form, err)
		}
		checkContent(t, form, image, map[string]string{
			"org.opencontainers.image.title":    "envoy-circuit-breaker",
			"org.opencontainers.image.version":  about.version,
			"org.opencontainers.image.revision": about.revision,
			"org.opencontainers.image.source":   about.source,
		})
	}
	manifest, err := tarball.LoadManifest(func() (io.ReadCloser, error) { return os.Open(archive) })
	if err != nil || len(manifest) != 1 || !slices.Equal(manifest[0].RepoTags, []string{"envoy-circuit-breaker:1.2.3"}) {
		t.Errorf("docker load sees %+v %v", manifest, err)
	}
}

func checkContent(t *testing.T, form string, image v1.Image, wantLabels map[string]string) {
	t.Helper()
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatalf("%s: %v", form, err)
	}
	if !maps.Equal(config.Config.Labels, wantLabels) {
		t.Errorf("%s: labels %v, want %v", form, config.Config.Labels, wantLabels)
	}
	if config.Config.Entrypoint != nil || config.Config.Cmd != nil {
		t.Errorf("%s: it would run something: %+v", form, config.Config)
	}
	fileSystem := mutate.Extract(image)
	defer fileSystem.Close()
	headers, contents := entries(t, fileSystem)
	if len(headers) != 1 || !bytes.Equal(contents["plugin.wasm"], readPlugin(t)) {
		t.Errorf("%s: its files are not just the plugin: %+v", form, headers)
	}
}

// What is unknown is left out, not empty.
func TestArchiveOfUnknownSource(t *testing.T) {
	checkContent(t, "unknown source", saved(t, makeArchive(t, labels{version: "dev"})), map[string]string{
		"org.opencontainers.image.title":   "envoy-circuit-breaker",
		"org.opencontainers.image.version": "dev",
	})
}

// The same plugin makes the same bytes, at another time and in another folder too, and they tell nothing of who made them.
func TestReproducible(t *testing.T) {
	read := func() []byte {
		text, err := os.ReadFile(makeArchive(t, about))
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	first := read()
	time.Sleep(time.Until(time.Now().Truncate(time.Second).Add(time.Second))) // a tar tells times by the second
	if !bytes.Equal(first, read()) {
		t.Error("two runs differ")
	}
	headers, contents := entries(t, bytes.NewReader(first))
	image, err := newImage(readPlugin(t), about)
	if err != nil {
		t.Fatal(err)
	}
	fileSystem := mutate.Extract(image)
	defer fileSystem.Close()
	inner, _ := entries(t, fileSystem)
	for _, h := range append(headers, inner...) {
		if h.Uid != 0 || h.Gid != 0 || h.Uname != "" || h.Gname != "" || !h.ModTime.Equal(time.Unix(0, 0)) || h.Mode != 0o644 {
			t.Errorf("%s tells of its maker: %+v", h.Name, h)
		}
	}
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range contents {
		if len(content) < 10_000 && strings.Contains(string(content), host) {
			t.Errorf("%s has the host's name: %s", name, content)
		}
	}
}

func TestArchiveErrors(t *testing.T) {
	folder := t.TempDir()
	archive := filepath.Join(folder, "image.tar")
	for _, c := range []struct {
		plugin, archive, version, want string
	}{
		{filepath.Join(folder, "plugin.wasm"), archive, "1.0.0", "plugin.wasm: no such file"},
		{"../../build/plugin.wasm", archive, "1.0.0+dirty", `version "1.0.0+dirty" is no tag of an image`},
		{"../../build/plugin.wasm", filepath.Join(folder, "none", "image.tar"), "1.0.0", "no such file or directory"},
	} {
		if err := run(t.Context(), io.Discard, c.plugin, c.archive, "", labels{version: c.version}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want %q", err, c.want)
		}
	}
	if _, err := os.Stat(archive); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("there is a file all the same: %v", err)
	}
}
