package harness

import (
	"errors"
	"os"
	"syscall"
	"time"

	"github.com/envharness/envharness/harness/internal/child"
	"github.com/envharness/envharness/harness/internal/explain"
	"github.com/envharness/envharness/internal/text"
)

// exec executes COMMAND in place of the harness. It returns only when that fails or a signal came first.
func (s *startup) exec(command []string) error {
	file, env, err := s.lookUpCommand(command)
	if err != nil {
		return err
	}
	s.children.Release()
	child.ReapOrphans()
	s.writeTimeline(command[0])
	child.KeepOpen(s.inherited)
	return s.user.Run(func() error { return s.execUnlessSignalled(file, command, env.list()) })
}

// lookUpCommand finds COMMAND's file with the environment that it will get.
func (s *startup) lookUpCommand(command []string) (file string, env *environ, err error) {
	if s.user != nil {
		if _, resolved := s.resolved["HOME"]; !resolved {
			s.env.set("HOME", s.user.Home)
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
	problem, hint := explain.Exec(file, argv, env, err)
	return cannotExecute(argv[0], problem, hint, err)
}

// chdir goes to COMMAND's working directory, as COMMAND's user.
func (s *startup) chdir() error {
	if s.Chdir == "" {
		return nil
	}
	if err := os.Chdir(s.Chdir); err != nil {
		return &Error{Subject: s.Chdir, Problem: "cannot be the working directory (--chdir): " + text.Reason(err), Next: "name a directory that COMMAND's user may enter", Err: err}
	}
	return nil
}

// endHeld waits for the held executables of /environment: without Init they have given their one value and
// were told to end.
func (s *startup) endHeld() {
	s.children.AwaitEnded()
}
