package testservers

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
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

// started is the directory that the test began in, which is its package's.
var started, _ = os.Getwd()

// checkout is the directory of this checkout. (The binary of a test may have been built without paths.)
func checkout() (string, error) {
	for directory := started; directory != filepath.Dir(directory); directory = filepath.Dir(directory) {
		if _, err := os.Stat(filepath.Join(directory, "go.mod")); err == nil {
			return directory, nil
		}
	}
	return "", fmt.Errorf("no go.mod in %s or above", started)
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
	root, err := checkout()
	if err != nil {
		return "", err
	}
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
