package main

import (
	"os"

	"github.com/envharness/envharness/harness"
	"github.com/envharness/envharness/internal/cli"
)

// stage does the work between --init and COMMAND, when that is what this process was started for.
func stage() (code int, is bool) {
	if os.Args[0] != harness.StageName {
		return 0, false
	}
	return finish(&cli.Program{Name: "envharness", Stderr: os.Stderr}, harness.Stage(os.Args)), true
}
