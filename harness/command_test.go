package harness

import (
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/envharness/envharness/harness/internal/environ"
)

// TestPristineOfManyNames does not end within a test's time when each name costs a look at all.
func TestPristineOfManyNames(t *testing.T) {
	var inherited []string
	for i := range 400_000 {
		inherited = append(inherited, "V"+strconv.Itoa(i)+"=")
	}
	s := &startup{shared: &shared{Harness: &Harness{Options: Options{Pristine: true}}}, decisions: newDecisions(environ.New(append(inherited, "PATH=/bin")))}
	require.Equal(t, []string{"PATH=/bin"}, s.commandEnviron().List())
}
