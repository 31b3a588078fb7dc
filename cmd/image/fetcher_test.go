package main

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"path"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// fetchWasm takes the plugin out of an image by the rules of Istio's agent and of Envoy Gateway, which are the same: by its manifest
// an image is Docker's or OCI's; its last layer must be a tar.gz by a media type of the same house; in it the first file of
// that base name is taken, in whatever folder. (The third kind of Wasm image, with a layer that is the bare module, is none that engines
// make or load.)
func fetchWasm(image v1.Image) ([]byte, error) {
	manifest, err := image.Manifest()
	if err != nil {
		return nil, err
	}
	want := types.OCILayer
	if manifest.MediaType == types.DockerManifestSchema2 {
		want = types.DockerLayer
	}
	layers, err := image.Layers()
	if err != nil || len(layers) == 0 {
		return nil, fmt.Errorf("%d layers: %v", len(layers), err)
	}
	last := layers[len(layers)-1]
	if mediaType, err := last.MediaType(); err != nil || mediaType != want {
		return nil, fmt.Errorf("the last layer is %s, not %s: %v", mediaType, want, err)
	}
	content, err := last.Compressed()
	if err != nil {
		return nil, err
	}
	defer content.Close()
	plain, err := gzip.NewReader(content)
	if err != nil {
		return nil, err
	}
	for files := tar.NewReader(plain); ; {
		header, err := files.Next()
		if errors.Is(err, io.EOF) {
			return nil, errors.New("no plugin.wasm")
		}
		if err != nil {
			return nil, err
		}
		if path.Base(header.Name) == "plugin.wasm" {
			return io.ReadAll(files)
		}
	}
}
