package bridge

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestMethodSet fails when the SDK's host interface and the bridge's differ: a value of the one stands in a variable of
// the other, so the methods must be the same, in the same order, with parameters of the same size.
func TestMethodSet(t *testing.T) {
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/tetratelabs/proxy-wasm-go-sdk").Output()
	if err != nil {
		t.Fatalf("finding the SDK's source: %v", err)
	}
	sdk := interfaceMethods(t, filepath.Join(strings.TrimSpace(string(dir)), "proxywasm/internal/abi_hostcalls_mock.go"), "ProxyWasmHost")
	ours := interfaceMethods(t, "hostcalls.go", "hostCalls")
	if len(sdk) != 29 {
		t.Errorf("the SDK's interface has %d methods, 29 were expected", len(sdk))
	}
	if !slices.Equal(sdk, ours) {
		t.Errorf("the SDK's methods:\n%s\n\nthe bridge's:\n%s", strings.Join(sdk, "\n"), strings.Join(ours, "\n"))
	}
}

// interfaceMethods lists the methods of an interface as "Name(types)", with the SDK's named integers as uint32.
func interfaceMethods(t *testing.T, file, name string) []string {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var methods []string
	ast.Inspect(f, func(n ast.Node) bool {
		spec, ok := n.(*ast.TypeSpec)
		if !ok || spec.Name.Name != name {
			return true
		}
		for _, m := range spec.Type.(*ast.InterfaceType).Methods.List {
			signature := m.Type.(*ast.FuncType)
			methods = append(methods, fmt.Sprintf("%s(%s) %s", m.Names[0], typeNames(signature.Params), typeNames(signature.Results)))
		}
		return false
	})
	slices.Sort(methods)
	return methods
}

func typeNames(fields *ast.FieldList) string {
	var list []string
	for _, f := range fields.List {
		name := typeName(f.Type)
		for range max(1, len(f.Names)) {
			list = append(list, name)
		}
	}
	return strings.Join(list, ", ")
}

func typeName(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.StarExpr:
		return "*" + typeName(e.X)
	case *ast.Ident:
		switch e.Name {
		case "LogLevel", "Status", "MapType", "BufferType", "StreamType", "MetricType":
			return "uint32"
		}
		return e.Name
	}
	return fmt.Sprintf("%T", e)
}
