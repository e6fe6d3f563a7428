package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// scheme has the page's colours be light or dark, as a system would.
func (v *visitor) scheme(colours string) {
	v.Helper()
	_, err := chromedp.Call(v.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
		{Name: "prefers-color-scheme", Value: colours}, {Name: "prefers-reduced-motion", Value: "reduce"},
	}})
	if err != nil {
		v.Fatal(err)
	}
	// Chromium works out the colours of what did not change otherwise when it gets to it; a
	// property that everything inherits has it do so now.
	v.until("the page is in "+colours+" colours", func(ctx context.Context) (bool, error) {
		last, err := eval[string](ctx, strings.ReplaceAll(lastColours, "SCHEME", colours))
		if err == nil && last != "" {
			err = errors.New(last)
		}
		return err == nil, err
	})
}

// lastColours is an element that still has a colour of the scheme before, which the page's
// names for colours do not have in this one; "" where there is none, and twice so.
const lastColours = `(async () => {
	const root = document.documentElement;
	root.style.setProperty('--colours', 'SCHEME');
	const probe = document.body.appendChild(document.createElement('i'));
	const values = (scheme) => {
		probe.style.setProperty('color-scheme', scheme);
		return ['--bg', '--rail', '--side', '--card', '--line', '--ink', '--soft', '--accent-soft', '--good', '--warn', '--bad', '--code']
			.map((name) => { probe.style.setProperty('color', 'var(' + name + ')'); return getComputedStyle(probe).color; });
	};
	const now = values('SCHEME');
	const before = values('SCHEME' === 'dark' ? 'light' : 'dark').filter((c) => !now.includes(c));
	probe.remove();
	const late = () => [...document.querySelectorAll('body, #app *')].find((el) => {
		const style = getComputedStyle(el);
		return !el.closest('.avatar, .picture') && (before.includes(style.color) && !el.closest('.btn, .on') || before.includes(style.backgroundColor) || before.includes(style.borderTopColor) && style.borderTopWidth !== '0px');
	})?.outerHTML.slice(0, 100) ?? '';
	const drawn = () => new Promise((done) => requestAnimationFrame(done));
	const first = late();
	await drawn();
	await drawn();
	return first || late();
})()`

// view is a moment of a story that is worth looking at: pictures are taken of it where they
// are asked for, and it is audited where there is axe-core.
func (v *visitor) view(name string) {
	v.Helper()
	dir := os.Getenv("ZDD_PICTURES")
	if dir == "" && v.axe == "" {
		return
	}
	for _, colours := range []string{"light", "dark"} {
		v.scheme(colours)
		if dir != "" {
			v.picture(filepath.Join(dir, name+"-"+colours+".png"))
		}
		v.audit(name, colours)
	}
	v.scheme("light")
}

// picture takes one of what the window shows.
func (v *visitor) picture(file string) {
	v.Helper()
	shot, err := chromedp.Run(v.ctx, chromedp.CaptureScreenshot())
	if err == nil {
		shot, err = inFewColours(shot)
	}
	if err == nil {
		err = os.WriteFile(file, shot, 0o644)
	}
	if err != nil {
		v.Fatal(err)
	}
}

const (
	// surfaces is how many colours of a picture are kept for being frequent, however alike.
	surfaces = 48
	// apart is how far the others of a palette are from each other at least, as the sum of what
	// their red, green and blue differ by: otherwise the shades at the edges of letters leave no
	// room for what is small and has a colour of its own, such as a lamp.
	apart = 20
)

// inFewColours makes a picture of a page small: 256 colours, the most frequent first, are
// nearly all that it has.
func inFewColours(shot []byte) ([]byte, error) {
	full, err := png.Decode(bytes.NewReader(shot))
	if err != nil {
		return nil, err
	}
	often := map[color.RGBA]int{}
	area := full.Bounds()
	for y := area.Min.Y; y < area.Max.Y; y++ {
		for x := area.Min.X; x < area.Max.X; x++ {
			often[color.RGBAModel.Convert(full.At(x, y)).(color.RGBA)]++
		}
	}
	by := slices.SortedFunc(maps.Keys(often), func(a, b color.RGBA) int {
		return cmp.Or(often[b]-often[a], cmp.Compare(fmt.Sprint(a), fmt.Sprint(b)))
	})
	var palette color.Palette
	differ := func(a, b uint8) int { return max(int(a), int(b)) - min(int(a), int(b)) }
	for _, c := range by {
		alike := slices.ContainsFunc(palette, func(p color.Color) bool {
			q := p.(color.RGBA)
			return differ(c.R, q.R)+differ(c.G, q.G)+differ(c.B, q.B) < apart
		})
		if len(palette) < 256 && (len(palette) < surfaces || !alike) {
			palette = append(palette, c)
		}
	}
	nearest := map[color.RGBA]uint8{}
	few := image.NewPaletted(area, palette)
	for y := area.Min.Y; y < area.Max.Y; y++ {
		for x := area.Min.X; x < area.Max.X; x++ {
			c := color.RGBAModel.Convert(full.At(x, y)).(color.RGBA)
			i, known := nearest[c]
			if !known {
				i = uint8(palette.Index(c))
				nearest[c] = i
			}
			few.SetColorIndex(x, y, i)
		}
	}
	var out bytes.Buffer
	err = (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&out, few)
	return out.Bytes(), err
}
