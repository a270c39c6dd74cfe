//go:build linux

package main_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestOtherPlatforms: 32 bit, and an emulator that has no pidfd (qemu-user up to 7.2), where exits are looked for.
func TestOtherPlatforms(t *testing.T) {
	if testing.Short() && skipsAllowed() {
		t.Skip("left out of go test -short: it takes three builds")
	}
	t.Parallel()
	for name, platform := range map[string]struct{ arch, emulator string }{
		"32 bit":              {"386", ""},
		"emulated":            {"arm64", "qemu-aarch64-static"},
		"emulated and 32 bit": {"arm", "qemu-arm-static"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if platform.emulator != "" {
				need(t, platform.emulator)
			} else if runtime.GOARCH != "amd64" {
				t.Skip("only amd64 runs 386 programs")
			}
			dir := tree(t, map[string]string{
				"environment/A": "#!/bin/sh\necho a\n",
				"good/web":      "#!/bin/sh\nexit 0\n",
				"bad/web":       "#!/bin/sh\nexit 3\n",
			})
			binary := filepath.Join(dir, "envharness")
			build := exec.Command("go", "build", "-trimpath", "-tags", "urfave_cli_no_docs,grpcnotrace", "-o", binary, ".") // as lint compiles
			build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOARCH="+platform.arch)
			output, err := build.CombinedOutput()
			require.NoError(t, err, "%s", output)
			for _, options := range [][]string{nil, {"--init", "--socket", "control"}} {
				for export, code := range map[string]int{"good": 7, "bad": 125} {
					words := append([]string{binary}, options...)
					words = append(words, "--environment", "environment", "--export", export, "sh", "-c", `[ "$A" = a ] && exit 7`)
					if platform.emulator != "" {
						words = append([]string{platform.emulator}, words...)
					}
					result := run(t, command(t, dir, words[0], words[1:]...))
					require.Equal(t, code, result.code, "%v: %s", words, result.stderr)
				}
			}
		})
	}
}
