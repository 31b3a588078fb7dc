package statuspage

import (
	"flag"
	"os"
	"strconv"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write html.go anew from page.html")

// The page is page.html.
func TestPageIsHTML(t *testing.T) {
	page, err := os.ReadFile("page.html")
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	b.WriteString("// Code generated from page.html by go generate. DO NOT EDIT.\n\npackage statuspage\n\nconst html = \"\"")
	for line := range strings.Lines(string(page)) {
		b.WriteString(" +\n\t" + strconv.Quote(line))
	}
	b.WriteString("\n")
	if *update {
		if err := os.WriteFile("html.go", []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if source, err := os.ReadFile("html.go"); err != nil || string(source) != b.String() {
		t.Errorf("html.go is not what page.html has become (error %v): run go generate ./filter/statuspage", err)
	}
}
