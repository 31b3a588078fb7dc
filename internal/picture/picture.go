// Package picture draws the pictures of the README as SVG, in one style: on white, with large text, so that they can be read
// on a phone and on a page of any background. Lengths are in points; y counts upwards from the bottom.
package picture

import (
	"image/color"
	"os"
	"strings"

	"golang.org/x/image/font"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// Width is that of every picture, and TitleSize the size of the text of titles.
const (
	Width     = 540
	TitleSize = 18
)

// What every picture is drawn on, and written with.
var (
	Paper = RGB(0xffffff)
	Ink   = RGB(0x222222)
)

// RGB returns a colour given as 0xRRGGBB.
func RGB(c uint32) color.Color {
	return color.RGBA{R: uint8(c >> 16), G: uint8(c >> 8), B: uint8(c), A: 255}
}

// A Picture is one in the making. Whatever draws on a draw.Canvas can draw on it.
type Picture struct {
	draw.Canvas
	svg *vgsvg.Canvas
}

// New returns an empty picture.
func New(height vg.Length) *Picture {
	svg := vgsvg.NewWith(vgsvg.UseWH(Width, height))
	p := &Picture{draw.New(svg), svg}
	p.Rectangle(Paper, 0, Width, 0, height)
	return p
}

// Rectangle fills a rectangle.
func (p *Picture) Rectangle(fill color.Color, left, right, bottom, top vg.Length) {
	p.FillPolygon(fill, []vg.Point{{X: left, Y: bottom}, {X: right, Y: bottom}, {X: right, Y: top}, {X: left, Y: top}})
}

// Write writes a text from (x, y) on, and returns its width.
func (p *Picture) Write(x, y, size vg.Length, weight font.Weight, s string) vg.Length {
	style := textStyle(size, weight)
	p.FillText(style, vg.Point{X: x, Y: y}, s)
	return style.Width(s)
}

// Wrap breaks a text into lines that are no wider than that, but for words that are.
func Wrap(s string, size, width vg.Length) (lines []string) {
	style := textStyle(size, font.WeightNormal)
	line := ""
	for word := range strings.FieldsSeq(s) {
		longer := strings.TrimPrefix(line+" "+word, " ")
		if line != "" && style.Width(longer) > width {
			lines = append(lines, line)
			longer = word
		}
		line = longer
	}
	return append(lines, line)
}

func textStyle(size vg.Length, weight font.Weight) text.Style {
	style := text.Style{Font: plot.DefaultFont, Handler: plot.DefaultTextHandler}
	SetText(&style, size)
	style.Font.Weight = weight
	return style
}

// SetText gives a style the pictures' font and colour.
func SetText(style *text.Style, size vg.Length) {
	style.Color = Ink
	style.Font.Variant, style.Font.Size = "Sans", size
}

// Save writes the picture to a file.
func (p *Picture) Save(file string) error {
	var out strings.Builder
	if _, err := p.svg.WriteTo(&out); err != nil {
		return err
	}
	// Readers who lack the font see one of the same widths, not their browser's serifs.
	svg := strings.ReplaceAll(out.String(), "font-family:Liberation Sans;", "font-family:Liberation Sans,Arial,Helvetica,sans-serif;")
	return os.WriteFile(file, []byte(svg), 0o644)
}
