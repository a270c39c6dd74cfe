package testservers

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
)

// build makes a program from a directory of this checkout, in bin, and gives its path. `go build` decides whether it is to
// be made anew. The lock is for the tests of other packages, which want the same program. It runs without the race detector,
// which is for our own code: a server that has it costs several times the processor time.
func build(name, directory string) (string, error) {
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
	cmd := exec.Command("go", "build", "-race=false", "-trimpath", "-buildvcs=false", "-tags", "urfave_cli_no_docs,grpcnotrace", "-o", target, ".")
	cmd.Dir, cmd.Env = filepath.Join(root, directory), append(os.Environ(), "CGO_ENABLED=0")
	if output, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w\n%s", err, output)
	}
	return target, nil
}
