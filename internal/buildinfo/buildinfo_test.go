package buildinfo

import (
	"archive/zip"
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestDescribe(t *testing.T) {
	const hash = "0123456789abcdef0123456789abcdef01234567"
	built := func(version, revision string) *debug.BuildInfo {
		return &debug.BuildInfo{
			Main:     debug.Module{Version: version},
			Settings: []debug.BuildSetting{{Key: "GOOS", Value: "linux"}, {Key: "vcs.revision", Value: revision}},
		}
	}
	for name, test := range map[string]struct {
		version, commit         string
		info                    *debug.BuildInfo
		wantVersion, wantCommit string
	}{
		"linker wins":          {"v1.0.0", "fedcba987654", built("v2.0.0", hash), "v1.0.0", "fedcba987654"},
		"linker's version":     {"v1.0.0", "", built("(devel)", hash), "v1.0.0", "0123456789ab"},
		"go build at a tag":    {"", "", built("v1.2.3", hash), "v1.2.3", "0123456789ab"},
		"go build, changed":    {"", "", built("v1.2.3+dirty", hash), "v1.2.3+dirty", "0123456789ab"},
		"go install":           {"", "", built("v1.2.3", ""), "v1.2.3", "unknown"},
		"go install of main":   {"", "", built("v1.2.4-0.20260102150405-fedcba987654", ""), "v1.2.4-0.20260102150405-fedcba987654", "fedcba987654"},
		"changed, no revision": {"", "", built("v0.0.0-20260102150405-fedcba987654+dirty", ""), "v0.0.0-20260102150405-fedcba987654+dirty", "fedcba987654"},
		"pre-release":          {"", "", built("v1.2.3-rc-012345678901", ""), "v1.2.3-rc-012345678901", "012345678901"},
		"short pre-release":    {"", "", built("v1.2.3-rc.1", ""), "v1.2.3-rc.1", "unknown"},
		"-buildvcs=false":      {"", "", built("(devel)", ""), "devel", "unknown"},
		"no information":       {"", "", new(debug.BuildInfo), "devel", "unknown"},
	} {
		t.Run(name, func(t *testing.T) {
			version, commit := describe(test.version, test.commit, test.info)
			require.Equal(t, test.wantVersion, version)
			require.Equal(t, test.wantCommit, commit)
		})
	}
}

// TestBinaries builds a program that prints String as a user may build it: in a repository of its own, as the
// one that the test runs in may be an archive without history.
func TestBinaries(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a program three times")
	}
	dir := t.TempDir()
	source, err := os.ReadFile("buildinfo.go")
	require.NoError(t, err)
	write := func(name, text string) {
		path := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
	}
	module := map[string]string{
		"go.mod":                 "module example.org/program\n\ngo 1.26\n",
		"main.go":                "package main\n\nimport \"example.org/program/buildinfo\"\n\nfunc main() { println(buildinfo.String()) }\n",
		"buildinfo/buildinfo.go": string(source),
	}
	for name, text := range module {
		write(name, text)
	}
	write(".gitignore", "program\n")
	run := func(words ...string) string {
		t.Helper()
		cmd := exec.Command(words[0], words[1:]...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GOFLAGS=", "GOWORK=off", "GIT_CONFIG_GLOBAL=/dev/null", "HOME="+t.TempDir(), "GOCACHE="+goCache(t))
		output, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", output)
		return strings.TrimSpace(string(output))
	}
	run("git", "init", "-q")
	run("git", "add", ".")
	run("git", "-c", "user.name=a", "-c", "user.email=a@example.org", "commit", "-qm", "a")
	run("git", "tag", "v1.2.3")
	commit := run("git", "rev-parse", "--short=12", "HEAD")
	for _, test := range []struct{ flag, want string }{
		{"-buildvcs=true", "v1.2.3 (" + commit},
		{"-buildvcs=false", "devel (unknown"},
		{"-ldflags=-s -w -X example.org/program/buildinfo.version=v9 -X example.org/program/buildinfo.commit=fed", "v9 (fed"},
	} {
		run("go", "build", test.flag)
		require.Equal(t, test.want+", "+runtime.Version()+")", run("./program"), test.flag)
	}

	for _, test := range []struct{ version, want string }{
		{"v1.2.3", "v1.2.3 (unknown"}, // a proxy gives files, and no commit
		{"v1.2.4-0.20260102150405-0123456789ab", "v1.2.4-0.20260102150405-0123456789ab (0123456789ab"},
	} {
		proxy, bin := t.TempDir(), t.TempDir()
		publish(t, proxy, test.version, module)
		run("env", "GOPROXY=file://"+proxy, "GONOSUMDB=*", "GOMODCACHE="+t.TempDir(), "GOFLAGS=-modcacherw", "GOBIN="+bin,
			"go", "install", "example.org/program@"+test.version)
		require.Equal(t, test.want+", "+runtime.Version()+")", run(filepath.Join(bin, "program")), "go install")
	}
}

// publish puts a version of example.org/program into a directory, as https://go.dev/ref/mod#goproxy-protocol has it.
func publish(t *testing.T, proxy, version string, module map[string]string) {
	var packed bytes.Buffer
	w := zip.NewWriter(&packed)
	for name, text := range module {
		file, err := w.Create("example.org/program@" + version + "/" + name)
		require.NoError(t, err)
		_, err = file.Write([]byte(text))
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	directory := filepath.Join(proxy, "example.org/program/@v")
	require.NoError(t, os.MkdirAll(directory, 0o755))
	for name, text := range map[string]string{
		"list": version + "\n", version + ".info": `{"Version": "` + version + `", "Time": "2026-01-02T15:04:05Z"}`, version + ".mod": module["go.mod"], version + ".zip": packed.String(),
	} {
		require.NoError(t, os.WriteFile(filepath.Join(directory, name), []byte(text), 0o644))
	}
}

func goCache(t *testing.T) string {
	output, err := exec.Command("go", "env", "GOCACHE").Output()
	require.NoError(t, err)
	return strings.TrimSpace(string(output))
}
