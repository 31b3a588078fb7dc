package main

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"golang.org/x/mod/semver"
)

// checkVersion refuses what is no whole semantic version. One with metadata (+build) could be no tag of an image.
func checkVersion(version string) error {
	switch {
	case version == "":
		return errors.New("which version? make release VERSION=v1.2.3")
	case semver.IsValid("v" + version):
		return fmt.Errorf("VERSION=%s has no v: make release VERSION=v%s", version, version)
	case !semver.IsValid(version) || semver.Canonical(version) != version:
		return fmt.Errorf("VERSION=%s is no version such as v1.2.3 or v1.2.3-rc.1", version)
	}
	return nil
}

// checkTree refuses files that are not those of the commit.
func checkTree(root string) error {
	changed, err := git(root, "status", "--porcelain")
	if err != nil {
		return err
	}
	if changed != "" {
		return fmt.Errorf("a release is made of a commit, and these files are in none: commit, stash or remove them first\n%s", changed)
	}
	return nil
}

// section returns what the changelog says of a version, without the heading.
func section(changelog, version string) (string, error) {
	number := strings.TrimPrefix(version, "v")
	heading := regexp.MustCompile(`(?m)^## \[?v?` + regexp.QuoteMeta(number) + `\]?(?: .*)?$`)
	place := heading.FindStringIndex(changelog)
	if place == nil {
		return "", fmt.Errorf("CHANGELOG.md has no section of this version: make one of \"## Unreleased\", by a line such as \"## %s - YYYY-MM-DD\" below it, and commit that", number)
	}
	text := changelog[place[1]:]
	if next := regexp.MustCompile(`(?m)^## `).FindStringIndex(text); next != nil {
		text = text[:next[0]]
	}
	if text = strings.TrimSpace(text); text == "" {
		return "", fmt.Errorf("CHANGELOG.md says nothing of %s: there is nothing between %q and the next version", number, changelog[place[0]:place[1]])
	}
	return text + "\n", nil
}
