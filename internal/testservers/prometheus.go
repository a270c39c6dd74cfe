package testservers

import (
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
)

// PrometheusTargets gives a program that prints, as JSON, what Prometheus' own HTTP service discovery finds at the
// URL that is its argument.
func PrometheusTargets(t testing.TB) string {
	t.Helper()
	_, self, _, _ := runtime.Caller(0)
	binary := filepath.Join(t.TempDir(), "targets")
	build := exec.Command("go", "build", "-o", binary, ".")
	build.Dir = filepath.Join(filepath.Dir(self), "../../tools/prometheus")
	if output, err := build.CombinedOutput(); err != nil {
		t.Logf("%s", output)
		Missing(t, "Prometheus' HTTP service discovery", "make install-test-tools")
	}
	return binary
}
