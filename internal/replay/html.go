package replay

import "io"

// WriteHTML writes a page.
func (r *Report) WriteHTML(w io.Writer) error { return nil }
