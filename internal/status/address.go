// Package status reads the status pages of many Envoys, and tells which breakers are open where, since when and why.
package status

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// ParseURL reads the URL of a status page. An error says what to give instead.
func ParseURL(text string) (*url.URL, error) {
	const like = "such as http://127.0.0.1:9902/circuit-breakers"
	u, err := url.Parse(text)
	if !strings.Contains(text, "://") { // which makes localhost a scheme, or is no URL at all
		if u, err = url.Parse("http://" + text); err == nil && u.Host != "" && u.Path != "" {
			return nil, fmt.Errorf("%q has no scheme: did you mean http://%s?", text, text)
		}
		return nil, fmt.Errorf("%q is not the URL of a status page, %s", text, like)
	}
	if inner := new(url.Error); errors.As(err, &inner) {
		err = inner.Err // without the URL, which may have a password
	}
	switch {
	case err != nil:
		return nil, fmt.Errorf("not the URL of a status page, %s: %w", like, err)
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, fmt.Errorf("%q is neither http:// nor https://", u.Redacted())
	case u.Host == "":
		return nil, fmt.Errorf("%q has no host: a status page's URL is %s", u.Redacted(), like)
	case u.Path == "":
		return nil, fmt.Errorf("%q has no path: it is that of status.path in the configuration, %s", u.Redacted(), like)
	}
	u.Fragment = ""
	return u, nil
}

// names are what the Envoys are called in a table: as short as tells one from another.
func names(urls []*url.URL) []string {
	short := map[string]int{}
	for _, u := range urls {
		short[u.Host]++
	}
	all := make([]string, len(urls))
	for i, u := range urls {
		if all[i] = u.Host; short[u.Host] > 1 {
			all[i] = u.Redacted()
		}
	}
	return all
}
