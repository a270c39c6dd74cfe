package guard

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// What is told of two runs: a row that is worse by more than its spread, one that is better, and none that is within.
func TestGuard(t *testing.T) {
	if _, err := exec.LookPath("jq"); err != nil {
		require.NotEqual(t, "all", os.Getenv("ENVHARNESS_TEST_REQUIRE"), "jq is not installed: apt-get install jq")
		t.Skip("jq is not installed: apt-get install jq")
	}
	before := figures(t, `## Start-up

| what | beside | measured | bound | |
|---|---|---|---|---|
| loop | dash | 1.03 × (1.01–1.05) | ≤ 1.0 × | **missed** |
|  | bash | 0.81 × (0.80–0.83) |  |  |
| memory | tini 0.09 MiB | 1.66 MiB | ≤ 2 MiB | met |
| get | curl | 0.90 × (0.85–0.95) |  |  |

- 5 remarks | of | no | figure |
`)
	after := figures(t, `## Start-up

| what | beside | measured | bound | |
|---|---|---|---|---|
| loop | dash | 1.07 × (1.03–1.10) | ≤ 1.0 × | **missed** |
|  | bash | 0.95 × (0.92–0.97) |  |  |
| memory | tini 0.10 MiB | 1.67 MiB | ≤ 2 MiB | met |
| get | curl | 0.70 × (0.65–0.75) |  |  |
| new | curl | 9.00 × |  |  |
`)
	told, err := exec.Command("./compare", before, after).Output()
	require.NoError(t, err)
	require.Equal(t, `Worse by more than the spread:

- loop, beside bash: 0.95 × (0.92–0.97), was 0.81 (0.8–0.83)

Better by more than the spread:

- get, beside curl: 0.7 × (0.65–0.75), was 0.9 (0.85–0.95)
`, string(told))
	told, err = exec.Command("./compare", after, after).Output()
	require.NoError(t, err)
	require.Equal(t, "Nothing got worse by more than the spread.\n", string(told))
}

// figures gives a file of the rows of a page.
func figures(t *testing.T, page string) string {
	t.Helper()
	cmd := exec.Command("./figures")
	cmd.Stdin = bytes.NewReader([]byte(page))
	rows, err := cmd.Output()
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "rows.json")
	require.NoError(t, os.WriteFile(file, rows, 0o600))
	return file
}
