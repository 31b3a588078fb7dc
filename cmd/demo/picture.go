package main

import (
	"fmt"
	"image/color"
	"slices"
	"time"

	"golang.org/x/image/font"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"envoy-circuit-breaker/breaker"
	"envoy-circuit-breaker/internal/picture"
)

// The picture's measures, in points.
const (
	pictureHeight = 560
	leftEdge      = 70 // of the plots
	rightEdge     = 522
	textSize      = 16
)

// The colours can be told apart by the colour-blind too.
var (
	outcomeColors = []color.Color{picture.RGB(0x4da6d9), picture.RGB(0xc8401a), picture.RGB(0xf0b429), picture.RGB(0xc3c7cf)}
	stateColors   = []color.Color{picture.RGB(0x2a9d6f), picture.RGB(0x3b4252), picture.RGB(0xe377b5)}
)

const (
	// slice is the time over which outcomes are counted.
	slice = 250 * time.Millisecond
	// leastSpan is how long a state is drawn at least, or nobody would see the shortest ones.
	leastSpan = 200 * time.Millisecond
)

// drawPicture writes the picture: what users got over time, without and with the breaker, and the breaker's state.
func drawPicture(file string, without, with []request, states []span) error {
	pic := picture.New(pictureHeight)
	pic.Write(16, 530, picture.TitleSize, font.WeightBold, "A payment service hangs, fails and comes back")
	pic.Write(16, 508, textSize, font.WeightNormal, fmt.Sprintf("%d requests a second, route timeout %d ms", rate, routeTimeout.Milliseconds()))
	legend(pic, 16, 480, outcomeNames[:], outcomeColors)

	pic.Write(leftEdge, 447, textSize, font.WeightBold, "Without the breaker")
	drawPlot(pic.Canvas, outcomesPlot(without), 300, 420)
	var since time.Duration
	for _, p := range phases {
		x := leftEdge + vg.Length(since.Seconds()/wholeLength().Seconds())*(rightEdge-leftEdge)
		pic.Write(x+4, 425, textSize, font.WeightNormal, p.name)
		since += p.length
	}

	pic.Write(leftEdge, 267, textSize, font.WeightBold, "With the breaker")
	drawPlot(pic.Canvas, outcomesPlot(with), 140, 260)
	lead := pic.Write(leftEdge, 108, textSize, font.WeightNormal, "Breaker:")
	legend(pic, leftEdge+lead+10, 108, stateNames[:], stateColors)
	drawPlot(pic.Canvas, statesPlot(states), 70, 98)
	return pic.Save(file)
}

// outcomesPlot stacks the rates of the outcomes over time.
func outcomesPlot(requests []request) *plot.Plot {
	p := newPlot()
	p.Y.Label.Text = "requests / s"
	p.Y.Max = 1.1 * rate
	p.Y.Tick.Marker = ticks(0, rate/2, rate)
	rates := ratesOf(requests)
	below := make([]float64, len(rates))
	for o := range outcomes {
		above := slices.Clone(below)
		for i := range above {
			above[i] += rates[i][o]
		}
		// The area between two stairs: forth along the upper one, and back along the lower one.
		back := stairs(below)
		slices.Reverse(back)
		p.Add(polygon(append(stairs(above), back...), outcomeColors[o]))
		below = above
	}
	addPhases(p)
	return p
}

// stairs returns the line that keeps each height for one slice of time.
func stairs(heights []float64) plotter.XYs {
	line := plotter.XYs{{X: 0, Y: heights[0]}}
	for i, height := range heights[1:] {
		if height != heights[i] {
			x := float64(i+1) * slice.Seconds()
			line = append(line, plotter.XY{X: x, Y: heights[i]}, plotter.XY{X: x, Y: height})
		}
	}
	return append(line, plotter.XY{X: wholeLength().Seconds(), Y: heights[len(heights)-1]})
}

// ratesOf returns the rate of each outcome, in requests a second, in each slice of time.
func ratesOf(requests []request) [][outcomes]float64 {
	rates := make([][outcomes]float64, wholeLength()/slice)
	for _, r := range requests {
		rates[r.at/slice][r.outcome] += 1 / slice.Seconds()
	}
	return rates
}

// statesPlot draws the breaker's state as a band.
func statesPlot(states []span) *plot.Plot {
	p := newPlot()
	p.X.Label.Text = "seconds"
	p.X.Tick.Marker = ticks(0, 6, 12, 18, 24, 30, 36)
	p.Y.Tick.Marker = ticks()
	p.Y.Max = 1
	p.Y.Width = 0
	for _, half := range []bool{false, true} { // the short half-open spans last, so that nothing covers them
		for _, s := range states {
			if half == (s.state == breaker.HalfOpen) {
				to := max(s.to, s.from+leastSpan)
				p.Add(polygon(rectangle(s.from.Seconds(), to.Seconds()), stateColors[s.state]))
			}
		}
	}
	return p
}

// newPlot returns an empty plot over the whole time, in the picture's style.
func newPlot() *plot.Plot {
	p := plot.New()
	p.BackgroundColor = nil // the picture's own shows
	p.X.Min, p.X.Max = 0, wholeLength().Seconds()
	p.Y.Min = 0
	p.X.Tick.Marker = ticks()
	for _, axis := range []*plot.Axis{&p.X, &p.Y} {
		axis.Padding = 0
		axis.Color, axis.Tick.Color = picture.Ink, picture.Ink
		axis.Width, axis.Tick.Width = 1, 1
		picture.SetText(&axis.Label.TextStyle, textSize)
		picture.SetText(&axis.Tick.Label, textSize)
	}
	return p
}

// drawPlot draws a plot so that its data have exactly the space between the edges and between bottom and top. Its axes are
// outside of that.
func drawPlot(c draw.Canvas, p *plot.Plot, bottom, top vg.Length) {
	for range 3 { // what the axes need depends a little on the space that they get
		data := p.DataCanvas(c)
		c.Min.X += leftEdge - data.Min.X
		c.Max.X += rightEdge - data.Max.X
		c.Min.Y += bottom - data.Min.Y
		c.Max.Y += top - data.Max.Y
	}
	p.Draw(c)
}

// addPhases marks where a phase begins.
func addPhases(p *plot.Plot) {
	var since time.Duration
	for _, ph := range phases[:len(phases)-1] {
		since += ph.length
		line := &plotter.Line{
			XYs:       plotter.XYs{{X: since.Seconds(), Y: 0}, {X: since.Seconds(), Y: p.Y.Max}},
			LineStyle: draw.LineStyle{Color: picture.Ink, Width: 1, Dashes: []vg.Length{2, 3}},
		}
		p.Add(line)
	}
}

func polygon(xys plotter.XYs, fill color.Color) *plotter.Polygon {
	return &plotter.Polygon{XYs: []plotter.XYs{xys}, Color: fill}
}

// rectangle is a span of time at full height.
func rectangle(from, to float64) plotter.XYs {
	return plotter.XYs{{X: from, Y: 0}, {X: to, Y: 0}, {X: to, Y: 1}, {X: from, Y: 1}}
}

func ticks(values ...float64) plot.Ticker {
	var all plot.ConstantTicks
	for _, v := range values {
		all = append(all, plot.Tick{Value: v, Label: fmt.Sprint(v)})
	}
	return all
}

// legend writes names behind squares of their colours, in one row.
func legend(p *picture.Picture, x, y vg.Length, names []string, colors []color.Color) {
	const square = 13
	for i, name := range names {
		p.Rectangle(colors[i], x, x+square, y-1, y-1+square)
		x += square + 6
		x += p.Write(x, y, textSize, font.WeightNormal, name) + 16
	}
}
