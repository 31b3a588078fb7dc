package status

import (
	"net/url"
	"slices"
	"strings"
	"testing"
)

func TestParseURL(t *testing.T) {
	for text, want := range map[string]string{
		"http://127.0.0.1:9902/circuit-breakers": "http://127.0.0.1:9902/circuit-breakers",
		"https://[::1]:9902/x?limit=5#top":       "https://[::1]:9902/x?limit=5",
		"http://envoy/":                          "http://envoy/",
	} {
		if u, err := ParseURL(text); err != nil || u.String() != want {
			t.Errorf("%s: %v, %v", text, u, err)
		}
	}
	for text, want := range map[string]string{
		"127.0.0.1:9902/circuit-breakers": `"127.0.0.1:9902/circuit-breakers" has no scheme: did you mean http://127.0.0.1:9902/circuit-breakers?`,
		"localhost:9902/x":                `"localhost:9902/x" has no scheme: did you mean http://localhost:9902/x?`,
		"localhost":                       `"localhost" is not the URL of a status page, such as http://`,
		"":                                `"" is not the URL of a status page`,
		"http://127.0.0.1:9902":           `"http://127.0.0.1:9902" has no path: it is that of status.path in the configuration, such as http://`,
		"ftp://envoy/x":                   `"ftp://envoy/x" is neither http:// nor https://`,
		"http:///x":                       `"http:///x" has no host`,
		"http://me:secret@envoy:x/y":      `not the URL of a status page, such as http://127.0.0.1:9902/circuit-breakers: invalid port`,
		"http://me:secret@envoy":          `"http://me:xxxxx@envoy" has no path`,
	} {
		if u, err := ParseURL(text); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v, %v", text, u, err)
		}
	}
}

// An Envoy is called by its host and port, unless several have the same.
func TestNames(t *testing.T) {
	var urls []*url.URL
	for _, text := range []string{"http://a:1/x", "http://b:1/x", "http://me:secret@b:1/y"} {
		urls = append(urls, parse(t, text))
	}
	if got, want := names(urls), []string{"a:1", "http://b:1/x", "http://me:xxxxx@b:1/y"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
