package main_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"unicode/utf8"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestScript runs testdata/script, one file a behaviour. A file of a script that begins with #! is executable.
func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                "testdata/script",
		RequireUniqueNames: true,
		Setup:              setupScript,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":  exits,
			"fill":   fill,
			"fits":   fits,
			"json":   jsonLines,
			"lacks":  lacks,
			"needs":  needs,
			"octets": octets,
			"rootfs": rootfs,
			"socket": socket,
			"xml":    wellFormed,
		},
	})
}

func setupScript(env *testscript.Env) error {
	env.Values[scriptT{}] = env.T()
	// TMPDIR and WORK must be reachable by the users that scripts become.
	if err := os.Chmod(env.WorkDir, 0o755); err != nil {
		return err
	}
	env.Setenv("PATH", filepath.Join(env.WorkDir, "bin")+":"+os.Getenv("PATH"))
	return filepath.WalkDir(env.WorkDir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil || !bytes.HasPrefix(content, []byte("#!")) {
			return err
		}
		return os.Chmod(path, 0o755)
	})
}

// exits CODE[,CODE...] PROGRAM [ARG...] runs PROGRAM, which must exit with one of the codes.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE[,CODE...] PROGRAM [ARG...]")
	}
	code := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			ts.Fatalf("cannot run: %v", err)
		}
		code = exit.ExitCode()
	}
	for want := range strings.SplitSeq(args[0], ",") {
		if want == strconv.Itoa(code) {
			return
		}
	}
	ts.Fatalf("exit code %d, want %s", code, args[0])
}

// needs NAME... skips the script when a program, or root, is not here.
func needs(ts *testscript.TestScript, _ bool, args []string) {
	lack := missing(args...)
	if lack == "" {
		return
	}
	if !skipsAllowed() {
		ts.Fatalf("%s is needed and not here", lack)
	}
	ts.Value(scriptT{}).(testscript.T).Skip(lack + " is not here")
}

// scriptT is the key under which a script keeps its test.
type scriptT struct{}

// octets FILE 'GO STRING' writes bytes that a text archive cannot hold.
func octets(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: octets FILE 'GO STRING WITHOUT QUOTES'")
	}
	content, err := strconv.Unquote(`"` + args[1] + `"`)
	ts.Check(err)
	writeFile(ts, args[0], []byte(content))
}

// fill FILE SIZE writes SIZE bytes of x.
func fill(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: fill FILE SIZE")
	}
	size, err := strconv.Atoi(args[1])
	ts.Check(err)
	writeFile(ts, args[0], bytes.Repeat([]byte("x"), size))
}

func writeFile(ts *testscript.TestScript, name string, content []byte) {
	path := ts.MkAbs(name)
	ts.Check(os.MkdirAll(filepath.Dir(path), 0o755))
	ts.Check(os.WriteFile(path, content, 0o644))
}

// fits LINES COLUMNS FILE wants a file, or stdout or stderr, that is not empty and fits such a screen.
func fits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: fits LINES COLUMNS FILE")
	}
	rows, err := strconv.Atoi(args[0])
	ts.Check(err)
	columns, err := strconv.Atoi(args[1])
	ts.Check(err)
	text := strings.TrimSuffix(ts.ReadFile(args[2]), "\n")
	if text == "" {
		ts.Fatalf("%s is empty", args[2])
	}
	lines := strings.Split(text, "\n")
	if len(lines) > rows {
		ts.Fatalf("%s has %d lines, more than %d", args[2], len(lines), rows)
	}
	for _, line := range lines {
		if utf8.RuneCountInString(line) > columns {
			ts.Fatalf("%s has a line wider than %d: %s", args[2], columns, line)
		}
	}
}

// json FILE wants one JSON object a line, and at least one.
func jsonLines(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: json FILE")
	}
	lines := bufio.NewScanner(strings.NewReader(ts.ReadFile(args[0])))
	count := 0
	for lines.Scan() {
		var object map[string]any
		if err := json.Unmarshal(lines.Bytes(), &object); err != nil {
			ts.Fatalf("not a JSON object: %s: %v", lines.Text(), err)
		}
		count++
	}
	if count == 0 {
		ts.Fatalf("%s is empty", args[0])
	}
}

// lacks TEXT FILE... wants files without TEXT, whatever else they hold.
func lacks(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: lacks TEXT FILE...")
	}
	for _, name := range args[1:] {
		if strings.Contains(ts.ReadFile(name), args[0]) {
			ts.Fatalf("%s holds %q", name, args[0])
		}
	}
}

// xml FILE wants a well-formed document with one root element.
func wellFormed(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: xml FILE")
	}
	decoder := xml.NewDecoder(strings.NewReader(ts.ReadFile(args[0])))
	elements := 0
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		ts.Check(err)
		if _, ok := token.(xml.StartElement); ok {
			elements++
		}
	}
	if elements == 0 {
		ts.Fatalf("%s has no element", args[0])
	}
}

// socket FILE makes a socket that nobody listens on.
func socket(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: socket FILE")
	}
	// A socket's address is short, a work directory's path may not be: bind where it is short, then move.
	dir, err := os.MkdirTemp("", "s")
	ts.Check(err)
	defer os.RemoveAll(dir)
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, "s"), Net: "unix"})
	ts.Check(err)
	listener.SetUnlinkOnClose(false)
	ts.Check(listener.Close())
	ts.Check(os.Rename(filepath.Join(dir, "s"), ts.MkAbs(args[0])))
}

// rootfs DIR makes DIR a root directory with envharness, busybox's commands and /dev/null.
func rootfs(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: rootfs DIR")
	}
	busybox, err := exec.LookPath("busybox")
	ts.Check(err)
	root := ts.MkAbs(args[0])
	for _, dir := range []string{"bin", "dev", "tmp"} {
		ts.Check(os.MkdirAll(filepath.Join(root, dir), 0o755))
	}
	ts.Check(os.Chmod(filepath.Join(root, "tmp"), 0o777|os.ModeSticky))
	ts.Check(copyFile(busybox, filepath.Join(root, "bin/busybox")))
	ts.Check(copyFile(harnessPath, filepath.Join(root, "bin/envharness")))
	for _, name := range []string{"sh", "cat", "env", "id", "pwd", "true", "touch", "echo", "printf"} {
		ts.Check(os.Symlink("busybox", filepath.Join(root, "bin", name)))
	}
	null := filepath.Join(root, "dev/null")
	ts.Check(syscall.Mknod(null, syscall.S_IFCHR|0o666, 1<<8|3))
	ts.Check(os.Chmod(null, 0o666))
}

// copyFile copies a program. No process is forked meanwhile: a child of another test would keep the copy open for
// writing until its exec, and the kernel runs no such file (ETXTBSY, execve(2)).
func copyFile(from, to string) error {
	content, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	return os.WriteFile(to, content, 0o755)
}
