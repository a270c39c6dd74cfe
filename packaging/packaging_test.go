//go:build linux

// Package packaging_test tries everything that `make dist` makes, on what this machine can run: the archives, the
// packages by the real package managers over an overlay of this machine, the images in a Docker engine.
package packaging_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/envharness/envharness/internal/testservers"
)

// A version that nobody has an image of.
var number = fmt.Sprintf("0.9.9-rc.%d", os.Getpid())

var programs = []string{"envharness", "envdiscover", "envdiscoverd"}

// shared is what all tests look at: it is made once, by the first that needs it.
var shared struct {
	sync.Once
	directory string // of the release
	clone     string
	problem   string
}

func TestMain(m *testing.M) {
	code := m.Run()
	if shared.clone != "" {
		_ = os.RemoveAll(filepath.Dir(shared.clone))
	}
	os.Exit(code)
}

// release is the directory with a release for amd64 and arm64.
func release(t *testing.T) string {
	t.Helper()
	testservers.Slow(t, "a build for two platforms")
	shared.Do(func() {
		parent, err := os.MkdirTemp("", "packaging-test")
		require.NoError(t, err)
		shared.clone = filepath.Join(parent, "clone")
		shared.problem = "the build before failed"
		clone(t, shared.clone)
		dist(t, shared.clone, "linux/amd64,linux/arm64")
		shared.directory, shared.problem = filepath.Join(shared.clone, "dist"), ""
	})
	require.Empty(t, shared.problem)
	return shared.directory
}

// clone commits the working tree as it is, so that a change is tried before it is committed.
func clone(t *testing.T, directory string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(directory, 0o755))
	if err := exec.Command("git", "rev-parse", "--show-toplevel").Run(); err != nil {
		t.Skip("the source is no git checkout, which a release is made of")
	}
	output(t, "sh", "-euc", `cd "$(git rev-parse --show-toplevel)"
		git ls-files -z --cached --others --exclude-standard |
			xargs -0 sh -c 'for name; do [ ! -e "$name" ] || printf "%s\0" "$name"; done' sh |
			xargs -0 cp --parents --target-directory "$0"`, directory)
	git := func(words ...string) {
		cmd := exec.Command("git", append([]string{"-C", directory, "-c", "user.name=a", "-c", "user.email=a@example.org"}, words...)...)
		cmd.Env = append(os.Environ(), "GIT_AUTHOR_DATE=2026-01-02T03:04:05Z", "GIT_COMMITTER_DATE=2026-01-02T03:04:05Z", "GIT_CONFIG_GLOBAL=/dev/null")
		text, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", text)
	}
	git("init", "--quiet")
	git("add", ".")
	git("commit", "--quiet", "--message", "A release")
	git("tag", "v"+number)
}

// dist is make dist.
func dist(t *testing.T, directory, platforms string, settings ...string) {
	t.Helper()
	cmd := exec.Command("make", "dist", "PLATFORMS="+platforms)
	cmd.Dir = directory
	cmd.Env = append(os.Environ(), settings...)
	text, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", text)
}

// output runs a command and gives its stdout.
func output(t *testing.T, name string, words ...string) string {
	t.Helper()
	var stderr strings.Builder
	cmd := exec.Command(name, words...)
	cmd.Stderr = &stderr
	text, err := cmd.Output()
	require.NoError(t, err, "%s %q: %s%s", name, words, text, &stderr)
	return string(text)
}

func need(t *testing.T, name string) {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		testservers.Missing(t, name, "make install-test-tools")
	}
}

func TestReproducible(t *testing.T) {
	first := release(t)
	second := filepath.Join(t.TempDir(), "somewhere", "else")
	output(t, "git", "clone", "--quiet", shared.clone, second)
	dist(t, second, "linux/arm64", "TZ=Asia/Tokyo", "LC_ALL=C", "GOFLAGS=-v", "GOARM64=v8.1", "SOURCE_DATE_EPOCH=1")
	second = filepath.Join(second, "dist")
	entries, err := os.ReadDir(second)
	require.NoError(t, err)
	require.Greater(t, len(entries), 15)
	for _, entry := range entries {
		name := entry.Name()
		if name == "SHA256SUMS" { // has a line for each platform
			sums, err := os.ReadFile(filepath.Join(first, name))
			require.NoError(t, err)
			lines := strings.Split(string(sums), "\n")
			again, err := os.ReadFile(filepath.Join(second, name))
			require.NoError(t, err)
			for line := range strings.SplitSeq(string(again), "\n") {
				if !strings.Contains(line, "_oci.tar") {
					require.Contains(t, lines, line)
				}
			}
			continue
		}
		if !strings.HasSuffix(name, "_oci.tar") {
			output(t, "cmp", filepath.Join(first, name), filepath.Join(second, name))
			continue
		}
		blobs := listing(t, filepath.Join(first, name)) // named by their digests
		for _, blob := range listing(t, filepath.Join(second, name)) {
			if !isIndex(t, filepath.Join(second, name), blob) {
				require.Contains(t, blobs, blob)
			}
		}
	}
}

// isIndex tells the files of a layout that list the platforms.
func isIndex(t *testing.T, archive, name string) bool {
	return strings.HasSuffix(name, "/") || name == "index.json" ||
		strings.Contains(output(t, "tar", "--extract", "--to-stdout", "--file", archive, name), `"mediaType":"application/vnd.oci.image.index`)
}

func listing(t *testing.T, archive string) []string {
	t.Helper()
	return strings.Fields(output(t, "tar", "--list", "--file", archive))
}

func TestSums(t *testing.T) {
	directory := release(t)
	cmd := exec.Command("sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS")
	cmd.Dir = directory
	text, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", text)
	entries, err := os.ReadDir(directory)
	require.NoError(t, err)
	sums, err := os.ReadFile(filepath.Join(directory, "SHA256SUMS"))
	require.NoError(t, err)
	require.Equal(t, len(entries)-1, strings.Count(string(sums), "\n"))
}

// checkTree looks for what each program comes with, below a directory as /usr/local.
func checkTree(t *testing.T, directory string, names ...string) {
	t.Helper()
	for _, name := range names {
		page := "share/man/man1/" + name + ".1.gz"
		if name == "envdiscoverd" {
			page = "share/man/man8/" + name + ".8.gz"
		}
		for _, path := range []string{
			"bin/" + name, page, "share/bash-completion/completions/" + name,
			"share/fish/vendor_completions.d/" + name + ".fish", "share/doc/" + name + "/copyright",
		} {
			require.FileExists(t, filepath.Join(directory, path))
		}
		copyright, err := os.ReadFile(filepath.Join(directory, "share/doc", name, "copyright"))
		require.NoError(t, err)
		require.Contains(t, string(copyright), "\n  github.com/urfave/cli/v2 v")
		require.Contains(t, string(copyright), "The Go Authors")
	}
}

// checkVersion runs a program, by an emulator or without.
func checkVersion(t *testing.T, words ...string) {
	t.Helper()
	commit := strings.TrimSpace(output(t, "git", "-C", shared.clone, "rev-parse", "--short=12", "HEAD"))
	require.Contains(t, output(t, words[0], append(words[1:], "--version")...), "v"+number+" ("+commit+", go1.")
}

func TestArchives(t *testing.T) {
	directory := release(t)
	for _, platform := range []struct{ arch, emulator string }{{"amd64", ""}, {"arm64", "qemu-aarch64-static"}} {
		t.Run(platform.arch, func(t *testing.T) {
			local := t.TempDir()
			output(t, "tar", "--extract", "--file", filepath.Join(directory, "envharness_"+number+"_linux_"+platform.arch+".tar.gz"), "--directory", local, "--strip-components", "1")
			checkTree(t, local, programs...)
			for _, path := range []string{"LICENSE", "README.md", "CHANGELOG.md", "share/zsh/site-functions/_envharness", "lib/systemd/system/envdiscoverd.service"} {
				require.FileExists(t, filepath.Join(local, path))
			}
			for _, name := range programs {
				words := []string{filepath.Join(local, "bin", name)}
				if platform.emulator != "" {
					need(t, platform.emulator)
					words = append([]string{platform.emulator}, words...)
				}
				checkVersion(t, words...)
			}
		})
	}
}

func TestBillOfMaterials(t *testing.T) {
	directory := release(t)
	text, err := os.ReadFile(filepath.Join(directory, "envharness_"+number+"_linux_amd64.cdx.json"))
	require.NoError(t, err)
	var bill struct {
		BOMFormat    string
		SerialNumber string
		Metadata     struct {
			Timestamp time.Time
			Component struct{ Name, Version string }
		}
		Components []struct {
			Name     string
			Hashes   []any
			Licenses []any
			Evidence struct{ Licenses []any }
		}
	}
	require.NoError(t, json.Unmarshal(text, &bill))
	require.Equal(t, "CycloneDX", bill.BOMFormat)
	require.Equal(t, time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), bill.Metadata.Timestamp)
	require.Equal(t, "envharness", bill.Metadata.Component.Name)
	require.Equal(t, "v"+number, bill.Metadata.Component.Version)
	var names []string
	for _, component := range bill.Components {
		names = append(names, component.Name)
		if component.Name == "github.com/joho/godotenv" {
			require.NotEmpty(t, component.Hashes)
			require.NotEmpty(t, append(component.Licenses, component.Evidence.Licenses...))
		}
	}
	require.Subset(t, names, []string{"github.com/joho/godotenv", "github.com/hashicorp/go-multierror", "std"})
	require.NotContains(t, names, "go.etcd.io/bbolt")
}

// TestUnit lets systemd read the unit of the packages, and keeps it to the one of the examples.
func TestUnit(t *testing.T) {
	need(t, "systemd-analyze")
	unit, err := os.ReadFile("envdiscoverd.service")
	require.NoError(t, err)
	example, err := os.ReadFile("../examples/envdiscoverd/envdiscoverd.service")
	require.NoError(t, err)
	_, confinement, found := strings.Cut(string(unit), "\nStateDirectory=")
	require.True(t, found)
	require.Contains(t, string(example), "\nStateDirectory="+confinement, "the two units confine alike")

	const command = "ExecStart=/usr/bin/envdiscoverd\n"
	require.Contains(t, string(unit), command)
	readable := strings.ReplaceAll(string(unit), command, "ExecStart="+os.Args[0]+"\n")
	for _, user := range []string{"User=", "Group="} { // of nobody on this machine
		readable = strings.ReplaceAll(readable, user+"envdiscoverd", user+"daemon")
	}
	path := filepath.Join(t.TempDir(), "envdiscoverd.service")
	require.NoError(t, os.WriteFile(path, []byte(readable), 0o644))
	text, err := exec.Command("systemd-analyze", "verify", "--man=no", path).CombinedOutput()
	require.NoError(t, err, "%s", text)
	require.NotContains(t, string(text), "envdiscoverd.service")
}
