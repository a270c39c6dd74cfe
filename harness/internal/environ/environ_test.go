package environ

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestOrder(t *testing.T) {
	e := New([]string{"A=1", "B=2", "no variable", "A=3", "C="})
	c := e.Clone()
	e.Unset("A")
	e.Unset("nobody")
	e.Set("D", "4")
	e.Set("A", "5")
	require.Equal(t, []string{"B=2", "C=", "D=4", "A=5", "no variable"}, e.List())
	require.Equal(t, []string{"B", "C", "D", "A"}, slices.Collect(e.Each))
	require.Equal(t, []string{"B=2", "D=4", "A=5", "no variable", "X=1"}, e.ListWithout("C", "X=1"))
	require.Equal(t, []string{"A=3", "B=2", "C=", "no variable"}, c.List(), "a clone is another one")
	require.Equal(t, "5", e.Value("A"))
	require.False(t, e.Has("E"))
}
