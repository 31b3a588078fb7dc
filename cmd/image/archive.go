package main

import (
	"archive/tar"
	"encoding/json"
	"fmt"
	"io"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// writeArchive writes an image as `docker save` does: an OCI layout, whose blobs a manifest.json names for those who know the
// older form only. So every tool that loads an image from a file takes it.
func writeArchive(w io.Writer, image v1.Image, tag name.Tag) error {
	blobs, err := blobsOf(image)
	if err != nil {
		return err
	}
	index, err := indexOf(image, tag).RawManifest()
	if err != nil {
		return err
	}
	saved, err := savedManifest(image, tag)
	if err != nil {
		return err
	}
	files := tar.NewWriter(w)
	for _, f := range append([]file{{"oci-layout", []byte(`{"imageLayoutVersion":"1.0.0"}`)}, {"index.json", index}, {"manifest.json", saved}}, blobs...) {
		if err := f.add(files); err != nil {
			return err
		}
	}
	return files.Close()
}

// indexOf is what an OCI layout begins with.
func indexOf(image v1.Image, tag name.Tag) v1.ImageIndex {
	return mutate.IndexMediaType(mutate.AppendManifests(empty.Index, mutate.IndexAddendum{
		Add: image,
		Descriptor: v1.Descriptor{Annotations: map[string]string{
			"io.containerd.image.name":          "docker.io/library/" + tag.String(), // containerd's full name of what Docker gives no registry
			"org.opencontainers.image.ref.name": tag.TagStr(),
		}},
	}), types.OCIImageIndex)
}

// savedManifest is the manifest.json of `docker save`.
func savedManifest(image v1.Image, tag name.Tag) ([]byte, error) {
	manifest, err := image.Manifest()
	if err != nil {
		return nil, err
	}
	saved := tarball.Descriptor{Config: blobName(manifest.Config.Digest), RepoTags: []string{tag.String()}}
	for _, l := range manifest.Layers {
		saved.Layers = append(saved.Layers, blobName(l.Digest))
	}
	return json.Marshal(tarball.Manifest{saved})
}

// blobsOf returns manifest, configuration and layers.
func blobsOf(image v1.Image) ([]file, error) {
	digest, err := image.Digest()
	if err != nil {
		return nil, err
	}
	manifest, err := image.RawManifest()
	if err != nil {
		return nil, err
	}
	configName, err := image.ConfigName()
	if err != nil {
		return nil, err
	}
	config, err := image.RawConfigFile()
	if err != nil {
		return nil, err
	}
	blobs := []file{{blobName(digest), manifest}, {blobName(configName), config}}
	layers, err := image.Layers()
	if err != nil {
		return nil, err
	}
	for _, l := range layers {
		digest, err := l.Digest()
		if err != nil {
			return nil, err
		}
		content, err := l.Compressed()
		if err != nil {
			return nil, err
		}
		defer content.Close()
		text, err := io.ReadAll(content)
		if err != nil {
			return nil, err
		}
		blobs = append(blobs, file{blobName(digest), text})
	}
	return blobs, nil
}

// blobName is the file of an OCI layout that has the content of that digest.
func blobName(digest v1.Hash) string { return fmt.Sprintf("blobs/%s/%s", digest.Algorithm, digest.Hex) }
