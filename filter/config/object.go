package config

import (
	"encoding/json"
	"fmt"
	"math"
	"sort"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// An object takes the keys of a map one by one, and keeps the first error.
type object struct {
	path  string
	keys  map[string]any
	known []string // keys that were asked for
	err   *error   // shared by all objects of a configuration
}

func (o *object) fail(key string, v any, allowed string) {
	if *o.err == nil {
		*o.err = fmt.Errorf("%s: %s is not allowed: must be %s", join(o.path, key), show(v), allowed)
	}
}

// take returns the value of a key, if it is given. A null is a wrong type like any other, but to switchable.
func (o *object) take(key string) (any, bool) {
	o.known = append(o.known, key)
	v, given := o.keys[key]
	return v, given
}

// end refuses keys that nobody asked for.
func (o *object) end() {
	unknown := []string{}
next:
	for key := range o.keys {
		for _, k := range o.known {
			if k == key {
				continue next
			}
		}
		unknown = append(unknown, key)
	}
	if len(unknown) > 0 && *o.err == nil {
		sort.Strings(unknown) // the same error for the same configuration
		sort.Strings(o.known)
		*o.err = fmt.Errorf("%s: unknown key with value %s: must be one of %s",
			join(o.path, unknown[0]), show(o.keys[unknown[0]]), strings.Join(o.known, ", "))
	}
}

func (o *object) text(key string, to *string) bool {
	v, given := o.take(key)
	if !given {
		return false
	}
	s, ok := v.(string)
	if !ok {
		o.fail(key, v, "a string")
		return false
	}
	*to = s
	return true
}

func (o *object) flag(key string, to *bool) {
	v, given := o.take(key)
	if !given {
		return
	}
	b, ok := v.(bool)
	if !ok {
		o.fail(key, v, "true or false")
		return
	}
	*to = b
}

func (o *object) number(key string, to *float64) {
	v, given := o.take(key)
	if !given {
		return
	}
	n, ok := v.(float64)
	if !ok {
		o.fail(key, v, "a number")
		return
	}
	*to = n
}

func (o *object) integer(key string, to *int) bool {
	v, given := o.take(key)
	if !given {
		return false
	}
	n, ok := v.(float64)
	if !ok || n != math.Trunc(n) || math.Abs(n) > 1<<53 {
		o.fail(key, v, "a whole number")
		return false
	}
	*to = int(n)
	return true
}

// duration reads a duration in Go's notation, such as "250ms" or "1m30s".
func (o *object) duration(key string, to *time.Duration) bool {
	v, given := o.take(key)
	if !given {
		return false
	}
	s, ok := v.(string)
	d, err := time.ParseDuration(s)
	if !ok || err != nil {
		o.fail(key, v, `a duration such as "250ms", "5s" or "1m30s"`)
		return false
	}
	*to = d
	return true
}

// object opens the object under a key. It returns nil if the key is not given.
func (o *object) object(key string) *object {
	return o.open(key, "an object")
}

// switchable opens the object under a key, or says that null is there, which is off.
func (o *object) switchable(key string) (sub *object, off bool) {
	if v, given := o.keys[key]; given && v == nil {
		o.take(key)
		return nil, true
	}
	return o.open(key, "an object, or null for off"), false
}

func (o *object) open(key, allowed string) *object {
	v, given := o.take(key)
	if !given {
		return nil
	}
	keys, ok := v.(map[string]any)
	if !ok {
		o.fail(key, v, allowed)
		return nil
	}
	return &object{path: join(o.path, key), keys: keys, err: o.err}
}

// list returns the items under a key, each with its path.
func (o *object) list(key string) (items []any, given bool) {
	v, given := o.take(key)
	if !given {
		return nil, false
	}
	items, ok := v.([]any)
	if !ok {
		o.fail(key, v, "a list")
		return nil, false
	}
	return items, true
}

func join(path, key string) string {
	if key = cut(key); path == "" {
		return key
	}
	return path + "." + key
}

// show writes a value as a configuration would.
func show(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return cut(fmt.Sprint(v))
	}
	return cut(string(b))
}

// cut shortens a text that is too long for an error.
func cut(text string) string {
	const most = 80
	if len(text) <= most {
		return text
	}
	end := most
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + "…"
}

func index(key string, i int) string { return key + "[" + strconv.Itoa(i) + "]" }
