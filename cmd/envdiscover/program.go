package main

import (
	"io"
	"os"

	"golang.org/x/term"

	"github.com/envharness/envharness/internal/cli"
	"github.com/envharness/envharness/internal/sdnotify"
)

// program is what a run of envdiscover sees of the world.
type program struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	terminal       bool // stdout is one, so a person reads it
	lookupEnv      func(string) (string, bool)
	notifySocket   string // of sd_notify(3), or empty

	url     string      // of the registry, if an option names one
	words   []string    // the command line, without the program's name
	current cli.Command // the one that runs
}

// newProgram looks at the world. NOTIFY_SOCKET is taken out of the environment: what envdiscover starts is not
// who is asked to say READY=1.
func newProgram() *program {
	p := &program{
		stdin:        os.Stdin,
		stdout:       os.Stdout,
		stderr:       os.Stderr,
		terminal:     term.IsTerminal(int(os.Stdout.Fd())),
		lookupEnv:    os.LookupEnv,
		notifySocket: os.Getenv(sdnotify.Variable),
	}
	os.Unsetenv(sdnotify.Variable)
	return p
}

func (p *program) getenv(name string) string {
	value, _ := p.lookupEnv(name)
	return value
}
