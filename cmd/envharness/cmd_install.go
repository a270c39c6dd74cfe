package main

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/envharness/envharness/harness"
	"github.com/envharness/envharness/internal/cli"
	"github.com/envharness/envharness/internal/securefile"
	"github.com/envharness/envharness/internal/text"
)

// installCommand is envharness install: for init containers beside an image that has no harness.
func installCommand() cli.Command {
	return cli.Command{
		Name:      "install",
		Arguments: "DEST",
		Most:      1,
		Summary:   "copy itself to DEST",
		About:     "Copies this very program to DEST, a directory or a file, executable for everybody: an init container brings it so into a volume beside an image that is not yours.",
		Example:   "envharness install /shared",
		Notes:     variables,
		Run: func(c *cli.Call) error {
			if len(c.Args) == 0 || c.Args[0] == "" {
				return c.Misuse("one DEST is needed, a directory or a file")
			}
			return install(c.Args[0])
		},
	}
}

// install copies the program that runs to dest, or into dest when that is a directory, for everybody to execute. It is
// there as a whole or not at all.
func install(dest string) error {
	failed := func(err error, next string) error {
		return &harness.Error{Subject: dest, Problem: "cannot install there: " + text.Reason(err), Next: next, Err: err}
	}
	program, err := readSelf()
	if err != nil {
		return failed(err, "mount /proc in this container")
	}
	target := dest
	if info, err := os.Stat(dest); err == nil && info.IsDir() {
		target = filepath.Join(dest, "envharness")
	} else if strings.HasSuffix(dest, "/") {
		return failed(unix.ENOTDIR, "make the directory first, or name a file")
	}
	unix.Umask(0) // this process does nothing else
	if err := securefile.Write(target, program, 0o755, nil); err != nil {
		return failed(err, securefile.Hint(err, "name a directory, or a file in one, that this user may write to"))
	}
	return nil
}

// readSelf is the program that runs. Linux's link leads to its file even when that was replaced or removed, proc(5).
func readSelf() ([]byte, error) {
	if runtime.GOOS == "linux" {
		return os.ReadFile("/proc/self/exe")
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return os.ReadFile(self)
}
