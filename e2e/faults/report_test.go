//go:build faults || soak

package faults_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"envoy-circuit-breaker/internal/machine"
)

// A row is what came of one kind of fault. It is a line of the table that the tests write.
type row struct {
	Part  string // of the table: whose fault it is, such as "Envoy"
	Fault string
	view
	Faults int    // how many there were
	Note   string // what else was seen, as Markdown
}

var (
	rowsLock sync.Mutex
	rows     []row
	began    = time.Now()
)

// report adds a line to the table, unless the test has failed.
func report(t testing.TB, r row) {
	t.Helper()
	t.Logf("%s: %d faults, %v. %s", r.Fault, r.Faults, r.view, r.Note)
	if t.Failed() {
		return
	}
	rowsLock.Lock()
	defer rowsLock.Unlock()
	rows = append(rows, r)
}

var update = flag.Bool("update", false, "put the table into docs/faults.md")

// Where the table goes, from this folder.
const (
	buildFolder = "../../build"
	docsFile    = "../../docs/faults.md"
)

// soakPart is the part of the table that the soak makes: a table of its own.
const soakPart = "Soak"

func TestMain(m *testing.M) {
	flag.Parse()
	code := m.Run()
	if len(rows) > 0 {
		name := "faults"
		if rows[0].Part == soakPart {
			name = "soak"
		}
		if err := writeTable(name, code == 0 && *update); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// writeTable writes the table to a file of its own, and into the documentation between two marks.
func writeTable(name string, intoDocs bool) error {
	text := table()
	if err := os.MkdirAll(buildFolder, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(buildFolder, name+".md"), []byte(text), 0o644); err != nil || !intoDocs {
		return err
	}
	begin, end := "<!-- "+name+" -->\n", "<!-- /"+name+" -->\n"
	docs, err := os.ReadFile(docsFile)
	if err != nil {
		return err
	}
	before, rest, found := strings.Cut(string(docs), begin)
	_, after, ends := strings.Cut(rest, end)
	if !found || !ends {
		return fmt.Errorf("%s has no place for the table of %s", docsFile, name)
	}
	return os.WriteFile(docsFile, []byte(before+begin+text+end+after), 0o644)
}

// table is the rows as Markdown, in an order that does not depend on which test was the first.
func table() string {
	slices.SortFunc(rows, func(a, b row) int { return strings.Compare(a.Part+"\x00"+a.Fault, b.Part+"\x00"+b.Fault) })
	var out strings.Builder
	fmt.Fprintf(&out, "Measured %s on %s, %d cores, Linux, in %v.\n", began.Format("2006-01-02"), machine.CPU(), runtime.NumCPU(),
		time.Since(began).Round(time.Second))
	part := ""
	for _, r := range rows {
		if r.Part != part {
			part = r.Part
			fmt.Fprintf(&out, "\n**%s**\n\n| fault | requests | faults | lost | wrong rejects | |\n|---|---|---|---|---|---|\n", part)
		}
		fmt.Fprintf(&out, "| %s | %d | %d | %d | %d | %s |\n", r.Fault, r.Requests, r.Faults, r.Lost(), r.Wrong, r.Note)
	}
	return out.String()
}
