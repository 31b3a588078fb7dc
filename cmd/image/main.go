// Command image makes the OCI image that Istio and Envoy Gateway pull, without a container engine: the plugin and nothing else,
// as a file and, with -push, in a registry too.
//
// It is a module of its own: its library brings a good part of Docker's command line along, which nobody who imports the
// breaker should find in go.sum.
package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
)

func main() {
	plugin := flag.String("plugin", "build/plugin.wasm", "the plugin")
	archive := flag.String("o", "build/image.tar", "the file to write")
	destination := flag.String("push", "", "where to push the image to, such as registry.example.com/envoy-circuit-breaker:1.0.0")
	var about labels
	flag.StringVar(&about.version, "version", "dev", "the plugin's version, which is the tag in the file as well")
	flag.StringVar(&about.revision, "revision", "", "the commit that the plugin was built from")
	flag.StringVar(&about.source, "source", "", "the URL of its source")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Stdout, *plugin, *archive, *destination, about); err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, stdout io.Writer, plugin, archive, destination string, about labels) error {
	content, err := os.ReadFile(plugin)
	if err != nil {
		return err
	}
	image, err := newImage(content, about)
	if err != nil {
		return err
	}
	if err := writeFile(archive, image, about.version); err != nil {
		return err
	}
	fmt.Fprintf(stdout, "%s: %s:%s\n", archive, repository, about.version)
	if destination == "" {
		return nil
	}
	pushed, err := push(ctx, image, destination)
	if err != nil {
		return err
	}
	fmt.Fprintln(stdout, "pushed:", pushed)
	return nil
}

func writeFile(file string, image v1.Image, version string) error {
	tag, err := name.NewTag(repository + ":" + version)
	if err != nil {
		return fmt.Errorf("version %q is no tag of an image: %w", version, err)
	}
	var archive bytes.Buffer
	if err := writeArchive(&archive, image, tag); err != nil {
		return err
	}
	return os.WriteFile(file, archive.Bytes(), 0o644)
}
