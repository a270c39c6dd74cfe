package testservers

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
)

// build makes a program from a directory of this checkout, in bin, and gives its path. `go build` decides whether it is to
// be made anew. The lock is for the tests of other packages, which want the same program. It runs without the race detector,
// which is for our own code: a server that has it costs several times the processor time.
func build(name, directory string) (string, error) {
	return goMakes(name, directory, "build")
}

// PlainTest makes the test binary of a package of this checkout without the race detector: for a process that a test
// starts to kill it, to fill its disk, or to measure its memory, which the detector multiplies.
func PlainTest(t testing.TB, directory string) string {
	t.Helper()
	binary, err := goMakes(filepath.Base(directory)+".test", directory, "test", "-c", "-vet=off")
	if err != nil {
		t.Fatalf("cannot build the tests of %s: %v", directory, err)
	}
	return binary
}

// Program makes one of this project's programs, as releases have it.
func Program(t testing.TB, name string) string {
	t.Helper()
	binary, err := build(name, filepath.Join("cmd", name))
	if err != nil {
		t.Fatalf("cannot build %s: %v", name, err)
	}
	return binary
}

// goMakes runs the go command that makes bin/testservers/NAME of a directory.
func goMakes(name, directory string, words ...string) (string, error) {
	_, self, _, _ := runtime.Caller(0)
	root := filepath.Join(filepath.Dir(self), "../..")
	target := filepath.Join(root, "bin", "testservers", name)
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return "", err
	}
	lock, err := os.OpenFile(target+".lock", os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return "", err
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return "", err
	}
	// As examples and releases are built, so that they share what is compiled.
	cmd := exec.Command("go", append(words, "-race=false", "-trimpath", "-buildvcs=false", "-tags", "urfave_cli_no_docs,grpcnotrace", "-o", target, ".")...)
	cmd.Dir, cmd.Env = filepath.Join(root, directory), append(os.Environ(), "CGO_ENABLED=0")
	if output, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w\n%s", err, output)
	}
	return target, nil
}
