package harness

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/envharness/envharness/harness/internal/child"
	"github.com/envharness/envharness/harness/internal/environ"
	"github.com/envharness/envharness/harness/internal/explain"
	"github.com/envharness/envharness/internal/text"
)

// defaultPath is where a command is looked for when there is no PATH at all, as dash does.
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// checkCommand looks COMMAND up before anything is announced for it.
func (s *startup) checkCommand(name string) error {
	return s.user.Run(func() error {
		_, err := s.lookUp(name)
		return err
	})
}

// lookUp finds the file of a command as execvp(3) does: a name with a slash is a path, another is searched
// for in PATH, where a file that may not be executed does not end the search.
func (s *startup) lookUp(name string) (string, error) {
	if name == "" {
		return "", notFound(name, "the command is an empty word")
	}
	if strings.Contains(name, "/") {
		return name, s.executable(name, name)
	}
	search := defaultPath
	if s.env.Has("PATH") {
		search = s.env.Value("PATH")
	}
	var refused error
	for _, dir := range filepath.SplitList(search) {
		file := name
		if dir != "" {
			file = dir + "/" + name
		}
		err := s.executable(file, name)
		if err == nil {
			if dir == "" {
				file = "./" + name
			}
			return file, nil
		}
		if refused == nil && ExitCode(err) == ExitCannotExecute {
			refused = err
		}
	}
	if refused != nil {
		return "", refused
	}
	return "", notFound(name, "not found in PATH")
}

// executable checks that a file can be executed, by the rules for the user that asks.
func (s *startup) executable(file, name string) error {
	at := file
	if s.Chdir != "" && !path.IsAbs(file) {
		at = filepath.Join(s.Chdir, file)
	}
	info, err := os.Stat(at)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		return notFound(file, "no such file")
	case err != nil:
		return cannotExecute(file, text.Reason(err), explain.File{Path: at}.Access(), err)
	case info.IsDir():
		return cannotExecute(file, "is a directory", "name the program in it", syscall.EISDIR)
	}
	if err := unix.Access(at, unix.X_OK); err != nil {
		return cannotExecute(file, text.Reason(err), explain.File{Path: at}.Access(), err)
	}
	return nil
}

func notFound(name, problem string) error {
	return &Error{
		Subject: name,
		Problem: problem,
		Next:    "is it in this image, spelled so, and its directory in PATH?",
		Code:    ExitNotFound,
		Err:     fs.ErrNotExist,
	}
}

func cannotExecute(name, problem, hint string, err error) error {
	return &Error{Subject: name, Problem: "cannot be executed: " + problem, Next: hint, Code: ExitCannotExecute, Err: err}
}

// commandEnviron is what COMMAND gets: what is passed to it, but in files what is to stand there.
func (s *startup) commandEnviron() *environ.Environ { return s.withFiles(s.passedEnviron()) }

// passedEnviron is everything, or with Pristine what was resolved and what is passed.
func (s *startup) passedEnviron() *environ.Environ {
	env := s.env.Clone()
	if s.Pristine {
		env.DropOpaque()
		for name := range s.env.Each {
			if !s.passes(name) {
				env.Unset(name)
			}
		}
	}
	return env
}

// passes tells whether Pristine lets a name through to COMMAND.
func (s *startup) passes(name string) bool {
	if _, decided := s.resolved[name]; decided {
		return true
	}
	if _, fromFile := s.envFile[name]; fromFile {
		return true
	}
	switch name {
	case "PATH", "HOME", "TERM", "LANG", "TZ":
		return true
	}
	return matches(s.Pass, name)
}

// exec executes COMMAND in place of the harness. It returns only when that fails or a signal came first.
func (s *startup) exec(command []string) error {
	file, env, err := s.lookUpCommand(command)
	if err != nil {
		return err
	}
	s.children.Release()
	child.ReapOrphans()
	s.writeTimeline(command[0])
	if s.stuck != nil {
		return s.stuck // the last look for signals takes every thread
	}
	child.KeepOpen(s.inherited)
	return s.user.Run(func() error { return s.execUnlessSignalled(file, command, env.List()) })
}

// lookUpCommand finds COMMAND's file with the environment that it will get.
func (s *startup) lookUpCommand(command []string) (file string, env *environ.Environ, err error) {
	if s.user != nil {
		if _, resolved := s.resolved["HOME"]; !resolved {
			s.env.Set("HOME", s.user.Home)
		}
	}
	err = s.user.Run(func() (err error) {
		file, err = s.lookUp(command[0])
		return err
	})
	return file, s.commandEnviron(), err
}

// execUnlessSignalled makes the process COMMAND, unless a signal came first.
func (s *startup) execUnlessSignalled(file string, argv, env []string) error {
	if err := s.chdir(); err != nil {
		return err
	}
	if sig := s.signalBeforeExec(); sig != 0 {
		return &signalError{sig}
	}
	return s.execve(file, argv, env)
}

// execve is the last step. Everything after it is COMMAND's.
func (s *startup) execve(file string, argv, env []string) error {
	deadline := time.Now().Add(child.BusyFor)
	for {
		err := syscall.Exec(file, argv, env)
		if !errors.Is(err, syscall.ETXTBSY) || time.Now().After(deadline) {
			return explainCommand(file, argv, env, err)
		}
		time.Sleep(time.Millisecond)
	}
}

// explainCommand says why execve(2) refused COMMAND.
func explainCommand(file string, argv, env []string, err error) error {
	problem, hint := explain.File{Path: file}.Exec(argv, env, err)
	return cannotExecute(argv[0], problem, hint, err)
}

// chdir goes to COMMAND's working directory, as COMMAND's user.
func (s *startup) chdir() error {
	if s.Chdir == "" {
		return nil
	}
	if err := os.Chdir(s.Chdir); err != nil {
		return noDirectory(s.Chdir, err)
	}
	return nil
}

// checkDirectory finds what chdir would fail at; empty is no directory to go to.
func checkDirectory(dir string) error {
	if dir == "" {
		return nil
	}
	info, err := os.Stat(dir)
	switch {
	case err != nil:
		return noDirectory(dir, err)
	case !info.IsDir():
		return noDirectory(dir, syscall.ENOTDIR)
	}
	if err := unix.Access(dir, unix.X_OK); err != nil {
		return noDirectory(dir, err)
	}
	return nil
}

func noDirectory(dir string, err error) error {
	return &Error{Subject: dir, Problem: "cannot be the working directory (--chdir): " + text.Reason(err), Next: "name a directory that COMMAND's user may enter", Err: err}
}

// endHeld waits for the long-running hooks of /environment: without Init they have given their one value and
// were told to end.
func (s *startup) endHeld() {
	s.children.AwaitEnded()
}
