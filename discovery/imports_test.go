package discovery_test

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The contract is for everyone's programs, so it brings nothing along but leaves of this module.
func TestStandardLibraryOnly(t *testing.T) {
	for _, name := range []string{"discovery", "discovery/driver", "discovery/layout", "discovery/memory"} {
		name = "github.com/envharness/envharness/" + name
		out, err := exec.Command("go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", name).Output()
		require.NoError(t, err)
		require.Contains(t, string(out), name)
		for path := range strings.FieldsSeq(string(out)) {
			require.True(t, strings.HasPrefix(path, "github.com/envharness/envharness/"), "%s imports %s", name, path)
		}
	}
}
