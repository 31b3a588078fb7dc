package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"envoy-circuit-breaker/internal/report"
)

// pageMisuse says why a page cannot be written to a file, before what takes a while: "" is no file.
func pageMisuse(file string) error {
	if err := outputMisuse("-html", file); err != nil {
		return err
	}
	if isThere(file) && !isPage(file) { // such as the first log of those that a pattern stands for
		return fmt.Errorf("-html would write over %s, which is no page: name another file", file)
	}
	return nil
}

// outputMisuse says why a file that a flag names cannot be written.
func outputMisuse(flag, file string) error {
	if file == "-" {
		return fmt.Errorf("%s needs a file, and - is none", flag)
	}
	folder := filepath.Dir(file)
	if info, err := os.Stat(folder); file != "" && (err != nil || !info.IsDir()) {
		return fmt.Errorf("%s %s: there is no folder %s", flag, file, folder)
	}
	if info, err := os.Stat(file); err == nil && info.IsDir() {
		return fmt.Errorf("%s %s is a folder: name a file", flag, file)
	}
	return nil
}

// isThere reports whether a file has something in it.
func isThere(file string) bool {
	info, err := os.Stat(file)
	return err == nil && info.Mode().IsRegular() && info.Size() > 0
}

// isPage reports whether a file has a page.
func isPage(name string) bool {
	const begins = "<!doctype html>"
	file, err := os.Open(name)
	if err != nil {
		return false
	}
	defer file.Close()
	is := make([]byte, len(begins))
	_, err = io.ReadFull(file, is)
	return err == nil && string(is) == begins
}

// writeFile writes a file. A pipe is not opened for reading too, as [os.Create] does: its writer would be its reader, and wait for itself.
func writeFile(name string, write func(io.Writer) error) error {
	file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o666)
	if err != nil {
		return err
	}
	return errors.Join(write(file), file.Close())
}

// write writes a report to the output, and its page to a file if that has a name.
func (p *program) write(r *report.Report, asJSON bool, page string) int {
	var pageErr error
	if page != "" {
		pageErr = writeFile(page, r.WriteHTML)
	}
	var err error
	if asJSON {
		err = r.WriteJSON(p.out)
	} else {
		err = r.WriteText(p.out)
	}
	if err = errors.Join(err, pageErr); err != nil {
		return p.fail(err)
	}
	return ok
}
