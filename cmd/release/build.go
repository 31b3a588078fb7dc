package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// platforms are those that breakerctl is built for, as GOOS/GOARCH.
var platforms = []string{"linux/amd64", "linux/arm64", "darwin/amd64", "darwin/arm64"}

// build makes the plugin, the image and breakerctl out of the commit's own files: what Git ignores may lie around in the working tree.
func (r *release) build() error {
	tree := filepath.Join(r.work, "tree")
	if err := r.extract(tree); err != nil {
		return err
	}
	environment, err := r.environment()
	if err != nil {
		return err
	}
	builds := func(name, built string, mode os.FileMode, environment []string, targets ...string) error {
		command := exec.Command("make", slices.Concat([]string{"-C", tree, "--no-print-directory"}, targets,
			[]string{"VERSION=" + r.number, "REVISION=" + r.commit, "SOURCE=" + r.source})...)
		command.Env, command.Stdout, command.Stderr = environment, os.Stderr, os.Stderr
		if err := command.Run(); err != nil {
			return fmt.Errorf("make %s: %w", strings.Join(targets, " "), err)
		}
		if err := os.Rename(filepath.Join(tree, "build", built), r.file(name)); err != nil {
			return err
		}
		return os.Chmod(r.file(name), mode)
	}
	plugin, image := "plugin-"+r.number+".wasm", "image-"+r.number+".tar"
	if err := builds(image, "image.tar", 0o644, environment, "image"); err != nil {
		return err
	}
	if err := builds(plugin, "plugin.wasm", 0o644, environment, "build"); err != nil {
		return err
	}
	r.binaries = []string{plugin}
	for _, platform := range platforms {
		system, architecture, _ := strings.Cut(platform, "/")
		name := fmt.Sprintf("breakerctl-%s-%s-%s", r.number, system, architecture)
		if err := builds(name, "breakerctl", 0o755, append(environment, "GOOS="+system, "GOARCH="+architecture), "breakerctl"); err != nil {
			return err
		}
		r.binaries = append(r.binaries, name)
	}
	return nil
}

// extract writes the commit's files to a folder.
func (r *release) extract(folder string) error {
	if err := os.Mkdir(folder, 0o755); err != nil {
		return err
	}
	archive := filepath.Join(r.work, "tree.tar")
	if _, err := git(r.root, "archive", "--format=tar", "--output="+archive, r.commit); err != nil {
		return err
	}
	if said, err := exec.Command("tar", "-xf", archive, "-C", folder).CombinedOutput(); err != nil {
		return fmt.Errorf("tar: %w\n%s", err, said)
	}
	return nil
}

// environment is one in which nothing of this machine's decides what is built, but for where modules come from.
func (r *release) environment() ([]string, error) {
	kept := []string{"GOPATH", "GOMODCACHE", "GOCACHE", "GOPROXY", "GONOPROXY", "GOSUMDB", "GONOSUMDB", "GOPRIVATE", "GOINSECURE", "GOAUTH", "GOVCS"}
	said, err := exec.Command("go", append([]string{"env", "-json"}, kept...)...).Output()
	if err != nil {
		return nil, fmt.Errorf("go env: %w", err)
	}
	values := map[string]string{}
	if err := json.Unmarshal(said, &values); err != nil {
		return nil, err
	}
	environment := slices.DeleteFunc(os.Environ(), func(variable string) bool {
		name, _, _ := strings.Cut(variable, "=")
		return strings.HasPrefix(name, "GO") || strings.HasPrefix(name, "CGO") || strings.HasPrefix(name, "MAKE") || name == "MFLAGS" ||
			name == "VERSION" || name == "REVISION" || name == "SOURCE"
	})
	for _, name := range kept {
		environment = append(environment, name+"="+values[name])
	}
	return append(environment, "GOENV=off", "GOWORK=off", "GOTOOLCHAIN=go"+r.goVersion, "CGO_ENABLED=0", "GOAMD64=v1", "GOARM64=v8.0"), nil
}

// writeSums writes the checksums of all files, for `sha256sum -c`.
func (r *release) writeSums() error {
	files, err := os.ReadDir(r.file(""))
	if err != nil {
		return err
	}
	var sums strings.Builder
	for _, f := range files {
		sum, err := r.sum(f.Name())
		if err != nil {
			return err
		}
		fmt.Fprintf(&sums, "%s  %s\n", sum, f.Name())
	}
	return r.write("SHA256SUMS", []byte(sums.String()))
}

// sum returns a file's SHA-256, in hexadecimal.
func (r *release) sum(name string) (string, error) {
	content, err := os.ReadFile(r.file(name))
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:]), nil
}
