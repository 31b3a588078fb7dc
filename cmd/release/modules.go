package main

import (
	"bytes"
	"debug/buildinfo"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	cyclonedx "github.com/CycloneDX/cyclonedx-go"
)

// writeModules writes which Go modules are in which file, as a software bill of materials in CycloneDX. It has the files and the modules
// as components, and who is in whom as dependencies. It has no serial number, which would be a random one.
func (r *release) writeModules() error {
	const product = "envoy-circuit-breaker"
	components, contained := []cyclonedx.Component{}, map[string][]string{}
	add := func(file string, kind cyclonedx.ComponentType) error {
		sum, err := r.sum(file)
		if err != nil {
			return err
		}
		components = append(components, cyclonedx.Component{
			BOMRef: file, Type: kind, Name: file, Version: r.number,
			Hashes: &[]cyclonedx.Hash{{Algorithm: cyclonedx.HashAlgoSHA256, Value: sum}},
		})
		contained[product] = append(contained[product], file)
		return nil
	}
	modules := map[string]cyclonedx.Component{}
	for _, file := range r.binaries {
		if err := add(file, cyclonedx.ComponentTypeApplication); err != nil {
			return err
		}
		found, err := modulesOf(r.file(file))
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		for _, m := range append(found, &debug.Module{Path: "std", Version: r.goVersion}) {
			c := component(m)
			modules[c.BOMRef] = c
			contained[file] = append(contained[file], c.BOMRef)
		}
	}
	image := "image-" + r.number + ".tar"
	if err := add(image, cyclonedx.ComponentTypeContainer); err != nil {
		return err
	}
	contained[image] = []string{"plugin-" + r.number + ".wasm"}
	for _, reference := range slices.Sorted(maps.Keys(modules)) {
		components = append(components, modules[reference])
	}

	bom := cyclonedx.NewBOM()
	bom.Metadata = &cyclonedx.Metadata{
		Timestamp: r.date.Format(time.RFC3339),
		Component: &cyclonedx.Component{BOMRef: product, Type: cyclonedx.ComponentTypeApplication, Name: product, Version: r.number},
	}
	bom.Components, bom.Dependencies = &components, &[]cyclonedx.Dependency{}
	for _, reference := range slices.Sorted(maps.Keys(contained)) {
		inside := slices.Sorted(slices.Values(contained[reference]))
		*bom.Dependencies = append(*bom.Dependencies, cyclonedx.Dependency{Ref: reference, Dependencies: &inside})
	}
	var text bytes.Buffer
	if err := cyclonedx.NewBOMEncoder(&text, cyclonedx.BOMFileFormatJSON).SetPretty(true).EncodeVersion(bom, cyclonedx.SpecVersion1_6); err != nil {
		return err
	}
	return r.write("sbom-"+r.number+".cdx.json", text.Bytes())
}

// component is what is told of a module.
func component(m *debug.Module) cyclonedx.Component {
	if m.Replace != nil {
		m = m.Replace
	}
	id := "pkg:golang/" + strings.ReplaceAll(m.Path+"@"+url.PathEscape(m.Version), "+", "%2B")
	return cyclonedx.Component{BOMRef: id, Type: cyclonedx.ComponentTypeLibrary, Name: m.Path, Version: m.Version, PackageURL: id}
}

// modulesOf returns the modules that a file is linked of, but for the main one, as the linker has written them into it.
func modulesOf(file string) ([]*debug.Module, error) {
	if !strings.HasSuffix(file, ".wasm") {
		info, err := buildinfo.ReadFile(file)
		if err != nil {
			return nil, err
		}
		return info.Deps, nil
	}
	// Go's own reader knows no Wasm. This is what stands around the text in any binary: modload.ModInfoData.
	begin, end := marker("3077af0c9274080241e1c107e6d618e6"), marker("f932433186182072008242104116d8f2")
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	_, text, found := bytes.Cut(content, begin)
	if text, _, found = bytes.Cut(text, end); !found {
		return nil, errors.New("it does not say which modules are in it")
	}
	info, err := debug.ParseBuildInfo(string(text))
	if err != nil {
		return nil, err
	}
	return info.Deps, nil
}

func marker(digits string) []byte {
	b, err := hex.DecodeString(digits)
	if err != nil {
		panic(err)
	}
	return b
}
