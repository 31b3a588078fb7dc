package smallfmt

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/constant"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// goPackage is what go list tells of one.
type goPackage struct {
	ImportPath, Dir, Export string
	GoFiles                 []string
}

// plugin returns the packages of the plugin, those of others included.
func plugin(t *testing.T) (all []*goPackage) {
	t.Helper()
	list := exec.Command("go", "list", "-deps", "-export", "-json=ImportPath,Dir,Export,GoFiles", "envoy-circuit-breaker/filter")
	list.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm")
	out, err := list.Output()
	if err != nil {
		t.Fatalf("listing the plugin's packages: %v", err)
	}
	for d := json.NewDecoder(strings.NewReader(string(out))); d.More(); {
		p := &goPackage{}
		if err := d.Decode(p); err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	return all
}

// Every format in the plugin is constant, with verbs that there are and values of types that they can have.
func TestUsage(t *testing.T) {
	exports, calls := map[string]string{}, 0
	fset := token.NewFileSet()
	from := importer.ForCompiler(fset, "gc", func(path string) (io.ReadCloser, error) { return os.Open(exports[path]) })
	for _, p := range plugin(t) { // each after those that it imports
		exports[p.ImportPath] = p.Export
		if !strings.HasPrefix(p.ImportPath, "envoy-circuit-breaker/") {
			continue
		}
		var files []*ast.File
		for _, name := range p.GoFiles {
			file, err := parser.ParseFile(fset, filepath.Join(p.Dir, name), nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			files = append(files, file)
		}
		checked, wrong := check(t, from, fset, p.ImportPath, files)
		calls += checked
		for _, w := range wrong {
			t.Error(w)
		}
	}
	if calls < 30 {
		t.Errorf("only %d calls in the plugin: this test does not find them any more", calls)
	}
}

// The check finds what is wrong.
func TestUsageFindsMistakes(t *testing.T) {
	const source = `package p
type level int
type named string
func (level) String() string { return "" }
func say(format string, args ...any) {}
func pass(format string, args ...any) { say(format, args...) }
func any1[T int | float64](v T) { say("%v", v) }
func any2[T int | bool](v T) { say("%d", v) }
func f(s string, n named, u uint16, x any, err error) {
	say("%s %q %d %v %v %%", s, s, 1, 2.5, level(2))
	say("%v %s %w", level(1), err, err)
	say("%x", 1); say("%d", s); say("%d", level(1)); say("%v", x); say("%v", n); say("%d", u)
	say("%s"); say("a", 1); say("%5d", 1); say(s); say("%v", []byte(s)); say("%")
}`
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, "p.go", source, 0)
	if err != nil {
		t.Fatal(err)
	}
	calls, wrong := check(t, nil, fset, "p", []*ast.File{file})
	if calls != 16 || len(wrong) != 13 {
		t.Errorf("%d calls, %d wrong:\n%s", calls, len(wrong), strings.Join(wrong, "\n"))
	}
}

// check returns how many calls of functions that take a format there are in a package, and what is wrong with them. A function that
// passes its own format on is one of them, and that call is not checked.
func check(t *testing.T, from types.Importer, fset *token.FileSet, path string, files []*ast.File) (calls int, wrong []string) {
	t.Helper()
	info := &types.Info{Types: map[ast.Expr]types.TypeAndValue{}}
	conf := types.Config{Importer: from, Sizes: types.SizesFor("gc", "wasm")}
	if _, err := conf.Check(path, fset, files, info); err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			f, ok := info.Types[call.Fun].Type.(*types.Signature)
			if !ok || !takesFormat(f) || call.Ellipsis.IsValid() {
				return true
			}
			calls++
			at := f.Params().Len() - 2
			format := info.Types[call.Args[at]].Value
			if format == nil {
				wrong = append(wrong, fmt.Sprintf("%v: the format is no constant", fset.Position(call.Pos())))
				return true
			}
			for _, text := range mistakes(constant.StringVal(format), call.Args[at+1:], info) {
				wrong = append(wrong, fmt.Sprintf("%v: %s", fset.Position(call.Pos()), text))
			}
			return true
		})
	}
	return calls, wrong
}

// takesFormat reports whether a function's last parameters are (format string, args ...any).
func takesFormat(f *types.Signature) bool {
	n := f.Params().Len()
	return f.Variadic() && n >= 2 && f.Params().At(n-2).Name() == "format" && f.Params().At(n-1).Type().String() == "[]any"
}

func mistakes(format string, args []ast.Expr, info *types.Info) (wrong []string) {
	for rest := format; ; {
		_, after, found := strings.Cut(rest, "%")
		if !found {
			break
		}
		if after == "" {
			return append(wrong, "% at the end")
		}
		verb := after[0]
		if rest = after[1:]; verb == '%' {
			continue
		}
		if len(args) == 0 {
			return append(wrong, "a value is missing")
		}
		if is := info.Types[args[0]].Type; !allowed(verb, is) {
			wrong = append(wrong, fmt.Sprintf("%%%c cannot have %v", verb, is))
		}
		args = args[1:]
	}
	if len(args) > 0 {
		wrong = append(wrong, "a value is left over")
	}
	return wrong
}

func allowed(verb byte, is types.Type) bool {
	if parameter, generic := is.(*types.TypeParam); generic {
		union := parameter.Constraint().Underlying().(*types.Interface).EmbeddedType(0).(*types.Union)
		for i := range union.Len() {
			if !allowed(verb, union.Term(i).Type()) {
				return false
			}
		}
		return true
	}
	isError, isText := has(is, "Error"), has(is, "String") || has(is, "Error")
	switch name := types.Default(is).String(); name {
	case "string":
		return verb == 's' || verb == 'q' || verb == 'v'
	case "[]byte":
		return verb == 's' || verb == 'q'
	case "int", "int32", "int64", "uint8", "uint32", "uint64", "byte", "rune":
		return verb == 'd' || verb == 'v'
	case "bool", "float64":
		return verb == 'v'
	}
	return isText && (verb == 's' || verb == 'v') || isError && verb == 'w'
}

// has reports whether a value of that type has a method without parameters that returns a string.
func has(is types.Type, method string) bool {
	object, _, _ := types.LookupFieldOrMethod(is, false, nil, method)
	f, ok := object.(*types.Func)
	return ok && f.Signature().Params().Len() == 0 && f.Signature().Results().String() == "(string)"
}
