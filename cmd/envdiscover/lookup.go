package main

import (
	"errors"
	"io/fs"
	"os/exec"

	"github.com/envharness/envharness/internal/failure"
	"github.com/envharness/envharness/internal/text"
)

// The exit codes of a PROGRAM that cannot be run, as of a shell.
const (
	exitNotExecutable = 126
	exitNoProgram     = 127
)

// lookUp finds the file of a PROGRAM, before anything is asked of a registry for it. The error has the exit code
// that a shell gives.
func lookUp(word string) (path string, err error) {
	path, err = exec.LookPath(word)
	switch {
	case err == nil:
		return path, nil
	case errors.Is(err, exec.ErrDot):
		return "", cannotRun(word, "is found in the current directory alone", "write ./"+text.ShellQuote(word)+" if that is meant", exitNoProgram, err)
	case errors.Is(err, exec.ErrNotFound):
		return "", cannotRun(word, "not found in PATH", "is it in this image, spelled so, and its directory in PATH?", exitNoProgram, err)
	case errors.Is(err, fs.ErrNotExist):
		return "", cannotRun(word, "no such file", "is it in this image, and spelled so? A relative path begins at the current directory", exitNoProgram, err)
	case errors.Is(err, fs.ErrPermission):
		return "", cannotRun(word, "cannot be executed: permission denied", "chmod +x "+text.ShellQuote(word)+", as a user who may", exitNotExecutable, err)
	}
	return "", cannotRun(word, "cannot be executed: "+text.Reason(err), "name a program's file", exitNotExecutable, err)
}

func cannotRun(word, problem, hint string, code int, err error) error {
	return &failure.Error{Subject: word, Problem: problem, Next: hint, Code: code, Err: err}
}

// lookUpHelper is lookUp for a command whose own exit code does not tell the PROGRAM's.
func lookUpHelper(word string) error {
	if _, err := lookUp(word); err != nil {
		return failed(err, exitFailure, "")
	}
	return nil
}
