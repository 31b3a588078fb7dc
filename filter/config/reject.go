package config

import "envoy-circuit-breaker/filter/reply"

// readReject changes the reject by the keys that are given.
func readReject(r *reply.Reject, o *object) {
	if o == nil {
		return
	}
	if o.integer("status", &r.Status) && (r.Status < 400 || r.Status > 599) {
		o.fail("status", o.keys["status"], "from 400 to 599")
	}
	o.template("body", &r.Body)
	if o.text("content_type", &r.ContentType) && !validHeaderValue(r.ContentType) {
		o.fail("content_type", r.ContentType, "a media type such as \"application/json\"")
	}
	if headers := o.object("headers"); headers != nil {
		r.Headers = nil
		for _, name := range headers.headerNames() {
			h := reply.Header{Name: lower(name)}
			headers.template(name, &h.Value)
			value, _ := headers.keys[name].(string) // or else it has been told already
			switch {
			case !validHeaderName(h.Name):
				headers.fail(name, headers.keys[name], "under the name of a header: letters, digits and -")
			case reply.IsOwnHeader(h.Name):
				headers.fail(name, headers.keys[name], "left out: the reply has that header from other keys")
			case !validHeaderValue(value):
				headers.fail(name, headers.keys[name], "text without control characters")
			}
			r.Headers = append(r.Headers, h)
		}
	}
	o.flag("retry_after", &r.RetryAfter)
	o.flag("overloaded", &r.Overloaded)
	o.end()
}

// template reads a text with placeholders.
func (o *object) template(key string, to *reply.Template) {
	var text string
	if !o.text(key, &text) {
		return
	}
	t, err := reply.ParseTemplate(text)
	if err != nil {
		o.fail(key, text, "text with no placeholder but "+reply.Placeholders)
	}
	*to = t
}
