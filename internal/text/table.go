package text

import (
	"slices"
	"strings"
)

// A Table lines up its columns: the first Left ones to the left, the others, which are numbers, to the right. What is in its cells
// is made printable.
type Table struct {
	Left   int
	Rows   [][]string // as far as they have been added
	widths []int
}

// Add adds a row, given in parts.
func (t *Table) Add(parts ...[]string) {
	row := slices.Concat(parts...)
	for len(t.widths) < len(row) {
		t.widths = append(t.widths, 0)
	}
	for i := range row {
		row[i] = Printable(row[i])
		t.widths[i] = max(t.widths[i], Width(row[i]))
	}
	t.Rows = append(t.Rows, row)
}

// Write writes the table, and an empty line.
func (t *Table) Write(b *strings.Builder) {
	for _, row := range t.Rows {
		var line strings.Builder
		for i, cell := range row {
			space := strings.Repeat(" ", t.widths[i]-Width(cell))
			if i < t.Left {
				line.WriteString(cell + space + "  ")
			} else {
				line.WriteString(space + cell + "  ")
			}
		}
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
	b.WriteString("\n")
}
