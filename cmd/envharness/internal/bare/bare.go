// Package bare knows the command line that is nothing but COMMAND, as in most images: ENTRYPOINT ["envharness","--"].
//
// Importing it executes COMMAND where there is nothing else to do, before the packages are initialised that read
// options: Go initialises packages in the order of their names, once what they import is.
package bare

import (
	"os"
	"slices"
	"strings"

	"github.com/envharness/envharness/harness/direct"
)

// Prefix is that of the variables that options are read from.
const Prefix = "ENVHARNESS"

// Subcommands are the words that are no COMMAND when they come first.
var Subcommands = []string{"print", "exec", "check", "diff", "install", "notify", "status", "ready", "drain", "resume"}

func init() {
	// Under another name it is the harness's own stage between --init and COMMAND, or a test of this program.
	if len(os.Args) == 0 || os.Args[0] != "envharness" && !strings.HasSuffix(os.Args[0], "/envharness") {
		return
	}
	if command := Command(os.Args[1:]); len(command) > 0 {
		direct.Exec(command)
	}
}

// Command is COMMAND when the command line is nothing else and no variable sets an option.
func Command(args []string) []string {
	if len(args) > 0 && args[0] == "--" {
		args = args[1:]
	} else if len(args) > 0 && (strings.HasPrefix(args[0], "-") || slices.Contains(Subcommands, args[0])) {
		return nil
	}
	if slices.ContainsFunc(os.Environ(), func(entry string) bool { return strings.HasPrefix(entry, Prefix+"_") }) {
		return nil
	}
	return args
}
