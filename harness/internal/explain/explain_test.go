package explain

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// elf is a header of 64 bytes with a machine of elf(5), little-endian.
func elf(machine byte) string {
	header := make([]byte, 64)
	copy(header, "\x7fELF\x02\x01")
	header[18] = machine
	return string(header)
}

func program(t *testing.T, content string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "program")
	require.NoError(t, os.WriteFile(path, []byte(content), mode))
	return path
}

// TestExec compares each explanation with what the kernel itself answers.
func TestExec(t *testing.T) {
	other := byte(183) // aarch64
	if runtime.GOARCH == "arm64" {
		other = 62
	}
	for name, c := range map[string]struct {
		content       string
		problem, hint string
	}{
		"interpreter missing": {"#!/no/such/thing -x\n", "its interpreter /no/such/thing does not exist", "install the interpreter"},
		"CR LF":               {"#!/bin/sh\r\necho\r\n", "its first line ends in CR LF", "sed -i 's/\\r$//'"},
		"empty":               {"", "it is empty", "chmod -x"},
		"no #!":               {"echo hello\n", "it has no #! line", "begin it with #!/bin/sh"},
		"byte order mark":     {"\xef\xbb\xbf#!/bin/sh\n", "a byte order mark stands before #!", "without BOM"},
		"another machine":     {elf(other), "it is built for another machine", "use a build for " + runtime.GOARCH},
	} {
		t.Run(name, func(t *testing.T) {
			path := program(t, c.content, 0o755)
			_, err := syscall.ForkExec(path, []string{path}, &syscall.ProcAttr{})
			require.Error(t, err)
			problem, hint := File{Path: path, Value: true}.Exec([]string{path}, nil, err)
			require.Contains(t, problem, c.problem)
			require.Contains(t, hint, c.hint)
		})
	}
}

func TestExecOfNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gone")
	problem, hint := File{Path: path}.Exec(nil, nil, syscall.ENOENT)
	require.Equal(t, "no such file", problem)
	require.Contains(t, hint, "spelled")
	problem, _ = File{Path: path}.Exec(nil, nil, errors.New("another problem"))
	require.Equal(t, "another problem", problem)
}

func TestTooLargeNamesTheLargestAndNoValue(t *testing.T) {
	env := []string{"SMALL=canary"}
	for i, name := range []string{"A", "B", "C", "D", "E"} {
		env = append(env, name+"="+strings.Repeat("canary", 1000*(i+1)))
	}
	problem, hint := File{Path: "/bin/true"}.Exec([]string{"true"}, env, syscall.E2BIG)
	require.Contains(t, problem, "the largest variables are E 29 KiB, D 23 KiB, C 17 KiB, B 11 KiB, A 5 KiB")
	require.NotContains(t, problem, "SMALL")
	require.NotContains(t, problem+hint, "canary")
}

func TestAccessOfANonExecutableFile(t *testing.T) {
	path := program(t, "#!/bin/sh\n", 0o644)
	require.Equal(t, "chmod +x "+path, File{Path: path}.Access())
}

// TestProgram finds before a start what Exec explains after it.
func TestProgram(t *testing.T) {
	bin := t.TempDir()
	require.NoError(t, os.Symlink("/bin/sh", filepath.Join(bin, "there")))
	for content, problem := range map[string]string{
		"#!/bin/sh\necho\n":                    "",
		"#!/usr/bin/env there\n":               "",
		"#!/usr/bin/env -S there\n":            "",
		"#!/usr/bin/env not-there\n":           "its interpreter not-there is not in PATH",
		"#!/no/such/thing\n":                   "its interpreter /no/such/thing does not exist",
		"#!/etc\n":                             "its interpreter /etc cannot be executed",
		"#!/bin/sh\r\n":                        "its first line ends in CR LF, so its interpreter is not found",
		"echo without a first line\n":          "it has no #! line and is no program",
		"":                                     "it is empty",
		"#! \n":                                "its first line names no interpreter that can run",
		"\x7fELF":                              "it is built for another machine (a damaged ELF file, this is " + runtime.GOARCH + ")",
		"\xef\xbb\xbf#!/bin/sh\n":              "a byte order mark stands before #!",
		"#!\t/bin/sh -e\nexit\n":               "",
		"#!/usr/bin/env A=b not-there\n":       "",
		"#!/usr/bin/env\nno word after\n":      "",
		"#!/bin/sh" + strings.Repeat(" ", 300): "",
	} {
		var problems []string
		File{Path: program(t, content, 0o755), Entry: true, Value: true}.Check(bin, func(problem, hint string) {
			require.NotEmpty(t, hint)
			problems = append(problems, problem)
		})
		require.Equal(t, problem, strings.Join(problems, "; "), "%q", content)
	}
}

// TestInterpreters follows scripts to the interpreter that is at fault.
func TestInterpreters(t *testing.T) {
	kernel := func(path string) error {
		_, err := syscall.ForkExec(path, []string{path}, &syscall.ProcAttr{})
		require.Error(t, err)
		return err
	}
	script := func(interpreter string) string { return program(t, "#!"+interpreter+"\n", 0o755) }
	link := filepath.Join(t.TempDir(), "link")
	require.NoError(t, os.Symlink("link", link))
	missing, plain, text := script("/no/such/thing"), program(t, "#!/bin/sh\n", 0o644), program(t, "hello\n", 0o755)
	loaderless, err := os.ReadFile("/bin/sh")
	require.NoError(t, err)
	for name, c := range map[string]struct {
		path, problem, hint string
		check               bool // Check finds it, too
	}{
		"of the interpreter missing":   {script(missing), "its interpreter " + missing + ": its interpreter /no/such/thing does not exist", "install the interpreter", true},
		"no execute bit":               {script(plain), "permission denied", "its interpreter " + plain + " may not be executed", true},
		"a directory":                  {script("/etc"), "permission denied", "its interpreter /etc is a directory", true},
		"no program":                   {script(text), "its interpreter " + text + ": it has no #! line", "begin it with #!/bin/sh", false},
		"a link to itself":             {script(link), "its interpreters are scripts that lead to each other", "name a program", true},
		"longer than the kernel reads": {script("/bin/" + strings.Repeat("./", 200) + "sh"), "its first line names no interpreter that can run", "begin it with #!/bin/sh", true},
		"without its loader":           {script(program(t, strings.ReplaceAll(string(loaderless), "/ld-linux", "/no-linux"), 0o755)), "its program loader ", "static build", false},
	} {
		t.Run(name, func(t *testing.T) {
			problem, hint := File{Path: c.path}.Exec(nil, nil, kernel(c.path))
			require.Contains(t, problem, c.problem)
			require.Contains(t, hint, c.hint)
			require.NotContains(t, hint, "as the value")
			var found []string
			File{Path: c.path}.Check("", func(problem, _ string) { found = append(found, problem) })
			require.Equal(t, c.check, len(found) > 0, "%v", found)
		})
	}
}
