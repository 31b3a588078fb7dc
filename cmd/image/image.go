package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"io"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

const (
	repository = "envoy-circuit-breaker" // the image's name where no registry is part of it
	pluginFile = "plugin.wasm"           // the name that Istio and Envoy Gateway look for
)

// epoch is the time of all that has one: the same plugin makes the same bytes, whenever and wherever.
var epoch = time.Unix(0, 0).UTC()

// labels say what is in the image. The Dockerfile sets the same ones.
type labels struct {
	version, revision, source string
}

// config returns the labels by their names. What is not known has none.
func (l labels) config() map[string]string {
	all := map[string]string{
		"org.opencontainers.image.title":   repository,
		"org.opencontainers.image.version": l.version,
	}
	for name, value := range map[string]string{
		"org.opencontainers.image.revision": l.revision,
		"org.opencontainers.image.source":   l.source,
	} {
		if value != "" {
			all[name] = value
		}
	}
	return all
}

// newImage returns an OCI image of one layer, with nothing but the plugin. Fetchers of Wasm take it for its media types, as they
// would take what an engine builds of the Dockerfile.
func newImage(plugin []byte, about labels) (v1.Image, error) {
	files, err := fileSystem(plugin)
	if err != nil {
		return nil, err
	}
	layer, err := tarball.LayerFromOpener(
		func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(files)), nil },
		tarball.WithMediaType(types.OCILayer), tarball.WithCompressionLevel(gzip.DefaultCompression))
	if err != nil {
		return nil, err
	}
	image, err := mutate.ConfigFile(mutate.MediaType(empty.Image, types.OCIManifestSchema1), &v1.ConfigFile{
		// Wasm runs anywhere. This is the platform that clients ask for by default, and there is but one image for all.
		Architecture: "amd64",
		OS:           "linux",
		Created:      v1.Time{Time: epoch},
		Config:       v1.Config{Labels: about.config()},
		RootFS:       v1.RootFS{Type: "layers"},
	})
	if err != nil {
		return nil, err
	}
	return mutate.Append(mutate.ConfigMediaType(image, types.OCIConfigJSON), mutate.Addendum{
		Layer:   layer,
		History: v1.History{Created: v1.Time{Time: epoch}, CreatedBy: "COPY " + pluginFile + " /"},
	})
}

// fileSystem returns the tar of the image's files.
func fileSystem(plugin []byte) ([]byte, error) {
	var b bytes.Buffer
	files := tar.NewWriter(&b)
	if err := (file{pluginFile, plugin}).add(files); err != nil {
		return nil, err
	}
	if err := files.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// A file of a tar tells nothing of the machine where it was made.
type file struct {
	name    string
	content []byte
}

func (f file) add(files *tar.Writer) error {
	header := &tar.Header{Name: f.name, Mode: 0o644, Size: int64(len(f.content)), ModTime: epoch, Format: tar.FormatUSTAR}
	if err := files.WriteHeader(header); err != nil {
		return err
	}
	_, err := files.Write(f.content)
	return err
}
