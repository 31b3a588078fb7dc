package wasmhost

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
)

// A Program is a compiled plugin. Any number of hosts can run it, also at once.
type Program struct {
	runtime  wazero.Runtime
	compiled wazero.CompiledModule
}

// cache keeps machine code for the life of the process, so that a module is compiled once however often it is loaded.
var cache = wazero.NewCompilationCache()

// Compile loads a plugin's WebAssembly file.
func Compile(ctx context.Context, path string) (*Program, error) {
	code, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("no plugin at %s: run `make build` first", path)
	}
	if err != nil {
		return nil, err
	}
	runtime := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigCompiler().WithCompilationCache(cache))
	compiled, err := link(ctx, runtime, code)
	if err != nil {
		runtime.Close(ctx)
		return nil, fmt.Errorf("loading %s: %w", path, err)
	}
	return &Program{runtime, compiled}, nil
}

// Close frees the program's memory. Its hosts must not be used any more.
func (p *Program) Close(ctx context.Context) error { return p.runtime.Close(ctx) }

func link(ctx context.Context, runtime wazero.Runtime, code []byte) (wazero.CompiledModule, error) {
	for _, module := range []string{env, wasi} {
		builder := runtime.NewHostModuleBuilder(module)
		for id := range hostCalls {
			call := &hostCalls[id]
			if call.module != module {
				continue
			}
			results := []api.ValueType{api.ValueTypeI32}
			if call.name == "proc_exit" {
				results = nil
			}
			builder.NewFunctionBuilder().WithGoModuleFunction(entry(id), valueTypes(call.params), results).Export(call.name)
		}
		if _, err := builder.Instantiate(ctx); err != nil {
			return nil, err
		}
	}
	return runtime.CompileModule(ctx, code)
}

func valueTypes(params string) []api.ValueType {
	var types []api.ValueType
	for _, p := range params {
		if p == 'I' {
			types = append(types, api.ValueTypeI64)
		} else {
			types = append(types, api.ValueTypeI32)
		}
	}
	return types
}

// entry is where the guest's calls of one host function come in. All virtual machines share it: the context tells which
// of them calls.
func entry(id int) api.GoModuleFunc {
	return func(ctx context.Context, module api.Module, stack []uint64) {
		vm := ctx.Value(vmKey{}).(*VM)
		for i, p := range hostCalls[id].params {
			if p == 'i' {
				stack[i] = uint64(uint32(stack[i])) // the upper half is undefined
			}
		}
		vm.memory = module.Memory()
		status := vm.serve(id, stack)
		if len(stack) > 0 {
			stack[0] = uint64(status)
		}
	}
}

type vmKey struct{}

// vmContext is the context that a virtual machine's guest runs in.
type vmContext struct {
	context.Context
	vm *VM
}

func (c vmContext) Value(key any) any {
	if key == (vmKey{}) {
		return c.vm
	}
	return c.Context.Value(key)
}
