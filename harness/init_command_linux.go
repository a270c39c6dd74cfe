package harness

import (
	"os"
	"runtime"
	"slices"
	"strconv"
	"syscall"

	"github.com/envharness/envharness/harness/internal/child"
)

// startCommand starts COMMAND as a child in a process group of its own, in front of the terminal if it is to
// be. exit gets its status.
func (s *startup) startCommand(command, extra []string, inFront bool, exit chan<- syscall.WaitStatus) (*child.Process, error) {
	file, env, err := s.lookUpCommand(command)
	if err != nil {
		return nil, err
	}
	for _, entry := range extra {
		env.add(entry)
	}
	l := child.Launch{Path: file, Argv: command, Env: env.list(), Dir: s.Chdir, Files: s.commandFiles()}
	l.Sys = &syscall.SysProcAttr{Setpgid: true}
	if s.user != nil {
		l.Sys.Credential = s.user.credential()
	}
	if inFront || os.Getenv("LISTEN_PID") == strconv.Itoa(os.Getpid()) {
		l.Path, l.Argv = "/proc/self/exe", append([]string{StageName, file}, command...)
	}
	p, err := s.children.StartCommand(l, exit)
	if err != nil {
		return nil, explainCommand(file, command, l.Env, err)
	}
	return p, nil
}

// commandFiles are 0 to 2 and the inherited descriptors, each under its own number.
func (s *startup) commandFiles() []uintptr {
	s.closeInherited()
	files := []uintptr{0, 1, 2}
	if len(s.inherited) > 0 {
		const closed = ^uintptr(0)
		for fd := len(files); fd <= slices.Max(s.inherited); fd++ {
			files = append(files, closed)
		}
		for _, fd := range s.inherited {
			files[fd] = uintptr(fd)
		}
	}
	return files
}

func (u *commandUser) credential() *syscall.Credential {
	groups := make([]uint32, len(u.Groups))
	for i, g := range u.Groups {
		groups[i] = uint32(g)
	}
	return &syscall.Credential{Uid: uint32(u.UID), Gid: uint32(u.GID), Groups: groups}
}

// StageName is argv[0] of the stage between the harness and COMMAND, see Stage.
const StageName = "envharness-command"

// Stage is what the harness's binary does when its argv[0] is StageName: what can be done only by the process
// that will be COMMAND. It takes the terminal for its process group, gives LISTEN_PID (sd_listen_fds(3)) its
// own number, and executes args[1] with the words after it. It returns when that fails.
func Stage(args []string) error {
	runtime.LockOSThread()
	giveTerminal(syscall.Getpgrp())
	env := newEnviron(os.Environ())
	if env.has("LISTEN_PID") {
		env.set("LISTEN_PID", strconv.Itoa(os.Getpid()))
	}
	err := syscall.Exec(args[1], args[2:], env.list())
	return explainCommand(args[1], args[2:], env.list(), err)
}
