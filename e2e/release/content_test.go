//go:build release

package release_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// The image is an OCI layout whose one layer has the plugin of the release, and whose labels say what it is of.
func testImage(t *testing.T, released, commit string) {
	files := untar(t, read(t, filepath.Join(released, "image-"+number+".tar")))
	for name, content := range files {
		if folder, digest := path.Split(name); folder == "blobs/sha256/" && sum(content) != digest {
			t.Errorf("%s has the digest %s", name, sum(content))
		}
	}
	type descriptor struct{ Digest string }
	decode := func(name string, into any) {
		t.Helper()
		if err := json.Unmarshal(files[name], into); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	blob := func(d descriptor) string { return "blobs/" + strings.Replace(d.Digest, ":", "/", 1) }
	var index struct{ Manifests []descriptor }
	var manifest struct {
		Config descriptor
		Layers []descriptor
	}
	var config struct {
		Config struct{ Labels map[string]string }
	}
	decode("index.json", &index)
	if len(index.Manifests) != 1 {
		t.Fatalf("%+v", index)
	}
	decode(blob(index.Manifests[0]), &manifest)
	decode(blob(manifest.Config), &config)
	labels := config.Config.Labels
	if labels["org.opencontainers.image.version"] != number || labels["org.opencontainers.image.revision"] != commit {
		t.Errorf("labels %v", labels)
	}
	if len(manifest.Layers) != 1 {
		t.Fatalf("%+v", manifest)
	}
	plain, err := gzip.NewReader(bytes.NewReader(files[blob(manifest.Layers[0])]))
	if err != nil {
		t.Fatal(err)
	}
	layer, err := io.ReadAll(plain)
	if err != nil {
		t.Fatal(err)
	}
	inside := untar(t, layer)
	if plugin := read(t, filepath.Join(released, "plugin-"+number+".wasm")); len(inside) != 1 || sum(inside["plugin.wasm"]) != sum(plugin) {
		t.Errorf("the layer's plugin is not that of the release")
	}
}

func sum(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}

func untar(t *testing.T, archive []byte) map[string][]byte {
	t.Helper()
	contents := map[string][]byte{}
	for files := tar.NewReader(bytes.NewReader(archive)); ; {
		header, err := files.Next()
		if errors.Is(err, io.EOF) {
			return contents
		}
		if err != nil {
			t.Fatal(err)
		}
		if contents[header.Name], err = io.ReadAll(files); err != nil {
			t.Fatal(err)
		}
	}
}

// The bill of materials holds by CycloneDX's own schema. It has each file with its checksum, and of each the modules that Go finds in it.
func testModules(t *testing.T, released, clone string) {
	text := read(t, filepath.Join(released, "sbom-"+number+".cdx.json"))
	validate(t, text, clone)
	var bom struct {
		Components []struct {
			Ref    string `json:"bom-ref"`
			Purl   string
			Hashes []struct{ Alg, Content string }
		}
		Dependencies []struct {
			Ref       string
			DependsOn []string
		}
	}
	if err := json.Unmarshal(text, &bom); err != nil {
		t.Fatal(err)
	}
	inside, known := map[string][]string{}, map[string]bool{}
	for _, d := range bom.Dependencies {
		inside[d.Ref] = d.DependsOn
	}
	for _, c := range bom.Components {
		known[c.Ref] = true
		if c.Purl == "" && (len(c.Hashes) != 1 || c.Hashes[0].Alg != "SHA-256" || c.Hashes[0].Content != sum(read(t, filepath.Join(released, c.Ref)))) {
			t.Errorf("%s has the checksums %v", c.Ref, c.Hashes)
		}
	}
	files := inside["envoy-circuit-breaker"]
	for _, name := range names(t, released) {
		if binary := strings.HasPrefix(name, "breakerctl") || strings.HasPrefix(name, "plugin") || strings.HasPrefix(name, "image"); binary != slices.Contains(files, name) {
			t.Errorf("%s among the files: %v", name, !binary)
		}
	}
	for _, name := range files {
		var want []string
		switch {
		case strings.HasPrefix(name, "image"):
			continue
		case strings.HasPrefix(name, "plugin"):
			listed := command(t, clone, []string{"GOOS=wasip1", "GOARCH=wasm"}, "go", "list", "-deps", "-f",
				"{{with .Module}}{{if not .Main}}pkg:golang/{{.Path}}@{{.Version}}{{end}}{{end}}", "./filter")
			want = strings.Fields(listed)
		default:
			for line := range strings.Lines(command(t, released, nil, "go", "version", "-m", name)) {
				if fields := strings.Fields(line); fields[0] == "dep" {
					want = append(want, "pkg:golang/"+fields[1]+"@"+fields[2])
				}
			}
		}
		slices.Sort(want)
		want = slices.Compact(want)
		got := slices.DeleteFunc(slices.Clone(inside[name]), func(ref string) bool { return strings.HasPrefix(ref, "pkg:golang/std@") })
		if !slices.Equal(got, want) || len(want) == 0 || len(got) != len(inside[name])-1 {
			t.Errorf("%s has %q, want %q and std", name, inside[name], want)
		}
		for _, ref := range inside[name] {
			if !known[ref] {
				t.Errorf("%s is no component", ref)
			}
		}
	}
	if image := inside["image-"+number+".tar"]; !slices.Equal(image, []string{"plugin-" + number + ".wasm"}) {
		t.Errorf("the image has %q", image)
	}
}

// validate checks a bill of materials by the schema that the library comes with.
func validate(t *testing.T, text []byte, clone string) {
	t.Helper()
	library := strings.TrimSpace(command(t, filepath.Join(clone, "cmd", "release"), nil, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/CycloneDX/cyclonedx-go"))
	compiler := jsonschema.NewCompiler()
	for _, name := range []string{"spdx.schema.json", "jsf-0.82.schemax.json", "bom-1.6.schema.json"} {
		schema, err := jsonschema.UnmarshalJSON(bytes.NewReader(read(t, filepath.Join(library, "schema", name))))
		if err != nil {
			t.Fatal(err)
		}
		if err := compiler.AddResource("http://cyclonedx.org/schema/"+strings.Replace(name, "schemax", "schema", 1), schema); err != nil {
			t.Fatal(err)
		}
	}
	schema, err := compiler.Compile("http://cyclonedx.org/schema/bom-1.6.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	if err := schema.Validate(document); err != nil {
		t.Error(err)
	}
}
