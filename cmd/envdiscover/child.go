package main

import (
	"os"
	"os/exec"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// child is a PROGRAM that runs beside this process, which passes signals on to it. It is in a process group of its
// own; but who stands in the foreground of a terminal shares its group with it, so that it can read there, and the
// terminal's signals reach it without help.
type child struct {
	pid    int
	shared bool       // the process group
	ended  chan error // receives what exec.Cmd's Wait gives
}

// startChild starts a program that dies with this process, where the system can do that.
func startChild(path string, words, env []string) (*child, error) {
	cmd := exec.Command(path, words[1:]...)
	cmd.Args[0], cmd.Env = words[0], env
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	c := &child{shared: inForeground(), ended: make(chan error, 1)}
	cmd.SysProcAttr = dyingWithUs(!c.shared)
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // the kernel takes the end of the thread that has started it for ours
		err := cmd.Start()
		started <- err
		if err == nil {
			c.ended <- cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	c.pid = cmd.Process.Pid
	return c, nil
}

// signal sends a signal to the program, and to all of its group.
func (c *child) signal(s syscall.Signal) {
	pid := c.pid
	if !c.shared {
		pid = -pid
	}
	_ = syscall.Kill(pid, s)
}

// forward passes a signal on that this process has got, unless the terminal sends it to both.
func (c *child) forward(s syscall.Signal) {
	if c.shared && (s == syscall.SIGINT || s == syscall.SIGQUIT) {
		return
	}
	_ = syscall.Kill(c.pid, s)
}

// inForeground tells whether this process's group is the one that a terminal's keys signal.
func inForeground() bool {
	tty, err := os.Open("/dev/tty")
	if err != nil {
		return false
	}
	defer tty.Close()
	group, err := unix.IoctlGetInt(int(tty.Fd()), unix.TIOCGPGRP)
	return err == nil && group == unix.Getpgrp()
}
