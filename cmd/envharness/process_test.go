package main_test

import (
	"bytes"
	"debug/elf"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// plain is an environment with a bit of everything that a start does.
var plain = map[string]string{
	"environment/A": "#!/bin/sh\necho a\n",
	"environment/B": "b\n",
	"export/a":      "#!/bin/sh\necho announced\n",
}

var plainArgs = []string{"--environment", "environment", "--export", "export"}

// with adds COMMAND to the options of a plain start.
func with(command ...string) []string {
	return append(append([]string{}, plainArgs...), command...)
}

func TestNothingIsLeftBehind(t *testing.T) {
	t.Parallel()
	dir := tree(t, plain)
	cmd := harness(t, dir, with("sleep", "1000")...)
	require.NoError(t, cmd.Start())
	pid := cmd.Process.Pid
	eventually(t, "COMMAND runs", func() bool { return statusOf(pid, "Name") == "sleep" })
	require.Equal(t, "1", statusOf(pid, "Threads"))
	for _, other := range processes(t) {
		require.NotEqual(t, strconv.Itoa(pid), statusOf(other, "PPid"), "%s is a child of COMMAND", statusOf(other, "Name"))
	}
	require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
	require.Equal(t, syscall.SIGTERM, wait(t, cmd).signal)
}

// withoutLibrarySignals clears 32 to 34 in SigIgn: the C library and the race detector's runtime ignore theirs
// in a test's process, and the harness gives them their default actions.
func withoutLibrarySignals(look string) string {
	ignored := field(look, "SigIgn")
	bits, err := strconv.ParseUint(ignored, 16, 64)
	if err != nil {
		return look
	}
	return strings.Replace(look, "SigIgn:\t"+ignored, fmt.Sprintf("SigIgn:\t%016x", bits&^(7<<31)), 1)
}

// TestInheritance: COMMAND and executables find what they would find without a harness.
func TestInheritance(t *testing.T) {
	t.Parallel()
	need(t, "sh", "nohup", "env")
	look := `grep -E "^(Sig(Blk|Ign|Cgt)|Cap|NoNewPrivs|Umask)" /proc/self/status; grep -v "Max pending" /proc/self/limits`
	dir := tree(t, map[string]string{
		"environment/SEEN": "#!/bin/sh\n" + look + "\n",
		"look":             "#!/bin/sh\n" + look + "\n",
	})
	for name, before := range map[string]string{
		// Go raises the soft limit of descriptors for itself, and must put it back.
		"limits":         `ulimit -S -n 256; ulimit -S -c 0; umask 027`,
		"ignored hangup": `trap "" HUP`,
		"ignored INT":    `trap "" INT`,
		"both":           `trap "" INT HUP`,
		"nothing":        `:`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			direct := succeeds(t, command(t, dir, "sh", "-c", before+`; exec ./look`))
			command := succeeds(t, command(t, dir, "sh", "-c", before+`; exec "$0" --environment environment -- sh -c 'printf "%s\n" "$SEEN"; echo ----; exec ./look'`, harnessPath))
			seen, own, ok := strings.Cut(command, "----\n")
			require.True(t, ok)
			require.Equal(t, withoutLibrarySignals(direct), own, "of COMMAND")
			require.Equal(t, withoutLibrarySignals(direct), seen, "of an executable")
		})
	}
	t.Run("mask", func(t *testing.T) {
		t.Parallel()
		status := succeeds(t, command(t, dir, "env", "--block-signal=USR1", harnessPath, "cat", "/proc/self/status"))
		require.Equal(t, fmt.Sprintf("%016x", 1<<(syscall.SIGUSR1-1)), field(status, "SigBlk"))
	})
	t.Run("dispositions", func(t *testing.T) {
		t.Parallel()
		status := succeeds(t, command(t, dir, "env", "--ignore-signal=PIPE", "--ignore-signal=USR1", "--ignore-signal=HUP", "--ignore-signal=TTIN", "--ignore-signal=TSTP", harnessPath, "cat", "/proc/self/status"))
		require.Equal(t, fmt.Sprintf("%016x", 1<<(syscall.SIGHUP-1)|1<<(syscall.SIGTTIN-1)|1<<(syscall.SIGTSTP-1)), field(status, "SigIgn"), "default but for what Go leaves")
		require.Equal(t, strings.Repeat("0", 16), field(status, "SigCgt"))
	})
}

func TestDuplicateNamesAreFolded(t *testing.T) {
	t.Parallel()
	dir := tree(t, map[string]string{
		"environment/SEEN": "#!/bin/sh\ntr '\\0' '\\n' </proc/$$/environ | grep ^TWICE=\n",
		"environment/OVER": "resolved\n",
	})
	output, err := os.Create(filepath.Join(dir, "output"))
	require.NoError(t, err)
	defer output.Close()
	// os/exec would fold them itself.
	process, err := os.StartProcess(harnessPath, []string{"envharness", "--environment", "environment", "cat", "/proc/self/environ"}, &os.ProcAttr{
		Dir:   dir,
		Env:   []string{"TWICE=1", "PATH=" + os.Getenv("PATH"), "OVER=1", "TWICE=2", "OVER=2"},
		Files: []*os.File{nil, output, os.Stderr},
	})
	require.NoError(t, err)
	state, err := process.Wait()
	require.NoError(t, err)
	require.True(t, state.Success())
	block, err := os.ReadFile(output.Name())
	require.NoError(t, err)
	values := map[string][]string{}
	for entry := range strings.SplitSeq(strings.TrimSuffix(string(block), "\x00"), "\x00") {
		name, value, _ := strings.Cut(entry, "=")
		values[name] = append(values[name], value)
	}
	require.Len(t, values["TWICE"], 1)
	require.Equal(t, []string{"TWICE=" + values["TWICE"][0]}, values["SEEN"], "an executable sees the same one")
	require.Equal(t, []string{"resolved"}, values["OVER"])
}

// TestTextFileBusy: an executable that is still being written is tried again for a moment, and only that.
func TestTextFileBusy(t *testing.T) {
	t.Parallel()
	files := map[string]string{
		"environment/A": "#!/bin/sh\necho x >>going\n",
		"environment/B": "#!/bin/sh\necho x >>tries; echo written\n",
	}
	open := func(t *testing.T) (dir string, busy *os.File) {
		dir = tree(t, files)
		// A script's own file is never busy, only a program's is.
		binary, err := os.ReadFile("/usr/bin/env")
		require.NoError(t, err)
		path := filepath.Join(dir, "environment/B")
		require.NoError(t, os.WriteFile(path, binary, 0o755))
		busy, err = os.OpenFile(path, os.O_WRONLY, 0)
		require.NoError(t, err)
		t.Cleanup(func() { busy.Close() })
		return dir, busy
	}

	// forAMoment starts a harness and closes the file a moment later. On a busy machine that may be longer than it is
	// tried again: then it counts for nothing.
	forAMoment := func(t *testing.T, goingOn func(dir string), args ...string) {
		for {
			dir, busy := open(t)
			cmd := harness(t, dir, args...)
			begun := time.Now()
			require.NoError(t, cmd.Start())
			goingOn(dir)
			time.Sleep(200 * time.Millisecond) // the harness has met the busy file by now; nothing fails if not
			require.NoError(t, busy.Close())
			moment := time.Since(begun)
			if result := wait(t, cmd); result.code == 0 || moment < 500*time.Millisecond {
				require.Equal(t, 0, result.code, result.stderr)
				require.Contains(t, result.stdout, "PATH=")
				return
			}
		}
	}
	t.Run("for a moment", func(t *testing.T) {
		t.Parallel()
		forAMoment(t, func(dir string) { appears(t, filepath.Join(dir, "going")) }, "--environment", "environment", "sh", "-c", `printf %s "$B"`)
	})
	t.Run("for good", func(t *testing.T) {
		t.Parallel()
		dir, _ := open(t)
		result := run(t, harness(t, dir, "--environment", "environment", "touch", "ran"))
		require.Equal(t, 125, result.code)
		require.Regexp(t, `(?mi)^envharness: error: .*environment/B.*(busy|open for writing)`, result.stderr)
		require.NoFileExists(t, filepath.Join(dir, "ran"))
	})
	t.Run("COMMAND for a moment", func(t *testing.T) {
		t.Parallel()
		forAMoment(t, func(string) {}, "environment/B")
	})
	t.Run("COMMAND for good", func(t *testing.T) {
		t.Parallel()
		dir, _ := open(t)
		result := run(t, harness(t, dir, "environment/B"))
		require.Equal(t, 126, result.code)
		require.Regexp(t, `(?mi)^envharness: error: .*environment/B.*(busy|open for writing)`, result.stderr)
	})
}

func TestMissingLoaderIsNamed(t *testing.T) {
	t.Parallel()
	binary, err := os.ReadFile("/usr/bin/env")
	require.NoError(t, err)
	program, err := elf.NewFile(bytes.NewReader(binary))
	require.NoError(t, err)
	loader := interpreter(t, program)
	other := strings.Replace(loader, "ld-", "no-", 1)
	require.NotEqual(t, loader, other)
	dir := tree(t, nil)
	write(t, filepath.Join(dir, "environment/A"), "#!")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "environment/A"), bytes.ReplaceAll(binary, []byte(loader), []byte(other)), 0o755))

	// execve says "no such file or directory" of a file that is there.
	result := run(t, harness(t, dir, "--environment", "environment", "true"))
	require.Equal(t, 125, result.code)
	require.Regexp(t, `(?m)^envharness: error: .*environment/A`, result.stderr)
	require.Contains(t, result.stderr, other)
	result = run(t, harness(t, dir, "environment/A"))
	require.Equal(t, 126, result.code)
	require.Contains(t, result.stderr, other)
}

func interpreter(t *testing.T, program *elf.File) string {
	t.Helper()
	for _, part := range program.Progs {
		if part.Type == elf.PT_INTERP {
			name := make([]byte, part.Filesz-1)
			_, err := part.ReadAt(name, 0)
			require.NoError(t, err)
			return string(name)
		}
	}
	t.Fatal("no interpreter")
	return ""
}

// TestLinkFarmSwappedWhileRunning: every value is one of the two, never an error, while ..data moves.
func TestLinkFarmSwappedWhileRunning(t *testing.T) {
	t.Parallel()
	files := map[string]string{}
	for _, version := range []string{"..one", "..two"} {
		for i := range 6 {
			files[fmt.Sprintf("environment/%s/SCRIPT%d", version, i)] = "#!/bin/sh\necho " + version + "\n"
			files[fmt.Sprintf("environment/%s/PLAIN%d", version, i)] = version + "\n"
		}
	}
	dir := tree(t, files)
	link := func(version string) {
		temporary := filepath.Join(dir, "environment/..data_tmp")
		require.NoError(t, os.Symlink(version, temporary))
		require.NoError(t, os.Rename(temporary, filepath.Join(dir, "environment/..data")))
	}
	link("..one")
	for i := range 6 {
		for _, name := range []string{"SCRIPT", "PLAIN"} {
			name += strconv.Itoa(i)
			require.NoError(t, os.Symlink("..data/"+name, filepath.Join(dir, "environment", name)))
		}
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond):
				link([]string{"..one", "..two"}[i%2])
			}
		}
	}()
	defer func() { close(stop); <-stopped }()
	for range 20 {
		output := succeeds(t, harness(t, dir, "--environment", "environment", "--pristine", "cat", "/proc/self/environ"))
		for i := range 6 {
			for _, name := range []string{"SCRIPT", "PLAIN"} {
				require.Regexp(t, fmt.Sprintf(`(^|\x00)%s%d=\.\.(one|two)\x00`, name, i), output)
			}
		}
	}
}

// TestReadOnlyRootAsNobody: no file is written, no privilege needed.
func TestReadOnlyRootAsNobody(t *testing.T) {
	t.Parallel()
	need(t, "root", "unshare", "mount", "setpriv")
	dir := tree(t, plain)
	cmd := command(t, dir, "unshare", "-m", "--propagation", "private", "sh", "-c", `
		mount -o remount,bind,ro / && ! touch writable 2>/dev/null || exit 1
		exec setpriv --reuid 65534 --regid 65534 --clear-groups "$0" --environment environment --export export sh -c 'echo "$A $B"; id -u; ! touch written'`, harnessPath)
	result := run(t, cmd)
	require.Equal(t, 0, result.code, result.stderr)
	require.Equal(t, "a b\n65534\n", result.stdout)
	require.NotContains(t, result.stderr, "envharness: ")
}

// TestAsPID1 runs in a PID namespace of its own, as in a container.
func TestAsPID1(t *testing.T) {
	t.Parallel()
	need(t, "root", "unshare")
	namespace := func(t *testing.T, dir string, args ...string) *exec.Cmd {
		// --kill-child: nothing outlives a failing test.
		return command(t, dir, "unshare", append([]string{"-p", "-f", "--mount-proc", "--kill-child", harnessPath}, args...)...)
	}

	t.Run("COMMAND is PID 1", func(t *testing.T) {
		t.Parallel()
		result := run(t, namespace(t, tree(t, plain), with("sh", "-c", `echo "$$ $A"; exit 42`)...))
		require.Equal(t, 42, result.code, result.stderr)
		require.Equal(t, "1 a\n", result.stdout)
	})

	t.Run("orphans are reaped before it", func(t *testing.T) {
		t.Parallel()
		// Each waits for its orphan to leave the group, which is killed with its leader.
		orphan := "#!/bin/sh\n(setsid sh -c 'echo $$ >>orphans; echo x >$0.gone; exit 3' ${0##*/} >/dev/null 2>&1 &)\nuntil [ -e ${0##*/}.gone ]; do sleep 0.01; done\n"
		dir := tree(t, map[string]string{
			"environment/A": orphan,
			"environment/B": orphan,
			"export/a":      orphan,
			// All three have exited when this one ends: what is left of them is the harness's to reap.
			"environment/Z": `#!/bin/sh
				until [ "$(wc -l <orphans)" = 3 ]; do sleep 0.01; done
				for orphan in $(cat orphans); do
					while grep -q '^State:[[:space:]]*[^Z[:space:]]' /proc/$orphan/status 2>/dev/null; do sleep 0.01; done
				done`,
		})
		result := run(t, namespace(t, dir, with("sh", "-c", `cat /proc/[0-9]*/status`)...))
		require.Equal(t, 0, result.code, result.stderr)
		require.Contains(t, result.stdout, "State:")
		require.NotContains(t, result.stdout, "Z (zombie)")
	})

	t.Run("a signal ends start-up", func(t *testing.T) {
		t.Parallel()
		for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT} {
			dir := tree(t, map[string]string{"environment/A": "#!/bin/sh\necho x >going\nexec sleep 1000\n"})
			cmd := namespace(t, dir, with("touch", "ran")...)
			require.NoError(t, cmd.Start())
			appears(t, filepath.Join(dir, "going"))
			require.NoError(t, syscall.Kill(onlyChild(t, cmd.Process.Pid), signal))
			result := wait(t, cmd)
			require.Equal(t, 128+int(signal), result.code, result.stderr)
			require.NoFileExists(t, filepath.Join(dir, "ran"))
		}
	})
}

// onlyChild is the one process whose parent is pid.
func onlyChild(t *testing.T, pid int) int {
	t.Helper()
	for _, other := range processes(t) {
		if statusOf(other, "PPid") == strconv.Itoa(pid) {
			return other
		}
	}
	t.Fatalf("%d has no child", pid)
	return 0
}

// TestBinary: static, and without the network libraries that would triple its size.
func TestBinary(t *testing.T) {
	t.Parallel()
	file, err := elf.Open(harnessPath)
	require.NoError(t, err)
	defer file.Close()
	for _, part := range file.Progs {
		require.NotEqual(t, elf.PT_INTERP, part.Type, "the binary is not static")
	}
	list := command(t, ".", "go", "list", "-deps", "-tags", "urfave_cli_no_docs", ".")
	list.Env = append(os.Environ(), "CGO_ENABLED=0")
	packages := strings.Fields(succeeds(t, list))
	require.Contains(t, packages, "github.com/urfave/cli/v2")
	for _, name := range packages {
		switch {
		case name == "net", strings.HasPrefix(name, "net/http"):
			t.Errorf("%s is linked in", name)
		case strings.HasPrefix(name, "google.golang.org/grpc"), strings.HasPrefix(name, "go.etcd.io/"),
			strings.HasPrefix(name, "github.com/hashicorp/consul"), strings.HasPrefix(name, "github.com/go-zookeeper/"):
			t.Errorf("%s is a registry's client", name)
		case strings.HasPrefix(name, "github.com/envharness/envharness/discovery"), strings.HasPrefix(name, "github.com/envharness/envharness/registryd"):
			t.Errorf("%s belongs to discovery: executables are what joins the two", name)
		case strings.HasPrefix(name, "github.com/envharness/envharness/internal/cli/"):
			t.Errorf("%s is for what is generated, not for every container", name)
		}
	}
}

// TestSize: the bound of 5 MiB holds for what `make build` makes, so that the harness is cheap in every image.
func TestSize(t *testing.T) {
	t.Parallel()
	built := filepath.Join(t.TempDir(), "envharness")
	build := command(t, ".", "go", "build", "-trimpath", "-tags", "urfave_cli_no_docs,grpcnotrace", "-ldflags", "-s -w -funcalign=16", "-o", built, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64")
	succeeds(t, build)
	info, err := os.Stat(built)
	require.NoError(t, err)
	require.LessOrEqual(t, info.Size(), int64(5<<20), "bytes: `go tool nm -size -sort size` on an unstripped build tells what is large")
}
