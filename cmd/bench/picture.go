//go:build linux

package main

import (
	"fmt"
	"image/color"
	"os"
	"slices"
	"strings"

	"golang.org/x/image/font"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// The picture's measures, in points. Its text is large for its width, so that it can be read on a phone.
const (
	pictureWidth = 540
	margin       = 16
	barsRight    = 440
	lineHeight   = 38 // of a bar with its name above it
	barHeight    = 14
	textSize     = 14
	titleSize    = 18
)

// The colours are told apart by the colour-blind too, and do not depend on the background of the page.
var (
	paper  = rgb(0xffffff)
	ink    = rgb(0x222222)
	others = rgb(0xb4bac6)
	good   = rgb(0x3a87c8)
	bad    = rgb(0xd0501e)
)

func rgb(c uint32) color.Color {
	return color.RGBA{R: uint8(c >> 16), G: uint8(c >> 8), B: uint8(c), A: 255}
}

// A bar is a line of the picture: a name, a bar with its spread, and its value in figures.
type bar struct {
	name   string
	values []float64
	text   string
	color  color.Color
}

// drawPicture draws what filters add to a request, and how the other figures compare with their goals.
func drawPicture(file string, b *bench) error {
	var added, goals []bar
	for _, v := range b.variants {
		if v.base == nil {
			continue
		}
		c := others
		if strings.HasPrefix(v.name, "ours") {
			c = good
		}
		added = append(added, bar{v.name, v.added, number(median(v.added)), c})
	}
	for _, r := range b.rows {
		if r.goal.kind == noGoal || r.goal.value == 0 && median(r.values) == 0 {
			continue
		}
		shares := slices.Clone(r.values)
		for i := range shares {
			if shares[i] /= r.goal.value; r.goal.kind == atLeast {
				shares[i] = 1 / shares[i]
			}
		}
		c := good
		if r.missed() {
			c = bad
		}
		goals = append(goals, bar{r.what, shares, strings.TrimSpace(number(median(r.values)) + " " + r.unit), c})
	}

	height := vg.Length(len(added)+len(goals))*lineHeight + 160
	canvas := vgsvg.NewWith(vgsvg.UseWH(pictureWidth, height))
	c := draw.New(canvas)
	c.FillPolygon(paper, corners(0, pictureWidth, 0, height))
	y := height - 32
	label(c, margin, y, titleSize, font.WeightBold, "What a filter adds to a request: µs of CPU")
	y -= 12
	y = bars(c, y, added, 0)
	y -= 40
	label(c, margin, y, titleSize, font.WeightBold, "Against the goals")
	y -= 22
	label(c, margin, y, textSize, font.WeightNormal, "Dashed: the goal. A bar that passes it is red. Thin lines: the middle half.")
	y -= 8
	y = bars(c, y, goals, 1)
	label(c, margin, y-30, textSize, font.WeightNormal, fmt.Sprintf("%s, Envoy %s, Go %s", b.machine.cpu, b.machine.envoy, b.machine.golang))

	var out strings.Builder
	if _, err := canvas.WriteTo(&out); err != nil {
		return err
	}
	// Those who do not have the font see one of the same widths, not their browser's serifs.
	svg := strings.ReplaceAll(out.String(), "font-family:Liberation Sans;", "font-family:Liberation Sans,Arial,Helvetica,sans-serif;")
	return os.WriteFile(file, []byte(svg), 0o644)
}

// bars draws bars from y downwards, and a line at a goal other than 0. It returns where they end.
func bars(c draw.Canvas, y vg.Length, all []bar, goal float64) vg.Length {
	end := 1.5 * goal
	if goal == 0 {
		for _, b := range all {
			_, high := middle(b.values)
			end = max(end, high)
		}
	}
	x := func(v float64) vg.Length {
		return margin + vg.Length(min(max(v, 0), end)/end)*(barsRight-margin)
	}
	top := y
	for _, b := range all {
		y -= lineHeight
		label(c, margin, y+barHeight+4, textSize, font.WeightNormal, b.name)
		c.FillPolygon(b.color, corners(margin, x(median(b.values)), y, y+barHeight))
		low, high := middle(b.values)
		if len(b.values) > 1 {
			c.StrokeLine2(draw.LineStyle{Color: ink, Width: 1.5}, x(low), y+barHeight/2, x(high), y+barHeight/2)
		}
		label(c, x(high)+6, y+3, textSize, font.WeightBold, b.text)
	}
	if goal != 0 {
		c.StrokeLine2(draw.LineStyle{Color: ink, Width: 1, Dashes: []vg.Length{3, 3}}, x(goal), y-4, x(goal), top-4)
	}
	return y
}

// label writes a text from (x, y) on.
func label(c draw.Canvas, x, y, size vg.Length, weight font.Weight, s string) {
	style := text.Style{Color: ink, Font: plot.DefaultFont, Handler: plot.DefaultTextHandler}
	style.Font.Variant, style.Font.Size, style.Font.Weight = "Sans", size, weight
	c.FillText(style, vg.Point{X: x, Y: y}, s)
}

// corners returns the corners of a rectangle.
func corners(left, right, bottom, top vg.Length) []vg.Point {
	return []vg.Point{{X: left, Y: bottom}, {X: right, Y: bottom}, {X: right, Y: top}, {X: left, Y: top}}
}
