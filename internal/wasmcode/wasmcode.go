// Package wasmcode tells how much code a WebAssembly module has, and in which functions it is.
package wasmcode

import (
	"bytes"
	"encoding/binary"
	"errors"
)

// The sections of a module that are looked at.
// https://webassembly.github.io/spec/core/binary/modules.html#sections
const (
	custom  = 0
	imports = 2
	code    = 10
)

// A Function is one of a module's own.
type Function struct {
	Name string // empty where the module has no names
	Size int    // of its code, in bytes
}

var errBroken = errors.New("not a WebAssembly module with code")

// Size returns the size of a module's code section in bytes, which is what a host has to compile.
func Size(module []byte) (int, error) {
	all, err := sections(module)
	if err != nil {
		return 0, err
	}
	return len(all[code]), nil
}

// Functions returns the functions of a module, which all have names if it was linked without -s.
func Functions(module []byte) ([]Function, error) {
	all, err := sections(module)
	if err != nil {
		return nil, err
	}
	r := reader{b: all[imports]}
	imported := r.number() // all are functions, as the linker makes it; they come first
	r = reader{b: all[code]}
	functions := make([]Function, r.number())
	for i := range functions {
		functions[i].Size = len(r.bytes())
	}
	names := reader{b: all[custom]}
	for len(names.b) > 0 {
		const ofFunctions = 1
		kind, list := names.byte(), reader{b: names.bytes()}
		for n := list.number(); kind == ofFunctions && n > 0; n-- {
			if i, name := list.number()-imported, list.bytes(); i >= 0 && i < len(functions) {
				functions[i].Name = string(name)
			}
		}
		names.broken = names.broken || list.broken
	}
	if r.broken || names.broken {
		return nil, errBroken
	}
	return functions, nil
}

// sections returns what is in each section; of custom ones in that for names.
func sections(module []byte) (map[byte][]byte, error) {
	rest, isModule := bytes.CutPrefix(module, []byte("\x00asm\x01\x00\x00\x00"))
	all := map[byte][]byte{}
	for r := (reader{b: rest}); len(r.b) > 0; {
		id, body := r.byte(), r.bytes()
		if r.broken {
			return nil, errBroken
		}
		if id == custom {
			named := reader{b: body}
			if string(named.bytes()) != "name" {
				continue
			}
			body = named.b
		}
		all[id] = body
	}
	if !isModule || all[code] == nil {
		return nil, errBroken
	}
	return all, nil
}

// A reader takes what a module is made of from its beginning. Where it is not there, the module is broken, and nothing is left.
type reader struct {
	b      []byte
	broken bool
}

func (r *reader) byte() byte {
	if len(r.b) == 0 {
		r.broken = true
		return 0
	}
	c := r.b[0]
	r.b = r.b[1:]
	return c
}

// number takes a number that counts bytes or things, each of a byte at least.
func (r *reader) number() int {
	n, size := binary.Uvarint(r.b)
	if size <= 0 || n > 1<<31 {
		r.b, r.broken = nil, true
		return 0
	}
	r.b = r.b[size:]
	return int(n)
}

// bytes takes a size, and as many bytes.
func (r *reader) bytes() []byte {
	n := r.number()
	if n > len(r.b) {
		r.b, r.broken = nil, true
		return nil
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}
