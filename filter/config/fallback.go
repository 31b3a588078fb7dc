package config

// A Fallback marks a request that is not admitted by a header, in place of rejecting it, so that a route which matches
// that header can send it elsewhere. It is off where Header is empty.
type Fallback struct {
	Header, Value string
	Cluster       string // where that route leads, if its breaker is to be asked
	Route         string // that route's name, which says whose breaker it is where that cluster has some by route
}

// read changes the fallback by the keys that are given; null switches it off.
func (f *Fallback) read(o *object, off bool) {
	if off {
		*f = Fallback{}
	}
	if o == nil {
		return
	}
	if f.Header == "" {
		f.Value = "true"
	}
	o.required("header", &f.Header, validHeaderName, "the name of a request header: letters, digits and -")
	if f.Header = lower(f.Header); o.text("value", &f.Value) && !validHeaderValue(f.Value) {
		o.fail("value", f.Value, "text without control characters")
	}
	o.text("cluster", &f.Cluster)
	if o.text("route", &f.Route) && f.Route != "" && f.Cluster == "" {
		o.fail("route", f.Route, "given together with cluster, where that route leads")
	}
	o.end()
}
