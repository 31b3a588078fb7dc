package statuspage

import _ "embed"

// HTML is the page for people: always the same. Its script asks the page's own address for JSON, draws it, and does so again every
// two seconds. Names and texts go into it as text, never as markup.
//
//go:embed page.html
var HTML string

// SecurityPolicy is the page's content-security-policy: nothing but its own style and script, told by their hashes, and requests to
// where it is from.
const SecurityPolicy = "default-src 'none'; style-src 'sha256-3MueVLqeFB7sS+8RRNT4RSrQE7HQMgtZS1FMM/nH/k0='; script-src 'sha256-l/WcJvgmsHNTPQ5RuEZREurg+aXJLZ3ibyTOFNDKgOA='; " +
	"connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
