//go:build linux

package main

import (
	"fmt"
	"image/color"
	"slices"
	"strings"

	"golang.org/x/image/font"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"envoy-circuit-breaker/internal/picture"
)

// The picture's measures, in points.
const (
	margin     = 16
	barsRight  = 430 // values are to the right of it
	lineHeight = 18  // of a name
	barHeight  = 14
	overhang   = 2 // of lines, above and below a bar
	barGap     = 7 // below a bar
	textSize   = 14
)

// The colours can be told apart by the colour-blind too.
var (
	others = picture.RGB(0xb4bac6)
	good   = picture.RGB(0x3a87c8)
	bad    = picture.RGB(0xd0501e)
)

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

	height := barsHeight(added) + barsHeight(goals) + 178
	p := picture.New(height)
	y := height - 32
	p.Write(margin, y, picture.TitleSize, font.WeightBold, "What a filter adds to a request: µs of CPU")
	y -= 12
	y = bars(p, y, added, 0)
	y -= 40
	p.Write(margin, y, picture.TitleSize, font.WeightBold, "Against the goals")
	y -= 22
	p.Write(margin, y, textSize, font.WeightNormal, "Upright lines: the goals; bars that miss them are red. Thin lines: the middle half.")
	y -= 18
	p.Write(margin, y, textSize, font.WeightNormal, "A bar with a break in it is longer than there is room for.")
	y -= 8
	y = bars(p, y, goals, 1)
	p.Write(margin, y-30, textSize, font.WeightNormal, fmt.Sprintf("%s, Envoy %s, Go %s", b.machine.cpu, b.machine.envoy, b.machine.golang))
	return p.Save(file)
}

// nameLines are the lines of a bar's name.
func (b *bar) nameLines() []string {
	return picture.Wrap(b.name, textSize, picture.Width-2*margin)
}

func barsHeight(all []bar) (height vg.Length) {
	for _, b := range all {
		height += vg.Length(len(b.nameLines()))*lineHeight + barHeight + barGap
	}
	return height
}

// bars draws bars from y downwards, each with a line at a goal other than 0. It returns where they end.
func bars(p *picture.Picture, y vg.Length, all []bar, goal float64) vg.Length {
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
	for _, b := range all {
		y -= barGap
		for _, line := range b.nameLines() {
			y -= lineHeight
			p.Write(margin, y+6, textSize, font.WeightNormal, line)
		}
		y -= barHeight
		p.Rectangle(b.color, margin, x(median(b.values)), y, y+barHeight)
		low, high := middle(b.values)
		if len(b.values) > 1 {
			p.StrokeLine2(draw.LineStyle{Color: picture.Ink, Width: 1.5}, x(low), y+barHeight/2, x(high), y+barHeight/2)
		}
		if high > end {
			breakOff(p, y)
		}
		if goal != 0 {
			p.StrokeLine2(draw.LineStyle{Color: picture.Ink, Width: 1.5}, x(goal), y-overhang, x(goal), y+barHeight+overhang)
		}
		p.Write(barsRight+8, y+3, textSize, font.WeightBold, b.text)
	}
	return y
}

// breakOff shows that a bar at height y, or the line of its middle half, is cut off: it has a slanting gap near its end.
func breakOff(p *picture.Picture, y vg.Length) {
	const (
		left  = barsRight - 18
		gap   = 5
		slant = 6
	)
	bottom, top := y-overhang, y+barHeight+overhang
	p.FillPolygon(picture.Paper, []vg.Point{{X: left, Y: bottom}, {X: left + gap, Y: bottom}, {X: left + gap + slant, Y: top}, {X: left + slant, Y: top}})
	for _, x := range []vg.Length{left, left + gap} {
		p.StrokeLine2(draw.LineStyle{Color: picture.Ink, Width: 1}, x, bottom, x+slant, top)
	}
}
