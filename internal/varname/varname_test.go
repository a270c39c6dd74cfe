package varname_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/envharness/envharness/internal/envfmt"
	"github.com/envharness/envharness/internal/varname"
)

func TestOf(t *testing.T) {
	for name, want := range map[string]string{
		"A": "A", "tls.crt": "TLS_CRT", "db-password": "DB_PASSWORD", "9lives": "_9LIVES", "größe": "GR__E", "\xff\xfe": "__", "a b": "A_B", "_x1": "_X1", ".": "_",
	} {
		got, ok := varname.Upper.Of(name)
		require.True(t, ok)
		require.Equal(t, want, got, name)
		same, ok := varname.Strict.Of(name)
		require.Equal(t, name, same)
		require.Equal(t, envfmt.IsName(name), ok)
	}
	_, ok := varname.Upper.Of("")
	require.False(t, ok)
}

func FuzzUpper(f *testing.F) {
	f.Add("tls.crt")
	f.Fuzz(func(t *testing.T, name string) {
		if variable, ok := varname.Upper.Of(name); ok {
			require.True(t, envfmt.IsName(variable), "%q", variable)
		}
	})
}
