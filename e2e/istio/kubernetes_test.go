//go:build istio

package istio_test

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"envoy-circuit-breaker/e2e/plane"
)

// A kubernetes answers for the API of Kubernetes as far as istiod asks it: it lists, gets and watches what was applied.
type kubernetes struct {
	mu      sync.Mutex
	objects map[string]event // by collection, namespace and name
	events  []event          // the version of one is its place, from 1
	changed chan struct{}    // closed, and made anew, by each event
}

// An event is an object as of a version.
type event struct {
	kind       string // ADDED or MODIFIED
	collection string // resource and group, as in pods and gateways.networking.istio.io
	object     object
}

// An object is a resource or a part of one.
type object = plane.Object

// collections are the kinds that the tests apply, and TrafficExtension, which Istio makes of a WasmPlugin.
var collections = map[string]string{
	"Namespace":                "namespaces",
	"Service":                  "services",
	"EndpointSlice":            "endpointslices.discovery.k8s.io",
	"CustomResourceDefinition": "customresourcedefinitions.apiextensions.k8s.io",
	"WasmPlugin":               "wasmplugins.extensions.istio.io",
	"TrafficExtension":         "trafficextensions.extensions.istio.io",
	"EnvoyFilter":              "envoyfilters.networking.istio.io",
	"Gateway":                  "gateways.networking.istio.io",
	"VirtualService":           "virtualservices.networking.istio.io",
}

// newKubernetes serves an API that knows Istio's kinds, and returns its URL.
func newKubernetes(t *testing.T) (k *kubernetes, url string) {
	k = &kubernetes{objects: map[string]event{}, changed: make(chan struct{})}
	for _, collection := range collections {
		plural, group, _ := strings.Cut(collection, ".")
		if strings.HasSuffix(group, ".istio.io") {
			k.apply(t, object{
				"kind": "CustomResourceDefinition", "metadata": object{"name": collection},
				"spec": object{"group": group, "names": object{"plural": plural}},
			})
		}
	}
	server := httptest.NewServer(k)
	t.Cleanup(server.Close)
	return k, server.URL
}

// writeKubeconfig writes the file by which a client finds the API, and returns its name.
func writeKubeconfig(t *testing.T, url string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "kubeconfig")
	text := plane.ToYAML(t, object{
		"apiVersion": "v1", "kind": "Config", "current-context": "stub",
		"clusters": []object{{"name": "stub", "cluster": object{"server": url}}},
		"contexts": []object{{"name": "stub", "context": object{"cluster": "stub", "user": "stub"}}},
		"users":    []object{{"name": "stub", "user": object{}}},
	})
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// apply makes or replaces resources, as kubectl would.
func (k *kubernetes) apply(t *testing.T, resources ...object) {
	t.Helper()
	for _, r := range resources {
		k.put(t, plane.Clone(t, r))
	}
}

func (k *kubernetes) put(t *testing.T, o object) {
	t.Helper()
	collection := collections[fmt.Sprint(o["kind"])]
	if collection == "" {
		t.Fatalf("the stub of Kubernetes has no %s", o["kind"])
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	meta := plane.At(o, "metadata")
	key := key(collection, meta["namespace"], meta["name"])
	e := event{"MODIFIED", collection, o}
	if _, found := k.objects[key]; !found {
		e.kind = "ADDED"
	}
	meta["resourceVersion"] = strconv.Itoa(len(k.events) + 1)
	meta["uid"], meta["creationTimestamp"] = key, "2026-01-01T00:00:00Z"
	k.objects[key] = e
	k.events = append(k.events, e)
	close(k.changed)
	k.changed = make(chan struct{})
}

func key(collection string, namespace, name any) string {
	if namespace == nil {
		namespace = ""
	}
	return fmt.Sprintf("%s %s/%s", collection, namespace, name)
}

// A request is one for a collection, or for an object of it.
type request struct {
	collection, apiVersion, namespace, name string
	metadataOnly                            bool // what a client asks for that takes only PartialObjectMetadata
	selected                                string
}

// parse reads /api/VERSION/… or /apis/GROUP/VERSION/…, and then [namespaces/NAMESPACE/]RESOURCE[/NAME].
func parse(r *http.Request) (q request, ok bool) {
	group := ""
	path := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	if path[0] == "apis" && len(path) > 1 {
		group, path = path[1], path[1:]
	} else if path[0] != "api" {
		return q, false
	}
	if len(path) < 3 {
		return q, false
	}
	q.apiVersion, path = path[1], path[2:]
	if path[0] == "namespaces" && len(path) > 2 {
		q.namespace, path = path[1], path[2:]
	}
	q.collection = path[0]
	if group != "" {
		q.apiVersion, q.collection = group+"/"+q.apiVersion, q.collection+"."+group
	}
	if len(path) > 1 {
		q.name = path[1]
	}
	q.metadataOnly = strings.Contains(r.Header.Get("accept"), "PartialObjectMetadata")
	for selector := range strings.SplitSeq(r.FormValue("fieldSelector"), ",") {
		if name, found := strings.CutPrefix(selector, "metadata.name="); found {
			q.selected = name
		}
	}
	return q, true
}

func (q request) matches(e event) bool {
	meta := plane.At(e.object, "metadata")
	return e.collection == q.collection && (q.namespace == "" || meta["namespace"] == q.namespace) && (q.selected == "" || meta["name"] == q.selected)
}

// show returns an object in the version and to the extent that were asked for.
func (q request) show(o object) object {
	if q.metadataOnly {
		return object{"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": o["metadata"]}
	}
	o = maps.Clone(o)
	o["apiVersion"] = q.apiVersion
	return o
}

func (k *kubernetes) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/version" {
		reply(w, http.StatusOK, object{"major": "1", "minor": "36", "gitVersion": "v1.36.0"})
		return
	}
	q, ok := parse(r)
	switch {
	case !ok:
		reply(w, http.StatusOK, object{"kind": "APIGroupList", "apiVersion": "v1", "groups": []object{}})
	case r.Method != http.MethodGet:
		refuse(w, http.StatusForbidden, "Forbidden")
	case q.name != "":
		k.get(w, q)
	case r.FormValue("watch") == "" || r.FormValue("watch") == "false":
		k.list(w, q)
	case r.FormValue("sendInitialEvents") == "true": // a newer kind of watch, without which clients can do
		refuse(w, http.StatusUnprocessableEntity, "Invalid")
	default:
		k.watch(w, r, q)
	}
}

func (k *kubernetes) get(w http.ResponseWriter, q request) {
	k.mu.Lock()
	e, found := k.objects[key(q.collection, q.namespace, q.name)]
	k.mu.Unlock()
	if !found {
		refuse(w, http.StatusNotFound, "NotFound")
		return
	}
	reply(w, http.StatusOK, q.show(e.object))
}

func (k *kubernetes) list(w http.ResponseWriter, q request) {
	k.mu.Lock()
	defer k.mu.Unlock()
	items := []object{}
	list := object{"metadata": object{"resourceVersion": strconv.Itoa(len(k.events))}}
	for _, e := range k.objects {
		if q.matches(e) {
			o := q.show(e.object)
			items = append(items, o)
			list["apiVersion"], list["kind"] = o["apiVersion"], fmt.Sprint(o["kind"], "List") // an empty list needs none
		}
	}
	list["items"] = items
	reply(w, http.StatusOK, list)
}

func (k *kubernetes) watch(w http.ResponseWriter, r *http.Request, q request) {
	seen, err := strconv.Atoi(r.FormValue("resourceVersion"))
	if err != nil {
		refuse(w, http.StatusBadRequest, "BadRequest")
		return
	}
	w.Header().Set("content-type", "application/json")
	for {
		k.mu.Lock()
		events, changed := k.events[min(seen, len(k.events)):], k.changed
		k.mu.Unlock()
		seen += len(events)
		for _, e := range events {
			if q.matches(e) {
				writeJSON(w, object{"type": e.kind, "object": q.show(e.object)})
			}
		}
		w.(http.Flusher).Flush()
		select {
		case <-changed:
		case <-r.Context().Done():
			return
		}
	}
}

func refuse(w http.ResponseWriter, code int, reason string) {
	reply(w, code, object{"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason})
}

func reply(w http.ResponseWriter, code int, o object) {
	w.Header().Set("content-type", "application/json")
	w.WriteHeader(code)
	writeJSON(w, o)
}

func writeJSON(w io.Writer, o object) { json.NewEncoder(w).Encode(o) } // whether it arrives is the client's concern
