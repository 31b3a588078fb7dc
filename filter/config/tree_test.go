package config

import (
	"encoding/json"
	"math"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
)

// structOfJSON returns what Envoy passes on of a Struct that stands for a JSON text, or nil if none does.
func structOfJSON(tb testing.TB, text []byte) []byte {
	tb.Helper()
	var message structpb.Struct
	if protojson.Unmarshal(text, &message) != nil {
		return nil
	}
	wire, err := proto.MarshalOptions{Deterministic: true}.Marshal(&message)
	if err != nil {
		tb.Fatal(err)
	}
	return wire
}

// What a refusal may take.
const (
	mostMemory = 5 << 20
	mostTime   = 50 * time.Millisecond
)

// spent tells what a Parse takes, at best: the machine may be busy with something else.
func spent(configuration []byte) (err error, allocated uint64, took time.Duration) {
	took, allocated = time.Hour, math.MaxUint64
	for try := 0; try < 3 || took > mostTime && try < 50; try++ {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		start := time.Now()
		_, err = Parse(configuration)
		took = min(took, time.Since(start))
		runtime.ReadMemStats(&after)
		allocated = min(allocated, after.TotalAlloc-before.TotalAlloc)
	}
	return err, allocated, took
}

// A text that nests too deep is refused in either form, by key, before it takes memory that a plugin does not have.
func TestDepth(t *testing.T) {
	const size = 900_000
	deep := func(open, shut string, levels int) string {
		return strings.Repeat(open, levels) + "1" + strings.Repeat(shut, levels)
	}
	long := strings.Repeat("k", 90)
	for name, c := range map[string]struct{ text, want string }{
		"objects":       {`{"reject": ` + deep(`{"`+long+`": `, "}", 9000) + `}`, `reject.` + long[:80] + "…." + long[:80] + "…."},
		"lists":         {`{"failure_on": ` + deep("[", "]", 9000) + `}`, "failure_on[0][0][0]"},
		"one too deep":  {`{"status": ` + deep(`{"a": `, "}", 32) + `}`, "status" + strings.Repeat(".a", 31)},
		"mixed":         {`{"clusters": [{}, {"match": "a", "größe\n": ` + deep(`[0, {"x": `, "}]", 30) + `}]}`, `clusters[1]."größe\n"[1].x[1].x[1]`},
		"wide, objects": {`{"status": {}, "clusters": [` + strings.Repeat("{}, ", size/4) + deep("[", "]", 31) + `]}`, "clusters[225000][0]"},
		"wide, strings": {`{"clusters": [` + strings.Repeat(`"[", `, size/5) + deep("[", "]", 31) + `]}`, "clusters[180000][0]"},
		"a long key":    {`{"` + strings.Repeat("k", size) + `": ` + deep("[", "]", 32) + `}`, long[:80] + "…[0][0]"},
	} {
		for form, configuration := range map[string][]byte{"JSON": []byte(c.text), "Struct": structOfJSON(t, []byte(c.text))} {
			err, allocated, took := spent(configuration)
			const want = ": nested deeper than 32 levels is not allowed"
			if err == nil || !strings.HasPrefix(err.Error(), c.want) || !strings.HasSuffix(err.Error(), want) {
				t.Errorf("%s, %s: %.200v", name, form, err)
			}
			if allocated > mostMemory || took > mostTime {
				t.Errorf("%s, %s: %d bytes, of %d allocated, took %v", name, form, len(configuration), allocated, took)
			}
		}
	}
	for _, text := range []string{deep("[", "", 9000), deep(`{"a":`, "", 9000), `{"a": ` + deep("[", "", 11000)} {
		if _, err := Parse([]byte(text)); err == nil || !strings.Contains(err.Error(), "[0][0]: nested deeper") && !strings.Contains(err.Error(), "a.a: nested deeper") {
			t.Errorf("an unfinished one: %.200v", err)
		}
	}
	full := `{"status": ` + deep(`{"a": `, "}", 31) + `}`
	for _, configuration := range [][]byte{[]byte(full), structOfJSON(t, []byte(full))} {
		if _, err := Parse(configuration); err == nil || !strings.Contains(err.Error(), "status.a: unknown key") {
			t.Errorf("32 levels: %v", err)
		}
	}
}

// What is as large but does not nest costs in proportion to its size.
func TestLargeConfiguration(t *testing.T) {
	const size = 200_000
	for name, text := range map[string]string{
		"strings":          `{"failure_on": [` + strings.Repeat(`"", `, size/4) + `1]}`,
		"overrides":        `{"clusters": [` + strings.Repeat(`{"match": "a"}, `, size/16) + `{"match": "b"}]}`,
		"brackets":         `{"clusters": [{"match": "` + strings.Repeat("[a]", size/3) + `"}]}`,
		"under a long key": `{"` + strings.Repeat("k", size/2) + `": [` + strings.Repeat(`{"a":1},`, size/16) + `{}]}`,
	} {
		for form, configuration := range map[string][]byte{"JSON": []byte(text), "Struct": structOfJSON(t, []byte(text))} {
			if _, allocated, took := spent(configuration); allocated > 300*size {
				t.Errorf("%s, %s: %d bytes, of %d allocated, took %v", name, form, len(configuration), allocated, took)
			}
		}
	}
}

// JSON and Struct can each say numbers that no configuration may have.
func TestNumbersThatAreNone(t *testing.T) {
	for text, want := range map[string]string{
		`{"failure_rate": 1e400}`:                           "failure_rate: 1e400 is not allowed: must be a number from -1.79e308 to 1.79e308",
		`{"clusters": [{}, {"open": {"jitter": -1e+999}}]}`: "clusters[1].open.jitter: -1e+999 is not allowed: must be a number",
		`{"failure_on": [1, 2e308]}`:                        "failure_on[1]: 2e308 is not allowed: must be a number",
		`1e400`:                                             "1e400 is not allowed: must be a number",
	} {
		if _, err := Parse([]byte(text)); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
	for number, want := range map[float64]string{
		math.NaN():   "open.jitter: NaN is not allowed: must be a number from -1.79e308 to 1.79e308",
		math.Inf(-1): "open.jitter: -Inf is not allowed: must be a number",
	} {
		open := &structpb.Struct{Fields: map[string]*structpb.Value{"jitter": structpb.NewNumberValue(number)}}
		wire, err := proto.Marshal(&structpb.Struct{Fields: map[string]*structpb.Value{"open": structpb.NewStructValue(open)}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Parse(wire); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%v: %v, want %s", number, err, want)
		}
	}
}

// Parse is safe with any bytes, and spends no more than in proportion to them; and a JSON text and a Struct that stand for
// each other are one configuration.
func FuzzParse(f *testing.F) {
	for _, text := range []string{
		`{"failure_rate": 50}`, `{"failure_on": ["5xx", "500-504"], "reject": {"headers": {"x-a": "{state}", "X-A": "\u00e9"}}}`,
		`{"probe": {"path": "/"}, "clusters": [{"match": "a*", "probe": null}, {"match": "a", "probe": {"interval": "2s"}}]}`,
		`{"a": [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]}`, `{"open": {"jitter": 1e400}, "window": {"requests": -0.5e1}}`,
		`{"mode": "a\"b\\", "status": {"path": "/\ud83d\ude00"}}`, `{"a": 1, "a": 2}`, `{} {}`, `{"a" 1,}`, `[{"a": nul}`, `{"a`, `"\`,
	} {
		f.Add([]byte(text))
		f.Add(structOfJSON(f, []byte(text)))
	}
	f.Add([]byte("\n\x05\n\x01a\x12\x00"))
	f.Add(protowire.AppendBytes([]byte{structField}, []byte("\n\x01a\x12\x09\x11\x00\x00\x00\x00\x00\x00\xf0\x7f"))) // infinite
	f.Fuzz(func(t *testing.T, b []byte) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		c, err := Parse(b)
		runtime.ReadMemStats(&after)
		if allocated := after.TotalAlloc - before.TotalAlloc; allocated > uint64(100_000+1000*len(b)) {
			t.Errorf("%d bytes allocated for %d", allocated, len(b))
		}
		if err == nil && c.Rules.Policy.Validate() != nil {
			t.Errorf("accepted %q with a bad policy", b)
		}
		tree, _, err := parseJSON(b)
		var want map[string]any
		if err == nil && json.Unmarshal(b, &want) == nil && !reflect.DeepEqual(tree, want) {
			t.Errorf("%q: %v, want %v", b, tree, want)
		}
		if wire := structOfJSON(t, b); wire != nil {
			sameInBothForms(t, b, wire)
		}
		var message structpb.Struct
		if (proto.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(b, &message) == nil {
			text, jsonErr := protojson.Marshal(&message)
			wire, wireErr := proto.Marshal(&message)
			if jsonErr == nil && wireErr == nil { // as for infinite numbers, or values of no kind
				sameInBothForms(t, text, wire)
			}
		}
	})
}

func sameInBothForms(t *testing.T, text, wire []byte) {
	t.Helper()
	fromJSON, jsonErr := Parse(text)
	fromStruct, structErr := Parse(wire)
	same := errorText(jsonErr) == errorText(structErr)
	if jsonErr != nil && strings.Contains(jsonErr.Error(), "nested deeper") {
		same = structErr != nil && strings.Contains(structErr.Error(), "nested deeper") // a map has another order, so it may be another key
	}
	treeOfJSON, _, _ := parseTree(text)
	treeOfStruct, _, _ := parseTree(wire)
	if !same || !reflect.DeepEqual(treeOfJSON, treeOfStruct) || !reflect.DeepEqual(fromJSON, fromStruct) {
		t.Errorf("%q:\nJSON   %+v %v\nStruct %+v %v", text, fromJSON, jsonErr, fromStruct, structErr)
	}
}
