package harness

import (
	"slices"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestEnvironKeepsItsOrder(t *testing.T) {
	e := newEnviron([]string{"A=1", "B=2", "no variable", "A=3", "C="})
	c := e.clone()
	e.unset("A")
	e.unset("nobody")
	e.set("D", "4")
	e.set("A", "5")
	require.Equal(t, []string{"B=2", "C=", "D=4", "A=5", "no variable"}, e.list())
	require.Equal(t, []string{"B", "C", "D", "A"}, slices.Collect(e.each))
	require.Equal(t, []string{"B=2", "D=4", "A=5", "no variable", "X=1"}, e.listWithout("C", "X=1"))
	require.Equal(t, []string{"A=3", "B=2", "C=", "no variable"}, c.list(), "a clone is another one")
	require.Equal(t, "5", e.value("A"))
	require.False(t, e.has("E"))
}

// TestPristineOfManyNames does not end within a test's time when each name costs a look at all.
func TestPristineOfManyNames(t *testing.T) {
	var inherited []string
	for i := range 400_000 {
		inherited = append(inherited, "V"+strconv.Itoa(i)+"=")
	}
	s := &startup{shared: &shared{Harness: &Harness{Options: Options{Pristine: true}}}, env: newEnviron(append(inherited, "PATH=/bin"))}
	require.Equal(t, []string{"PATH=/bin"}, s.commandEnviron().list())
}
