package accesslog

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// write makes a log of some lines, of what it is compressed by its name's end tells.
func write(t *testing.T, name string, text []byte) (path string) {
	t.Helper()
	var b bytes.Buffer
	var w io.WriteCloser
	switch filepath.Ext(name) {
	case ".gz":
		w = gzip.NewWriter(&b)
	case ".zst":
		w, _ = zstd.NewWriter(&b)
	default:
		b.Write(text)
	}
	if w != nil {
		if _, err := w.Write(text); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	path = filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// at is a line of a request that ended at a millisecond.
func at(ms int) string {
	return fmt.Sprintf(`{"time":%d.%03d,"duration_ms":0,"status":200}`+"\n", ms/1000, ms%1000)
}

// TestInOrder reads many blocks, plain and compressed, with one parser and with several.
func TestInOrder(t *testing.T) {
	const n = 20000 // 3 MB
	text := lines(n)
	names := []string{write(t, "a.log", text), write(t, "a.log.gz", text), write(t, "a.zst", text), "-"}
	for _, name := range names {
		for _, workers := range []int{1, 3} {
			entries, sources := read(t, Options{Workers: workers, Stdin: bytes.NewReader(text)}, name)
			if len(entries) != n || sources[0].Lines != n || sources[0].Broken != 0 {
				t.Fatalf("%s: %d entries of %+v", name, len(entries), sources)
			}
			for i, e := range entries {
				if e.Line != int64(i+1) || e.Cluster != fmt.Sprintf("outbound|80||service-%d.shop.svc.cluster.local", i%7) || e.File != sources[0].Name {
					t.Fatalf("%s: entry %d is %+v", name, i, e)
				}
			}
		}
	}
}

// TestPipe reads what can be read once only, such as the <(…) of a shell.
func TestPipe(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	text := lines(2000)
	go func() {
		w.Write(text)
		w.Close()
	}()
	name := fmt.Sprint("/dev/fd/", r.Fd())
	if _, err := os.Stat(name); err != nil {
		t.Skip(err)
	}
	if entries, _ := read(t, Options{}, name); len(entries) != 2000 {
		t.Errorf("%d entries", len(entries))
	}
}

// TestMerged reads the parts of one log that was rotated, and another Envoy's beside it, in whatever order they are named.
func TestMerged(t *testing.T) {
	part := func(from, to, step int) []byte {
		var b strings.Builder
		for ms := from; ms < to; ms += step {
			b.WriteString(at(ms))
		}
		return []byte(b.String())
	}
	names := []string{
		write(t, "a.log", part(4000, 6000, 2)), write(t, "b.log", part(1, 6000, 2)), write(t, "a.log.1", part(2000, 4000, 2)),
		write(t, "a.log.2.gz", part(0, 2000, 2)), write(t, "empty.log", nil), write(t, "c.log", part(10000, 10010, 1)),
	}
	entries, sources := read(t, Options{FileIsInstance: true}, names...)
	for i, e := range entries[:6000] {
		if e.Start != int64(i)*1e6 {
			t.Fatalf("entry %d is %+v", i, e)
		}
		if e.Instance != e.File {
			t.Fatalf("%q is the instance in %q", e.Instance, e.File)
		}
	}
	if len(entries) != 6010 {
		t.Errorf("%d entries", len(entries))
	}
	for i, lines := range []int64{1000, 3000, 1000, 1000, 0, 10} {
		if sources[i].Name != names[i] || sources[i].Lines != lines {
			t.Errorf("log %d is %+v", i, sources[i])
		}
	}
}

// TestMergedTies reads lines that ended at one time: those of the first log by name are first, whatever came before.
func TestMergedTies(t *testing.T) {
	folder := t.TempDir()
	var names []string
	for name, ends := range map[string][]int{"a": {1, 5, 5, 9}, "b": {2, 5, 9, 9}, "c": {5, 9}, "d": {3, 5}} {
		var text string
		for _, ms := range ends {
			text += at(ms)
		}
		names = append(names, filepath.Join(folder, name))
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	slices.Sort(names)
	for range 4 {
		names = append(names[1:], names[0])
		var order []string
		entries, sources := read(t, Options{}, names...)
		for _, e := range entries {
			order = append(order, fmt.Sprint(e.Start/1e6, filepath.Base(e.File), e.Log))
		}
		if got := strings.Join(order, " "); got != "1a0 2b1 3d3 5a0 5a0 5b1 5c2 5d3 9a0 9b1 9b1 9c2" || sources[0].Name != names[0] {
			t.Errorf("of %q: %s", names, got)
		}
	}
}

// TestBrokenLines tells each of them between the lines around it, and goes on.
func TestBrokenLines(t *testing.T) {
	text := "starting\n\n" + at(1) + `{"time":1,` + "\n" + at(2) + "   \r\n" + strings.Repeat("x", 3*mostLine) + "\n" + at(3) + strings.Repeat(at(4), 2*blockSize/len(at(4))) + "\n" + `{"ti`
	var told []string
	n := 0
	sources, err := Read([]string{write(t, "a.log", []byte(text))}, Options{}, func(e *Entry) error {
		n++
		if n <= 3 {
			told = append(told, fmt.Sprint(e.Line, " fine"))
		}
		return nil
	}, func(b *Broken) error {
		told = append(told, fmt.Sprint(b.Line, " ", b.Err))
		return nil
	})
	last := 8 + 2*blockSize/len(at(4)) + 1
	want := []string{
		"1 is no JSON object: it does not begin with {", "3 fine", "4 ends in the middle of its JSON: was it cut off?", "5 fine", "7 is longer than 1048576 bytes",
		"8 fine", fmt.Sprint(last+1, " ends in the middle of its JSON: was it cut off?"),
	}
	if fmt.Sprint(told) != fmt.Sprint(want) || err != nil {
		t.Errorf("%q, %v\nwant %q", told, err, want)
	}
	if s := sources[0]; s.Broken != 4 || s.Lines != int64(n+4) {
		t.Errorf("the log is %+v, with %d entries", s, n)
	}
}

func TestNoKnownFormat(t *testing.T) {
	for text, says := range map[string]string{
		"hello\nworld\n":                        `none of the first 2 lines is of a format that is known`,
		"starting\n":                            `name the format if its lines come later`,
		`{"ts":1,"status":200}` + "\n":          `line 1 tells no time when the request started`,
		`1.2.3.4 - - [10/Oct/2000:13:55:36]`:    `does not begin with [TIME] "METHOD PATH PROTOCOL"`,
		`[2026-11-26T10:56:46.581Z] "GET / HTT`: `was it cut off?`,
	} {
		_, err := Read([]string{"-"}, Options{Stdin: strings.NewReader(text)}, func(*Entry) error { return nil }, func(*Broken) error { return nil })
		if err == nil || !strings.Contains(err.Error(), says) || !strings.HasPrefix(err.Error(), "stdin: ") {
			t.Errorf("%.40q: %v", text, err)
		}
	}
}

// TestCutOff reads what there is of logs that end in the middle, and says so.
func TestCutOff(t *testing.T) {
	for _, name := range []string{"a.gz", "a.zst"} {
		path := write(t, name, lines(5000))
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(path, info.Size()/2); err != nil {
			t.Fatal(err)
		}
		n := 0
		_, err = Read([]string{path}, Options{}, func(*Entry) error { n++; return nil }, func(*Broken) error { return nil })
		if !errors.Is(err, io.ErrUnexpectedEOF) || n == 0 || n >= 5000 || !strings.HasPrefix(err.Error(), path+": after line ") {
			t.Errorf("%s: %d entries, %v", name, n, err)
		}
	}
	_, err := Read([]string{filepath.Join(t.TempDir(), "none")}, Options{}, nil, nil)
	if !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

// TestStops ends with the first error of whoever is told.
func TestStops(t *testing.T) {
	stop := errors.New("enough")
	n := 0
	_, err := Read([]string{write(t, "a.log", lines(20000))}, Options{}, func(*Entry) error {
		if n++; n == 10 {
			return stop
		}
		return nil
	}, nil)
	if err != stop || n != 10 {
		t.Error(n, err)
	}
	_, err = Read([]string{"-"}, Options{Stdin: strings.NewReader(at(1) + "x\n" + at(2))}, func(*Entry) error { return nil }, func(b *Broken) error { return b })
	var broken *Broken
	if !errors.As(err, &broken) || broken.Line != 2 || broken.Error() != "stdin:2: is no JSON object: it does not begin with {" {
		t.Error(err)
	}
}

func TestFormatFlags(t *testing.T) {
	for _, c := range []struct {
		name   string
		fields []string
		says   string
	}{
		{"text", nil, `format "text" is none of auto, json, envoy, istio`},
		{"istio", []string{"status=x"}, "text, which has no fields"},
		{"", []string{"stat=x"}, `"stat" is none of time,`},
		{"", []string{"status"}, "such as status=response.status"},
		{"", []string{"duration=x,m"}, `"m" is no unit`},
	} {
		if _, err := ParseFormat(c.name, c.fields); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s %q: %v", c.name, c.fields, err)
		}
	}
	for _, name := range FormatNames {
		if f, err := ParseFormat(name, nil); err != nil || (f == nil) != (name == "auto") {
			t.Error(name, f, err)
		}
	}
	if len(FieldNames) != int(fields) {
		t.Error("not every field has a name")
	}
}
