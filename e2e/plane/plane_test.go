package plane_test

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"envoy-circuit-breaker/e2e/plane"
)

func TestGet(t *testing.T) {
	payments := plane.NewUpstream(t, "payments")
	if err := plane.Get(payments.URL).Want(200, "payments"); err != nil {
		t.Error(err)
	}
	payments.Status.Store(500)
	answer := plane.Get(payments.URL+"/healthz", "host", "shop.example.com", "x-proof", "1")
	if err := answer.Want(500, "payments 1"); err != nil {
		t.Error(err)
	}
	if host, n := payments.ProbedAs.Load(), payments.Requests.Load(); host != "shop.example.com" || n != 2 {
		t.Errorf("probed as %v, %d requests", host, n)
	}
	for what, err := range map[string]error{
		"another status": answer.Want(200, ""),
		"another body":   answer.Want(500, "payments"),
		"no answer":      plane.Get("http://127.0.0.1:1/").Want(0, ""),
	} {
		if err == nil {
			t.Errorf("%s is what was wanted", what)
		}
	}
}

func TestResources(t *testing.T) {
	file := filepath.Join(t.TempDir(), "two.yaml")
	if err := os.WriteFile(file, []byte(`# One:
#
#   status:
#     path: /page
#
# and two:
#
#   - name: first
#
kind: A
spec:
  rules:
  - name: first
  - name: second
---
kind: B
`), 0o644); err != nil {
		t.Fatal(err)
	}
	resources := plane.Resources(t, file)
	if len(resources) != 2 || resources[1]["kind"] != "B" {
		t.Fatalf("%v", resources)
	}
	changed := plane.Clone(t, resources[0])
	plane.At(changed, "spec", "rules", 1)["name"] = "third"
	if name := plane.At(resources[0], "spec", "rules", 1)["name"]; name != "second" {
		t.Errorf("a change of the clone is one of the original: %v", name)
	}
	var status plane.Object
	var list []plane.Object
	plane.Snippet(t, file, 0, &status)
	plane.Snippet(t, file, 1, &list)
	if got, want := fmt.Sprint(status, list), "map[status:map[path:/page]] [map[name:first]]"; got != want {
		t.Errorf("the snippets: %s, want %s", got, want)
	}

	if err := os.WriteFile(file, []byte(plane.ToYAML(t, changed)), 0o644); err != nil {
		t.Fatal(err)
	}
	if back := plane.Resources(t, file); len(back) != 1 || !reflect.DeepEqual(back[0], changed) {
		t.Errorf("written and read again: %v, want %v", back, changed)
	}
}
