package discovery

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMissing(t *testing.T) {
	list := func(ids string) (all []Instance) {
		for _, id := range ids {
			all = append(all, Instance{ID: string(id)})
		}
		return all
	}
	for _, c := range []struct{ some, others, want string }{
		{"", "", ""}, {"abc", "", "abc"}, {"", "abc", ""}, {"abc", "abc", ""}, {"abc", "b", "ac"}, {"b", "abc", ""}, {"bd", "ace", "bd"}, {"aab", "b", "aa"},
	} {
		require.Equal(t, list(c.want), missing(list(c.some), list(c.others)), "%v", c)
	}
}
