package statuspage

// HTML is the page for people: always the same. Its script asks the page's own address for JSON, draws it, and does so again every
// two seconds. Names and texts go into it as text, never as markup.
//
// It is page.html, which go generate copies to html.go: to embed a file, a program imports package time.
//
//go:generate go test -run ^TestPageIsHTML$ . -update
const HTML = html

// SecurityPolicy is the page's content-security-policy: nothing but its own style and script, told by their hashes, and requests to
// where it is from.
const SecurityPolicy = "default-src 'none'; style-src 'sha256-lp0BikXa+lpq/8jUgH25MUyLEb01xkhSlYBuvVlg28w='; script-src 'sha256-N9fq/9E7jrjjZnqKB9bHafc3cWBDHr6MjoqoHxl9zyQ='; " +
	"connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
