//go:build release

// Package release_test makes a release in two clones and uses what was made. `make test-release` runs it.
package release_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"envoy-circuit-breaker/breaker"
	"envoy-circuit-breaker/internal/envoy"
	"envoy-circuit-breaker/internal/envoytest"
)

const (
	root    = "../.."
	version = "v1.2.3-rc.1"
	number  = "1.2.3-rc.1"
	notes   = "- Something new.\n"
)

func TestRelease(t *testing.T) {
	origin, commit := snapshot(t)
	first, second := filepath.Join(t.TempDir(), "first"), filepath.Join(t.TempDir(), "a", "longer", "path", "to", "the-second")
	for _, clone := range []string{first, second} {
		command(t, "", nil, "git", "clone", "--quiet", origin, clone)
	}
	refuse(t, first)

	released := makeRelease(t, first)
	// Of another machine: its cache is empty, its settings are others, its files are nobody else's.
	again := makeRelease(t, second, "GOCACHE="+t.TempDir(), "GOFLAGS=-tags=allocs", "GOAMD64=v2", "GOEXPERIMENT=nodwarf5", "CGO_ENABLED=1",
		"TZ=Pacific/Auckland", "LC_ALL=C", "GOOS="+runtime.GOOS, "VERSION=v9", "REVISION=none")
	compare(t, released, again)

	t.Run("checksums", func(t *testing.T) { testChecksums(t, released) })
	t.Run("notes", func(t *testing.T) {
		if got := read(t, filepath.Join(released, "RELEASE-NOTES.md")); string(got) != notes {
			t.Errorf("%q", got)
		}
	})
	t.Run("breakerctl", func(t *testing.T) { testBreakerctl(t, released, first, commit) })
	t.Run("plugin", func(t *testing.T) { testPlugin(t, released) })
	t.Run("image", func(t *testing.T) { testImage(t, released, commit) })
	t.Run("modules", func(t *testing.T) { testModules(t, released, first) })
}

// snapshot returns a repository with one commit of the working tree as it is, but that its changelog has the version.
func snapshot(t *testing.T) (folder, commit string) {
	t.Helper()
	folder = filepath.Join(t.TempDir(), "origin")
	listed := command(t, root, nil, "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	for name := range strings.SplitSeq(strings.TrimRight(listed, "\x00"), "\x00") {
		from, to := filepath.Join(root, name), filepath.Join(folder, name)
		info, err := os.Lstat(from)
		if err != nil || !info.Mode().IsRegular() {
			continue // removed, and not yet in a commit
		}
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to, read(t, from), info.Mode().Perm()); err != nil {
			t.Fatal(err)
		}
	}
	changelog := filepath.Join(folder, "CHANGELOG.md")
	text := strings.Replace(string(read(t, changelog)), "## Unreleased\n", "## Unreleased\n\n## "+number+" - 2026-12-01\n\n"+notes+"\n## 0.0.0\n", 1)
	if err := os.WriteFile(changelog, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	command(t, folder, nil, "git", "init", "--quiet")
	command(t, folder, nil, "git", "add", "--all")
	command(t, folder, nil, "git", "-c", "user.name=test", "-c", "user.email=test@example.com", "commit", "--quiet", "--message", "snapshot")
	return folder, strings.TrimSpace(command(t, folder, nil, "git", "rev-parse", "HEAD"))
}

// refuse tries what makes no release. Each says what to do.
func refuse(t *testing.T, clone string) {
	t.Helper()
	stray := filepath.Join(clone, "stray")
	for _, c := range []struct{ version, stray, want string }{
		{"", "", "which version? make release VERSION=v1.2.3"},
		{number, "", "VERSION=" + number + " has no v: make release VERSION=" + version},
		{"v1.2", "", "VERSION=v1.2 is no version such as v1.2.3"},
		{"v7.0.0", "", `CHANGELOG.md has no section of this version: make one of "## Unreleased"`},
		{version, stray, "commit, stash or remove them first\n?? stray"},
	} {
		if c.stray != "" {
			if err := os.WriteFile(c.stray, nil, 0o644); err != nil {
				t.Fatal(err)
			}
			defer os.Remove(c.stray)
		}
		arguments := []string{"release"}
		if c.version != "" {
			arguments = append(arguments, "VERSION="+c.version)
		}
		tool := exec.Command("make", arguments...)
		tool.Dir = clone
		if said, err := tool.CombinedOutput(); err == nil || !strings.Contains(string(said), c.want) {
			t.Errorf("VERSION=%s: %v, want %q in\n%s", c.version, err, c.want, said)
		}
	}
	if files, err := filepath.Glob(filepath.Join(clone, "build", "release", "*")); err != nil || len(files) > 0 {
		t.Errorf("there are files all the same: %q %v", files, err)
	}
}

func makeRelease(t *testing.T, clone string, environment ...string) (folder string) {
	t.Helper()
	t.Log(command(t, clone, environment, "sh", "-c", "umask 077 && exec make release VERSION="+version))
	if left, err := filepath.Glob(filepath.Join(clone, "build", "release", ".*")); err != nil || len(left) > 0 {
		t.Errorf("it leaves %q", left)
	}
	return filepath.Join(clone, "build", "release", version)
}

// compare tells which files differ.
func compare(t *testing.T, first, second string) {
	t.Helper()
	want := []string{"RELEASE-NOTES.md", "SHA256SUMS"}
	for _, platform := range []string{"darwin-amd64", "darwin-arm64", "linux-amd64", "linux-arm64"} {
		want = append(want, "breakerctl-"+number+"-"+platform)
	}
	want = append(want, "image-"+number+".tar", "plugin-"+number+".wasm", "sbom-"+number+".cdx.json")
	for _, folder := range []string{first, second} {
		if got := names(t, folder); !slices.Equal(got, want) {
			t.Fatalf("%s has %q, want %q", folder, got, want)
		}
	}
	for _, name := range want {
		if !bytes.Equal(read(t, filepath.Join(first, name)), read(t, filepath.Join(second, name))) {
			t.Errorf("%s is not the same in two clones", name)
		}
		info, err := os.Stat(filepath.Join(second, name))
		if err != nil {
			t.Fatal(err)
		}
		mode := os.FileMode(0o644)
		if strings.HasPrefix(name, "breakerctl") {
			mode = 0o755
		}
		if info.Mode().Perm() != mode {
			t.Errorf("%s has the mode %v", name, info.Mode())
		}
	}
}

func names(t *testing.T, folder string) (names []string) {
	t.Helper()
	files, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		names = append(names, f.Name())
	}
	return names
}

// The sums are those of all other files, and a changed one is found out.
func testChecksums(t *testing.T, released string) {
	said := command(t, released, nil, "sha256sum", "--check", "--strict", "SHA256SUMS")
	for _, name := range names(t, released) {
		if name != "SHA256SUMS" && !strings.Contains(said, name+": OK\n") {
			t.Errorf("%s has no sum in\n%s", name, said)
		}
	}
}

// The tool of this platform was installed from the release and works; none tells where it was built.
func testBreakerctl(t *testing.T, released, clone, commit string) {
	tool := filepath.Join(t.TempDir(), "breakerctl")
	command(t, released, nil, "install", "breakerctl-"+number+"-"+runtime.GOOS+"-"+runtime.GOARCH, tool)
	if said, want := command(t, "", nil, tool, "version"), "breakerctl "+number+", revision "+commit+", go"; !strings.HasPrefix(said, want) {
		t.Errorf("%q, want %q", said, want)
	}
	command(t, clone, nil, tool, "check", "envoy.yaml")
	for _, name := range names(t, released) {
		if bytes.Contains(read(t, filepath.Join(released, name)), []byte(clone)) {
			t.Errorf("%s tells where it was built", name)
		}
	}
}

// The plugin works in a real Envoy, and says which version it is.
func testPlugin(t *testing.T, released string) {
	upstream := envoytest.NewUpstream(t)
	upstream.Handle(envoytest.Status(500))
	plugin, err := filepath.Abs(filepath.Join(released, "plugin-"+number+".wasm"))
	if err != nil {
		t.Fatal(err)
	}
	e := envoytest.Start(t, envoy.Bootstrap{
		Clusters:  []envoy.Cluster{{Name: "payments", Address: upstream.Address}},
		Listeners: []envoy.Listener{{Plugin: &envoy.Plugin{File: plugin, Config: `{"min_requests": 5}`}}},
	})
	for range 5 {
		if a := e.Get("/payments"); a.Status != 500 {
			t.Fatalf("%+v", a)
		}
	}
	if a := e.Get("/payments"); a.Status != 503 || a.Header.Get("x-circuit-breaker") == "" {
		t.Errorf("not rejected: %+v", a)
	}
	if s := e.Breaker("payments"); s.State() != breaker.Open {
		t.Errorf("%v", s)
	}
	if !strings.Contains(e.Log(), "configuration loaded: version="+number+";") {
		t.Errorf("another version:\n%s", e.Log())
	}
}

// command runs one and returns what it says. Its failure fails the test.
func command(t *testing.T, folder string, environment []string, name string, arguments ...string) string {
	t.Helper()
	c := exec.Command(name, arguments...)
	c.Dir, c.Env = folder, append(os.Environ(), environment...)
	said, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, arguments, err, said)
	}
	return string(said)
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return content
}
