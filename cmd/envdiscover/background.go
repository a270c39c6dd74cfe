package main

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"syscall"
)

// backgroundVariable tells an envdiscover that it is the one in the background: the number of a descriptor
// that it writes to when the announcement is made.
const backgroundVariable = "ENVDISCOVER_BACKGROUND_FD"

func (c *call) inBackground() bool { return c.getenv(backgroundVariable) != "" }

// goToBackground starts this same command line in a session of its own and returns once it has announced the
// service. It holds the registration for --pid, else for this process's parent, and keeps stderr alone.
func (c *call) goToBackground(process *int) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	ready, write, err := os.Pipe()
	if err != nil {
		return err
	}
	defer ready.Close()
	words := slices.Clone(c.words)
	if process == nil {
		words = append([]string{"--pid=" + strconv.Itoa(os.Getppid())}, words...)
	}
	cmd := exec.Command(self, words...)
	cmd.Env = append(os.Environ(), backgroundVariable+"=3")
	cmd.Stderr = os.Stderr
	cmd.ExtraFiles = []*os.File{write}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = cmd.Start()
	write.Close()
	if err != nil {
		return err
	}
	if _, err := io.ReadFull(ready, make([]byte, 1)); err == nil {
		return cmd.Process.Release()
	}
	if exit := new(exec.ExitError); errors.As(cmd.Wait(), &exit) && exit.ExitCode() > 0 {
		return silent{exit.ExitCode()} // it has said why
	}
	return errors.New("the process in the background ended before it had announced the service")
}

// tellForeground says that the announcement is made.
func (c *call) tellForeground() {
	fd, err := strconv.Atoi(c.getenv(backgroundVariable))
	if err != nil {
		return
	}
	pipe := os.NewFile(uintptr(fd), "foreground")
	defer pipe.Close()
	if _, err := pipe.Write([]byte{'\n'}); err != nil {
		c.Log.Debug("nobody waits in the foreground", "error", err)
	}
}
