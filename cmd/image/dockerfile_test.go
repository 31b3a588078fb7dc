package main

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// An engine makes the same image of the Dockerfile: one layer with the plugin as /plugin.wasm, and the same labels.
func TestDockerfile(t *testing.T) {
	text, err := os.ReadFile("../../Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	stages := strings.Split("\n"+string(text), "\nFROM ")
	base, instructions, _ := strings.Cut(stages[len(stages)-1], "\n")
	if base != "scratch" {
		t.Errorf("the last stage begins with %q", base)
	}
	var layers []string
	found := map[string]string{}
	label := regexp.MustCompile(`^(\S+?)="(.*)"$`)
	for line := range strings.Lines(strings.ReplaceAll(instructions, "\\\n", "\nLABEL ")) {
		name, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch rest = strings.TrimSpace(rest); {
		case rest == "" || name == "#" || name == "ARG":
		case name == "LABEL":
			pair := label.FindStringSubmatch(rest)
			if pair == nil {
				t.Fatalf("no test can read the label %s", rest)
			}
			found[pair[1]] = pair[2]
		default:
			layers = append(layers, name+" "+rest)
		}
	}
	if want := []string{"COPY --from=build /src/build/plugin.wasm /plugin.wasm"}; !slices.Equal(layers, want) {
		t.Errorf("the last stage does %q, want %q", layers, want)
	}
	if want := (labels{version: "$VERSION", revision: "$REVISION", source: "$SOURCE"}).config(); !maps.Equal(found, want) {
		t.Errorf("its labels are %v, want %v", found, want)
	}
}

// The engine is given all that `make build` compiles.
func TestDockerignore(t *testing.T) {
	text, err := os.ReadFile("../../.dockerignore")
	if err != nil {
		t.Fatal(err)
	}
	given := strings.Fields(strings.ReplaceAll(string(text), "!", ""))
	list := exec.Command("go", "list", "-deps", "-f", "{{with .Module}}{{if .Main}}{{$.ImportPath}}{{end}}{{end}}", "./filter")
	list.Dir = "../.."
	list.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm")
	packages, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	if len(strings.Fields(string(packages))) < 5 {
		t.Fatalf("the plugin's packages: %s", packages)
	}
	for _, pkg := range strings.Fields(string(packages)) {
		folder := strings.TrimPrefix(pkg, "envoy-circuit-breaker/")
		for folder != "." && !slices.Contains(given, folder) {
			folder = filepath.Dir(folder)
		}
		if folder == "." {
			t.Errorf(".dockerignore keeps %s away", pkg)
		}
	}
}
