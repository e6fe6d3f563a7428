package chat

import (
	"bytes"
	"encoding/json"
	"fmt"
	"image/png"
	"math"
	"strings"
	"testing"

	"example.com/zdd/commands"
)

// trend is a chart of so many nights.
func trend(nights int) commands.Chart {
	c := commands.Chart{Title: "Ready apps", Alt: "Ready apps went from 1 to many.", Series: []commands.Series{{Name: "ready"}, {Name: "not ready"}}}
	for i := range nights {
		c.Labels = append(c.Labels, fmt.Sprintf("night %d", i+1))
		c.Series[0].Values = append(c.Series[0].Values, float64(i+1))
		c.Series[1].Values = append(c.Series[1].Values, float64(nights-i))
	}
	return c
}

func TestThinKeepsTheLastAndLiesAboutNone(t *testing.T) {
	for n := 1; n <= 100; n++ {
		full := trend(n)
		got, every := thin(full, 20)
		if len(got.Labels) > 20 || n > 20 && len(got.Labels) < 10 {
			t.Errorf("%d nights: %d are drawn, want 10 to 20", n, len(got.Labels))
		}
		if n <= 20 && every != 1 {
			t.Errorf("%d nights: thinned without need", n)
		}
		if last := got.Labels[len(got.Labels)-1]; last != full.Labels[n-1] {
			t.Errorf("%d nights: the last drawn is %s", n, last)
		}
		for i, label := range got.Labels {
			if v := got.Series[0].Values[i]; label != fmt.Sprintf("night %d", int(v)) {
				t.Errorf("%d nights: %s is drawn at %v", n, label, v)
			}
		}
	}
}

func TestAChartSaysWhatIsNotDrawn(t *testing.T) {
	c := trend(30)
	for i := range 6 {
		c.Series = append(c.Series, commands.Series{Name: fmt.Sprint("more ", i), Values: c.Series[0].Values})
	}
	raw, err := json.Marshal(chartBlocks(c))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"type":"line"`, "Ready apps went from 1 to many. Of 30 values every second is drawn, the last one always. 2 more series are not drawn."} {
		if !strings.Contains(string(raw), want) {
			t.Errorf("%q is not in %s", want, raw)
		}
	}
	old, differ := oldBlocks(chartBlocks(c))
	if raw, err = json.Marshal(old); err != nil || !differ {
		t.Fatal(err, differ)
	}
	for _, want := range []string{"1 → 30 (lowest 1, highest 30)", "from night 1 to night 30", "*Ready apps*", `"text":"Ready apps went from 1 to many."`} {
		if !strings.Contains(string(raw), want) {
			t.Errorf("%q is not in %s", want, raw)
		}
	}
}

func TestWhatIsNoNumberIsNotDrawn(t *testing.T) {
	c := trend(3)
	c.Series[0].Values[1] = math.NaN()
	if _, differ := oldBlocks(chartBlocks(c)); differ {
		t.Error("a chart with a hole was drawn")
	}
	if got, want := sparkText(c, 0), "ready      ▃·█  1 → 3 (lowest 1, highest 3)\nnot ready  █▆▃  3 → 1 (lowest 1, highest 3)\nfrom night 1 to night 3\n"; got != want {
		t.Errorf("got:\n%swant:\n%s", got, want)
	}
	if _, err := picture(c); err == nil {
		t.Error("a picture of what is no number")
	}
	checkMessages(t, Blocks(commands.Reply{Summary: "s", Parts: []commands.Part{commands.Chart{Title: "t", Alt: "nothing yet"}}}))
}

func TestPicture(t *testing.T) {
	c := trend(30)
	c.Title = "Ready <!channel> \u202e apps 漢字"
	for _, name := range []string{"", "\x00", "<@U1>", strings.Repeat("long ", 50), "fifth"} {
		c.Series = append(c.Series, commands.Series{Name: name, Values: c.Series[1].Values})
	}
	data, err := picture(c)
	if err != nil {
		t.Fatal(err)
	}
	img, err := png.Decode(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	colors := map[[3]uint32]int{}
	for y := range img.Bounds().Dy() {
		for x := range img.Bounds().Dx() {
			r, g, b, _ := img.At(x, y).RGBA()
			colors[[3]uint32{r >> 8, g >> 8, b >> 8}]++
		}
	}
	for _, line := range [][3]uint32{{0, 114, 178}, {213, 94, 0}} {
		if colors[line] < 100 {
			t.Errorf("%d points of the line %v, want a line", colors[line], line)
		}
	}
	if len(data) > 1<<20 {
		t.Errorf("a picture of %d bytes", len(data))
	}
}
