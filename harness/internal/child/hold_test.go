package child

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestLatestOfSeveralValues(t *testing.T) {
	for _, c := range []struct {
		name   string
		output string
		count  int
		want   string
	}{
		{"one value", "a\n", 1, "a\n"},
		{"one value of two lines", "a\nb\n", 1, "a\nb\n"},
		{"two values before the first was read", "a\nb\n", 2, "b"},
		{"three values of two lines", "1\na\n2\nb\n3\nc\n", 3, "3\nc"},
		{"a value that was said to be ready twice", "a\n", 2, "a\n"},
		{"output that cannot be cut into so many", "a\nb\nc\n", 2, "a\nb\nc\n"},
		{"nothing", "", 2, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			require.Equal(t, c.want, string(latest([]byte(c.output), c.count)))
		})
	}
}
