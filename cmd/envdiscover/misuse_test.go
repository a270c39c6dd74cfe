package main

import (
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/envharness/envharness/internal/cli"
	"github.com/envharness/envharness/internal/cli/clitest"
)

// TestMisuse: a value that an option cannot have is told as such, and before anything is asked of a registry.
func TestMisuse(t *testing.T) {
	const readOnly = "dns://127.0.0.1:1/zone"
	base := map[string][]string{ // how commands end by themselves
		"get":        {"X"},
		"put":        {"X", "value"},
		"rm":         {"X"},
		"instances":  {"web"},
		"url":        {"web"},
		"wait":       {"web", "--timeout=1ms"},
		"watch":      {"web", "--url=" + readOnly, "--", "not-there"},
		"direct":     {"web", "--value=X", "--url=" + readOnly, "--", "true"},
		"lock":       {"name", "--url=" + readOnly, "--", "true"},
		"register":   {"web", "--url=" + readOnly, "--host=10.0.0.5"},
		"check":      {"exec", "true"},
		"completion": {"bash"},
	}
	run := func(words ...string) (code int, stderr string) {
		var told strings.Builder
		nothing := func(string) (string, bool) { return "", false }
		p := &program{stdin: strings.NewReader(""), stdout: io.Discard, stderr: &told, lookupEnv: nothing}
		return p.run(words), told.String()
	}
	clitest.Misuse{
		Program: newProgram().commandLine(),
		Usage:   exitUsage,
		Accepts: map[string][]string{
			"default":          clitest.Anything,
			"default-on-error": clitest.Anything,
			"shard":            clitest.Anything,
			"tag":              clitest.Anything,
			"scheme":           clitest.Anything,
			"path":             clitest.Anything,
			"if-unchanged":     clitest.Anything,
			"id":               clitest.Anything,
			"user":             clitest.Anything,
			"value":            {"nonsense"},
			"url":              clitest.Empty,
			"host":             {"", "nonsense", "-1", "9999999999999999999"},
			"private-host":     {"", "nonsense", "-1", "9999999999999999999"},
			"interface":        clitest.Empty,
			"password-file":    clitest.Empty,
			"check":            clitest.Empty,
			"port":             clitest.Nothing,
			"private-port":     clitest.Nothing,
			"metadata":         clitest.Nothing,
			"pid":              clitest.Nothing,
		},
		Run: func(t *testing.T, c cli.Command, o cli.Option, value string) (int, string) {
			option := "--" + o.Name + "="
			if o.Name == "url" && value == "" {
				return 0, "" // another registry is asked then, see testdata/default-registry.txt
			}
			words := slices.DeleteFunc(slices.Clone(base[c.Name]), func(word string) bool { return strings.HasPrefix(word, option) })
			if i := slices.Index(words, "not-there"); i >= 0 && o.Name == "url" {
				words[i] = "true" // which is found, so that the URL counts
			}
			if !c.Alone && o.Name != "url" && !slices.Contains(words, "--url="+readOnly) {
				words = append([]string{"--url=memory://"}, words...)
			}
			return run(append([]string{c.Name, option + value}, words...)...)
		},
		Meant: func(c cli.Command, code int, stderr string) bool { return code != exitUsage },
	}.Test(t)
}
