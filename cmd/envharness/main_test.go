package main_test

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/envharness/envharness/internal/testservers/parallel"
)

// harnessPath is the real binary, built once: exec and signals behave only there as in a container.
var harnessPath string

func TestMain(m *testing.M) {
	os.Exit(runTests(m))
}

func runTests(m *testing.M) int {
	dir, err := os.MkdirTemp("", "envharness-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	// COMMAND may be another user's, so the way to the binary is open to all.
	if err := os.Chmod(dir, 0o755); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	harnessPath = filepath.Join(dir, "envharness")
	if err := buildHarness(harnessPath); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if err := cleanEnvironment(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	catchIgnored()
	return parallel.Tests{M: m}.Run()
}

// catchIgnored undoes what nohup, or a shell that runs the tests in the background, has done: a signal that is
// ignored here would be ignored by every harness.
func catchIgnored() {
	for _, ignored := range []os.Signal{syscall.SIGHUP, syscall.SIGINT} {
		if signal.Ignored(ignored) {
			signal.Notify(make(chan os.Signal, 1), ignored)
		}
	}
}

// buildHarness builds the binary as the Makefile releases it, static and without the race detector.
func buildHarness(target string) error {
	build := exec.Command("go", "build", "-race=false", "-trimpath", "-tags", "urfave_cli_no_docs,grpcnotrace", "-o", target, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("cannot build envharness: %w\n%s", err, output)
	}
	return nil
}

// cleanEnvironment puts the binary and the helper scripts first in PATH, and removes what would change every test.
func cleanEnvironment(binaries string) error {
	scripts, err := filepath.Abs("testdata/bin")
	if err != nil {
		return err
	}
	for _, name := range []string{"CONTAINER_HOST", "DOCKERD", "ENV", "BASH_ENV"} {
		os.Unsetenv(name)
	}
	return os.Setenv("PATH", binaries+":"+scripts+":"+os.Getenv("PATH"))
}

// missing says what of the needs, programs or "root", this machine lacks; "" is nothing.
func missing(needs ...string) string {
	for _, need := range needs {
		if need == "root" {
			if os.Geteuid() != 0 {
				return "root"
			}
			continue
		}
		if _, err := exec.LookPath(need); err != nil {
			return need
		}
	}
	return ""
}

// skipsAllowed is false where everything must run, as in CI.
func skipsAllowed() bool {
	return os.Getenv("ENVHARNESS_TEST_REQUIRE") != "all"
}

// need skips the test, or fails it under ENVHARNESS_TEST_REQUIRE=all, when one of needs is not here.
func need(t *testing.T, needs ...string) {
	t.Helper()
	lack := missing(needs...)
	if lack == "" {
		return
	}
	if !skipsAllowed() {
		t.Fatalf("%s is needed and not here", lack)
	}
	t.Skipf("%s is not here", lack)
}
