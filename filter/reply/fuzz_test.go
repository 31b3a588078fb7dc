package reply

import (
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzFill fills arbitrary templates for arbitrary clusters and content types. A template that holds no placeholder is left as it is,
// and no value of a header can end it, unless the configuration or the client's header could.
func FuzzFill(f *testing.F) {
	f.Add(`{"{cluster}": {retry_after}}`, "payments", "checkout", "application/grpc-web+proto", int64(7))
	f.Add("{state}{{cluster} {route}", "outbound|80||a.b", "a b", "application/grpc-web-text", int64(0))
	f.Add("{nothing}", "a\r\nb", "\n", "", int64(-1))
	f.Add("{", "", "", "application/grpc-web\xff", int64(1<<62))
	f.Fuzz(func(t *testing.T, text, cluster, route, contentType string, seconds int64) {
		body, err := ParseTemplate(text)
		if err != nil {
			if !strings.Contains(text, "{") {
				t.Errorf("%q: %v", text, err)
			}
			return
		}
		if !strings.Contains(text, "{") && body.String() != text {
			t.Errorf("%q became %q", text, body)
		}
		reject := Default()
		reject.Body, reject.Headers = body, []Header{{"x-a", body}}
		if !IsGRPCWeb([]byte(contentType)) {
			contentType = ""
		}
		r := reject.Fill(cluster, route, "open", seconds, contentType)
		lines := headersOf(t, r.Headers) // fails if they are not well-formed
		for line := range strings.Lines(lines) {
			if message, found := strings.CutPrefix(line, "grpc-message: "); found && (!utf8.ValidString(message) || strings.ContainsAny(message[:len(message)-1], "\r\n\x00")) {
				t.Errorf("%q is no header's value", message)
			}
		}
		if contentType == "" && string(r.Body) != body.Expand(Values{cluster, route, strconv.FormatInt(seconds, 10), "open"}) || contentType != "" && r.Status != 200 {
			t.Errorf("%d %q", r.Status, r.Body)
		}
	})
}
