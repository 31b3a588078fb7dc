package host

import (
	"encoding/binary"

	"cel.dev/cel-go/cel"
)

// attributes are those that expressions may name. Envoy has many more.
var attributes = must(cel.NewEnv(cel.Variable("response", cel.MapType(cel.StringType, cel.DynType))))

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// callForeignFunction knows Envoy's functions for CEL expressions: expr_create compiles one and lends its token,
// expr_evaluate has the status OK where the expression has a value. A value that nobody asks for is not lent.
func (vm *VM) callForeignFunction(args []uint64) Status {
	name, ok1 := vm.read(args[0], args[1])
	argument, ok2 := vm.read(args[2], args[3])
	if !ok1 || !ok2 {
		return InvalidMemoryAccess
	}
	switch {
	case vm.host.options.NoCEL:
	case string(name) == "expr_create":
		ast, issues := attributes.Parse(string(argument))
		if issues.Err() != nil {
			return BadArgument
		}
		program, err := attributes.Program(ast)
		if err != nil {
			return BadArgument
		}
		vm.expressions = append(vm.expressions, program)
		token := binary.LittleEndian.AppendUint32(nil, uint32(len(vm.expressions)-1))
		return lend(vm, token, args[4], args[5])
	case string(name) == "expr_evaluate":
		if len(argument) != 4 {
			return BadArgument
		}
		token := int(binary.LittleEndian.Uint32(argument))
		if token >= len(vm.expressions) {
			return NotFound
		}
		_, _, err := vm.expressions[token].Eval(map[string]any{"response": vm.response()})
		switch {
		case err != nil:
			return InternalFailure
		case args[4] != 0:
			panic("the value of an expression is not implemented in this host: pass no results")
		}
		return OK
	}
	return NotFound
}

// response is the attribute of that name, as far as it is known by now.
func (vm *VM) response() map[string]any {
	known := map[string]any{}
	for name, isText := range map[string]bool{"code_details": true, "code": false, "grpc_status": false} {
		value, found := vm.property([]byte("response\x00" + name))
		switch {
		case !found:
		case isText:
			known[name] = string(value)
		default:
			known[name] = int64(binary.LittleEndian.Uint64(value))
		}
	}
	return known
}
