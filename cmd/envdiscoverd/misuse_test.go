package main

import (
	"io"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/envharness/envharness/internal/cli"
	"github.com/envharness/envharness/internal/cli/clitest"
)

// TestMisuse: a value that an option cannot have is told as such, and before anything is opened.
func TestMisuse(t *testing.T) {
	open := t.TempDir() // to others, so that no registry starts
	require.NoError(t, os.Chmod(open, 0o755))
	clitest.Misuse{
		Program: commandLine(),
		Usage:   exitUsage,
		Accepts: map[string][]string{
			"data":           {"", "nonsense", "-1", "9999999999999999999"},
			"etcd":           clitest.Empty,
			"listen":         clitest.Nothing,
			"bridge":         {"nonsense", "-1"},
			"cert":           clitest.Empty,
			"key":            clitest.Empty,
			"ca":             clitest.Empty,
			"host":           {"nonsense", "-1", "9999999999999999999"},
			"registry":       clitest.Empty,
			"variable":       {"", "nonsense", "-1", "9999999999999999999"},
			"host-ip":        clitest.Empty,
			"host-id":        {"", "nonsense", "9999999999999999999"},
			"realm":          {"", "nonsense", "9999999999999999999"},
			"prefix":         {"", "nonsense", "-1", "9999999999999999999"},
			"docker-url":     clitest.Empty,
			"docker-address": clitest.Empty,
			"docker-allow":   clitest.Anything,
		},
		Run: func(t *testing.T, _ cli.Command, o cli.Option, value string) (int, string) {
			words := []string{"--docker", "--host-ip=10.0.0.5", "--listen=127.0.0.1:0", "--data=" + open}
			switch {
			case o.Name == "data" && value != "1h\n":
				return exitFailure, "cannot open the data" // a registry would start
			case o.Name == "etcd" && value != "":
				words = words[:3]
			}
			var told strings.Builder
			line := commandLine()
			line.Stdout, line.Stderr = io.Discard, &told
			err := line.Run(append(words, "--"+o.Name+"="+value))
			line.Report(explain(err))
			return exitCode(err), told.String()
		},
		Meant: func(_ cli.Command, _ int, stderr string) bool {
			return strings.Contains(stderr, "cannot open the data")
		},
	}.Test(t)
}
