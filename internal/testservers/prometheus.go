package testservers

import "testing"

// PrometheusTargets gives a program that prints, as JSON, what Prometheus' own HTTP service discovery finds at the
// URL that is its argument.
func PrometheusTargets(t testing.TB) string {
	t.Helper()
	binary, err := build("prometheustargets", "tools/prometheus")
	if err != nil {
		t.Log(err)
		Missing(t, "Prometheus' HTTP service discovery", "make install-test-tools")
	}
	return binary
}
