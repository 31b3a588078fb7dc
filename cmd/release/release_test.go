package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestCheckVersion(t *testing.T) {
	for _, version := range []string{"v1.2.3", "v0.0.0", "v10.20.30-rc.1", "v1.0.0-0.3.7"} {
		if err := checkVersion(version); err != nil {
			t.Errorf("%s: %v", version, err)
		}
	}
	for version, want := range map[string]string{
		"": "which version? make release VERSION=v1.2.3", "1.2.3": "VERSION=1.2.3 has no v: make release VERSION=v1.2.3",
		"v1": "VERSION=v1 is no version such as v1.2.3 or v1.2.3-rc.1", "v1.2": "is no version", "v1.2.3.4": "is no version", "v01.2.3": "is no version",
		"v1.2.3-": "is no version", "v1.2.3-01": "is no version", "v1.2.3+build": "is no version", "dev": "is no version", "v1.2.3/..": "is no version",
	} {
		if err := checkVersion(version); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", version, err, want)
		}
	}
}

func TestSection(t *testing.T) {
	const changelog = `# Changelog

## Unreleased

- next

## 1.2.3 - 2026-12-01

### Added

- this

## [1.2.2] – 2026-11-01
- that
## v1.2.1

## 1.2.30
- other
`
	for version, want := range map[string]string{"v1.2.3": "### Added\n\n- this\n", "v1.2.2": "- that\n", "v1.2.30": "- other\n"} {
		if notes, err := section(changelog, version); err != nil || notes != want {
			t.Errorf("%s: %q, %v", version, notes, err)
		}
	}
	for version, want := range map[string]string{
		"v1.2.1": `CHANGELOG.md says nothing of 1.2.1: there is nothing between "## v1.2.1" and the next version`,
		"v1.2":   `CHANGELOG.md has no section of this version: make one of "## Unreleased", by a line such as "## 1.2 - YYYY-MM-DD" below it`,
		"v1a2.3": "has no section", "v1.2.3-rc.1": "has no section",
	} {
		if notes, err := section(changelog, version); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %q, %v, want %q", version, notes, err, want)
		}
	}
}

// Files that are not those of the commit are told by name.
func TestCheckTree(t *testing.T) {
	root := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("committed", "1")
	write(".gitignore", "ignored\n")
	for _, arguments := range [][]string{{"init", "-q"}, {"add", "."}, {"-c", "user.name=x", "-c", "user.email=x", "commit", "-q", "-m", "x"}} {
		if said, err := exec.Command("git", append([]string{"-C", root}, arguments...)...).CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v %s", arguments, err, said)
		}
	}
	write("ignored", "")
	if err := checkTree(root); err != nil {
		t.Error(err)
	}
	write("new", "")
	write("committed", "2")
	if err := checkTree(root); err == nil || !strings.Contains(err.Error(), "commit, stash or remove them first\n M committed\n?? new") {
		t.Error(err)
	}
	if err := checkTree(t.TempDir()); err == nil || !strings.Contains(err.Error(), "git status") {
		t.Error(err)
	}
}

// Which modules are in the plugin, it says itself.
func TestModulesOf(t *testing.T) {
	modules, err := modulesOf("../../build/plugin.wasm")
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for _, m := range modules {
		found[m.Path] = strings.HasPrefix(m.Version, "v") && m.Sum != ""
	}
	if !found["github.com/tetratelabs/proxy-wasm-go-sdk"] {
		t.Errorf("%v", found)
	}
	stub := filepath.Join(t.TempDir(), "stub.wasm")
	if err := os.WriteFile(stub, []byte("\x00asm"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := modulesOf(stub); err == nil || !strings.Contains(err.Error(), "does not say which modules") {
		t.Error(err)
	}
}
