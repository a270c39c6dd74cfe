package main

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/envharness/envharness/harness"
	"github.com/envharness/envharness/internal/cli"
	"github.com/envharness/envharness/internal/cli/clitest"
)

// TestMisuse: a value that an option cannot have is told as such.
func TestMisuse(t *testing.T) {
	t.Parallel()
	line := commandLine(nil)
	line.Commands = commands(newSettings(), nil)
	clitest.Misuse{
		Program: line,
		Usage:   harness.ExitStartup,
		Once:    true,
		Accepts: map[string][]string{
			"environment":         clitest.NotEmpty,
			"export":              clitest.NotEmpty,
			"secrets":             clitest.NotEmpty,
			"cache":               clitest.NotEmpty,
			"env-file":            clitest.Nothing,
			"require":             clitest.Empty,
			"pass":                clitest.Anything,
			"as-file":             clitest.Anything,
			"files":               clitest.Nothing,
			"prepare":             clitest.Nothing,
			"user":                clitest.Nothing,
			"chdir":               clitest.Nothing,
			"stop-signal":         clitest.Empty,
			"signal-map":          clitest.Empty,
			"expect-exit":         clitest.Empty,
			"parent-death-signal": clitest.Empty,
			"socket":              clitest.NotEmpty,
			"write":               clitest.NotEmpty,
			"on-change":           clitest.Nothing,
			"ready":               clitest.Nothing,
			"health":              clitest.Nothing,
			"timeline-svg":        clitest.NotEmpty,
			"print output":        clitest.NotEmpty,
			"print format":        clitest.Nothing,
			"status format":       clitest.Nothing,
		},
		Run: func(t *testing.T, c cli.Command, o cli.Option, value string) (int, string) {
			words := []string{"--" + o.Name + "=" + value}
			switch c.Name {
			case "":
				words = append([]string{"--init", "--socket=socket", "--environment=none", "--export=none"}, append(words, "--", "true")...)
			case "exec":
				words = append(append([]string{c.Name, "--environment=none"}, words...), "--", "true")
			case "diff":
				words = append([]string{c.Name}, append(words, "none", "none")...)
			default:
				words = append([]string{c.Name}, words...)
			}
			cmd := exec.Command("envharness", words...)
			cmd.Dir, cmd.Env = t.TempDir(), []string{"PATH=" + os.Getenv("PATH")}
			require.NoError(t, os.Mkdir(cmd.Dir+"/none", 0o755))
			var told strings.Builder
			cmd.Stderr = &told
			if err := cmd.Run(); err != nil {
				require.True(t, errors.As(err, new(*exec.ExitError)), err)
			}
			return cmd.ProcessState.ExitCode(), told.String()
		},
		Meant: func(c cli.Command, code int, stderr string) bool {
			finding := c.Name == "check" && code == 1
			return code == 0 || finding || strings.Contains(stderr, "no harness answers")
		},
	}.Test(t)
}
