// Command release makes the files of a release from the commit that is checked out: the plugin, its image, breakerctl for each platform,
// what Go modules are in them, their checksums and the changelog's section. The same commit makes the same bytes, whenever and wherever.
//
// It is a module of its own, for the library that writes the list of modules.
package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

func main() {
	root := flag.String("root", ".", "the repository")
	version := flag.String("version", "", "which version this is, such as v1.2.3")
	source := flag.String("source", "", "the URL of the source, for the image's label")
	goVersion := flag.String("go", "", "the version of Go that builds it, such as 1.26.8")
	flag.Parse()
	if err := run(*root, *version, *source, *goVersion); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

func run(root, version, source, goVersion string) error {
	if err := checkVersion(version); err != nil {
		return err
	}
	if err := checkTree(root); err != nil {
		return err
	}
	changelog, err := os.ReadFile(filepath.Join(root, "CHANGELOG.md"))
	if err != nil {
		return err
	}
	notes, err := section(string(changelog), version)
	if err != nil {
		return err
	}
	r, err := newRelease(root, version, source, goVersion)
	if err != nil {
		return err
	}
	defer os.RemoveAll(r.work)
	if err := r.build(); err != nil {
		return err
	}
	if err := r.write("RELEASE-NOTES.md", []byte(notes)); err != nil {
		return err
	}
	if err := r.writeModules(); err != nil {
		return err
	}
	if err := r.writeSums(); err != nil {
		return err
	}
	return r.publish()
}

// A release is one that is being made.
type release struct {
	root, number, source string // number is the version without its v, as the plugin says it
	goVersion            string
	commit               string
	date                 time.Time // of the commit: nothing else has a time

	work        string // a folder for what is on the way
	destination string // the folder of the release
	binaries    []string
}

func newRelease(root, version, source, goVersion string) (*release, error) {
	r := &release{root: root, number: strings.TrimPrefix(version, "v"), source: source, goVersion: goVersion}
	described, err := git(root, "show", "--no-patch", "--format=%H %ct", "HEAD")
	if err != nil {
		return nil, err
	}
	commit, date, _ := strings.Cut(described, " ")
	seconds, err := strconv.ParseInt(date, 10, 64)
	if err != nil {
		return nil, err
	}
	r.commit, r.date = commit, time.Unix(seconds, 0).UTC()
	all := filepath.Join(root, "build", "release")
	r.destination = filepath.Join(all, version)
	if err := os.MkdirAll(all, 0o755); err != nil {
		return nil, err
	}
	if r.work, err = os.MkdirTemp(all, ".making-"); err != nil {
		return nil, err
	}
	return r, os.Mkdir(r.file(""), 0o755)
}

// file is where a file of the release is until all are there.
func (r *release) file(name string) string { return filepath.Join(r.work, "files", name) }

func (r *release) write(name string, content []byte) error {
	if err := os.WriteFile(r.file(name), content, 0o644); err != nil {
		return err
	}
	return os.Chmod(r.file(name), 0o644) // whatever the umask is
}

// publish puts the release where it belongs, once it is whole.
func (r *release) publish() error {
	if err := os.RemoveAll(r.destination); err != nil {
		return err
	}
	if err := os.Rename(r.file(""), r.destination); err != nil {
		return err
	}
	if err := os.Chmod(r.destination, 0o755); err != nil {
		return err
	}
	files, err := os.ReadDir(r.destination)
	if err != nil {
		return err
	}
	for _, f := range files {
		fmt.Println(filepath.Join(r.destination, f.Name()))
	}
	return nil
}

// git returns what a command of Git's says.
func git(root string, arguments ...string) (string, error) {
	command := exec.Command("git", append([]string{"-C", root}, arguments...)...)
	command.Stderr = os.Stderr
	said, err := command.Output()
	if err != nil {
		return "", fmt.Errorf("git %s: %w", arguments[0], err)
	}
	return strings.TrimSuffix(string(said), "\n"), nil
}
