// Package direct executes COMMAND at once where a start has nothing else to do.
//
// Such a start is the time that a process of Go needs to begin, and half of that again goes into the tables of the
// packages that read options and env-files. What is here needs none of them, so it may be called from an init
// function, before theirs.
package direct

import (
	"os"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/envharness/envharness/harness/internal/child"
	"github.com/envharness/envharness/harness/internal/environ"
	"github.com/envharness/envharness/harness/internal/sigaction"
)

// Exec makes the process COMMAND, as harness.Run does with the default options, if neither /environment nor /export is
// there. It returns, as if nothing had been, when one is, and when anything else is not as simple as can be: then
// harness.Run does the rest, and finds the words for what is wrong.
//
// Until execve(2) a signal has its default action, as at any moment before the first line of main. The kernel then
// ends the process while the signal is sent: no thread is in a handler, from where execve(2) would take it. PID 1 has
// no default actions, so there Go's handlers stay.
func Exec(command []string) {
	if os.Getpid() != 1 {
		defer defaultActions()()
	}
	file := lookUp(command[0], os.Getenv("PATH"))
	if file == "" || rootHas("environment", "export") {
		return
	}
	child.ReapOrphans()
	sigaction.ResetInherited()
	_ = syscall.Exec(file, command, environ.New(os.Environ()).List())
}

// defaultActions gives the signals that end a process their default actions, unless they are ignored. What it gives
// takes that back.
func defaultActions() (undo func()) {
	ending := [...]syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGHUP}
	var before [len(ending)]sigaction.Action
	for i, sig := range ending {
		if before[i] = sigaction.Of(sig); !before[i].Ignores() {
			sigaction.Set(sig, sigaction.Action{})
		}
	}
	return func() {
		for i, sig := range ending {
			sigaction.Set(sig, before[i])
		}
	}
}

// lookUp is the file of COMMAND, or "" where that takes more than a look into absolute directories.
func lookUp(name, path string) string {
	if strings.Contains(name, "/") {
		return name
	}
	for dir := range strings.SplitSeq(path, ":") {
		if name == "" || !strings.HasPrefix(dir, "/") {
			return ""
		}
		file := dir + "/" + name
		switch unix.Access(file, unix.X_OK) {
		case nil:
			return file
		case unix.ENOENT, unix.ENOTDIR:
		default:
			return ""
		}
	}
	return ""
}

// rootHas tells whether the root directory has one of some names, or cannot be read. It lists the directory, because to
// look at a name would ask the file system that is mounted there, which may not answer.
func rootHas(names ...string) bool {
	entries, err := os.ReadDir("/")
	return err != nil || slices.ContainsFunc(entries, func(e os.DirEntry) bool { return slices.Contains(names, e.Name()) })
}
