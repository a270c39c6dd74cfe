package order_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/envharness/envharness/harness/internal/order"
)

// run gives nodes, written as "NAME: words of its script", out by name, and the cycles that were told.
func run(nodes ...string) (ran, cycles []string) {
	var list []order.Node
	for _, n := range nodes {
		name, script, _ := strings.Cut(n, ":")
		list = append(list, order.Node{Name: name, Script: func() []byte { return []byte(script) }})
	}
	q := order.New(list, func(on []int) {
		var names []string
		for _, i := range on {
			names = append(names, list[i].Name)
		}
		cycles = append(cycles, strings.Join(names, " "))
	})
	for i, ok := q.Next(); ok; i, ok = q.Next() {
		ran = append(ran, list[i].Name)
		q.ReadAhead()
	}
	return ran, cycles
}

func TestOrder(t *testing.T) {
	long := strings.Repeat("x ", order.MaxScript/2)
	for want, nodes := range map[string][]string{
		"":                {},
		"A":               {"A: A"},
		"A B C":           {"A", "B", "C"},
		"B C A":           {"A: $C", "B", "C"},
		"C B A":           {"A: ${B}", "B: # C is a comment", "C"},
		"X XA":            {"X: X_A XAB AX", "XA"},
		"db.env A z.json": {"A: db.env xz.json", "db.env", "z.json"},
		"P Q":             {"P: " + long + "Q", "Q"},
		"N M":             {"M: " + long[:len(long)-4] + " N", "N"},
	} {
		ran, cycles := run(nodes...)
		require.Equal(t, want, strings.Join(ran, " "))
		require.Empty(t, cycles)
	}
}

func TestCycles(t *testing.T) {
	for _, test := range []struct {
		nodes, ran, cycles []string
	}{
		{[]string{"A: B", "B: A"}, []string{"A", "B"}, []string{"A B"}},
		{[]string{"A: C", "B", "C: A"}, []string{"B", "A", "C"}, []string{"A C"}},
		{[]string{"A: B", "B: C", "C: B"}, []string{"B", "A", "C"}, []string{"B C"}},
		{[]string{"A: B D", "B: C", "C: A", "D"}, []string{"D", "A", "B", "C"}, []string{"A B C"}},
		{[]string{"A: B", "B: A", "C: D", "D: C"}, []string{"A", "B", "C", "D"}, []string{"A B", "C D"}},
	} {
		ran, cycles := run(test.nodes...)
		require.Equal(t, test.cycles, cycles)
		require.Equal(t, test.ran, ran)
	}
}

// TestLazy: a script is read when it matters, and the only one never.
func TestLazy(t *testing.T) {
	reads := ""
	node := func(name, script string) order.Node {
		return order.Node{Name: name, Script: func() []byte { reads += name; return []byte(script) }}
	}
	q := order.New([]order.Node{node("A", "")}, nil)
	q.Next()
	require.Empty(t, reads)
	q = order.New([]order.Node{node("A", ""), node("B", "D"), node("C", ""), node("D", "")}, nil)
	q.Next()
	require.Equal(t, "A", reads)
	q.ReadAhead()
	require.Equal(t, "AB", reads)
	q.ReadAhead()
	require.Equal(t, "ABC", reads)
	i, _ := q.Next()
	require.Equal(t, 2, i)
	require.Equal(t, "ABC", reads)
}

// TestBehind: what a node follows anyhow gives way to a mention.
func TestBehind(t *testing.T) {
	script := func(text string) func() []byte { return func() []byte { return []byte(text) } }
	q := order.New([]order.Node{{Name: "s.env", Script: script("V")}, {Name: "U", Script: script(""), Behind: []int{0}}, {Name: "V", Script: script("W"), Behind: []int{0}}, {Name: "W", Script: script(""), Behind: []int{0}}}, nil)
	var ran []int
	for i, ok := q.Next(); ok; i, ok = q.Next() {
		ran = append(ran, i)
	}
	require.Equal(t, []int{3, 2, 0, 1}, ran)
	require.Equal(t, []int{0}, q.Mentions(1))
	require.Equal(t, []int{3}, q.Mentions(2))
}

// TestRandomGraphs: every node runs once, after what it mentions where there is no cycle.
func TestRandomGraphs(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 0))
		n := 1 + r.IntN(8)
		rank := r.Perm(n)
		var nodes []string
		for i := range n {
			words := ""
			for j := range n {
				if r.IntN(3) == 0 && (rank[j] < rank[i] || seed%2 == 1) {
					words += fmt.Sprintf(" N%d", j)
				}
			}
			nodes = append(nodes, fmt.Sprintf("N%d:%s", i, words))
		}
		ran, cycles := run(nodes...)
		require.Len(t, ran, n)
		if len(cycles) > 0 {
			require.Equal(t, uint64(1), seed%2)
			continue
		}
		for i, node := range nodes {
			_, words, _ := strings.Cut(node, ":")
			for _, word := range strings.Fields(words) {
				self := fmt.Sprintf("N%d", i)
				require.True(t, word == self || slices.Index(ran, word) < slices.Index(ran, self), "%v %v", nodes, ran)
			}
		}
	}
}

func FuzzOrder(f *testing.F) {
	f.Add("$B ${C}", "A", "x")
	f.Fuzz(func(t *testing.T, a, b, c string) {
		clean := strings.NewReplacer(":", " ")
		ran, _ := run("A: "+clean.Replace(a), "B: "+clean.Replace(b), "C: "+clean.Replace(c), "d.env: A")
		require.Len(t, ran, 4)
	})
}
