package main_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/joho/godotenv"
	"github.com/stretchr/testify/require"
)

// awkward values are those that a quoting rule forgets.
var awkward = []string{
	"", " ", "plain", "two words", " leading", "trailing ", "\ttabs\t",
	"one\ntwo", "\nleading newline", "one\n\n\nfour", "a\r\nb", "a\rb", "ends in CR\r",
	`"`, `'`, `"quoted"`, `'quoted'`, `it's`, `'"'"'`, `say "hi" to 'them'`, `ends in "`, `ends in '`, `"starts`, `'starts`,
	"`backticks`", "$HOME", "${HOME}", "$(id)", `\$HOME`, `$`, `$$`, `a$`, `$1`, `${`, `$A`, `${A}`,
	`\`, `\\`, `ends in \`, `ends in \\`, `C:\new\table`, `\n`, `\"`, `\'`, `"\`, `'\`, `\\"`, "\\\n", "a\\\nb", `\r`, `\t`, `\u0041`,
	"#", "# comment", "a # b", "a#b", " # ", "=", "a=b", "A=B", "export A=1", ":", "a: b", "- a", "!", "!!", "~", "*", "[a]", "{a,b}",
	"%s%d", "-n", "-e", "--", "\x01\x02", "\x1b[31m", "\x7f", "\u0085", "\u2028", "\ufeff", "é", "日本", "caf\xe9", "\xff\xfe", "\xed\xa0\x80",
	"<&>", "&&", "a;b", "a|b", "(a)", "null", "true", "1e9", "\\x41", "$'x'", `$"x"`, "a\n#b", "a\nB=c\n", "'\n'", "\"\n\"",
	"mixed ' \" \\ $ ` \n all", "mixed ' \" \\ $ ` \n all'", "mixed ' \" \\ $ ` \n all\"", "mixed ' \" \\ $ ` \n all\\",
}

// expected is what a plain file with content resolves to; ok is false for what is no value.
func expected(content string) (value string, ok bool) {
	if strings.Contains(content, "\x00") || strings.HasPrefix(content, "#!") || strings.HasPrefix(content, "\x7fELF") || len(content) > 100_000 {
		return "", false
	}
	return strings.TrimRight(content, "\n"), true
}

// printed resolves content as variable A and prints it in format; ok is false when print says that the format cannot carry it.
func printed(t *testing.T, format, content string) (dir, output string, ok bool) {
	t.Helper()
	dir = t.TempDir()
	write(t, filepath.Join(dir, "environment/A"), "")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "environment/A"), []byte(content), 0o644))
	// Without the warnings of what only looks like a mistake, as CR LF or a byte order mark.
	cmd := harness(t, dir, "print", "--log-level", "error", "--environment", "environment", "--format", format)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH")}
	result := run(t, cmd)
	if result.code == 0 {
		require.Empty(t, result.stderr)
		return dir, result.stdout, true
	}
	require.Equal(t, 125, result.code, result.stderr)
	require.Regexp(t, `(?m)^envharness: error: .*\bA\b`, result.stderr)
	require.Empty(t, result.stdout, "half an answer")
	return dir, "", false
}

// everyValue runs check on the awkward values and on what the fuzzer makes of them.
func everyValue(f *testing.F, check func(t *testing.T, content, want string)) {
	for _, value := range awkward {
		f.Add(value)
	}
	f.Fuzz(func(t *testing.T, content string) {
		want, ok := expected(content)
		if !ok {
			t.Skip("no value")
		}
		check(t, content, want)
	})
}

func FuzzPrintShell(f *testing.F) {
	everyValue(f, func(t *testing.T, content, want string) {
		dir, script, ok := printed(t, "sh", content)
		require.True(t, ok, "sh carries every value")
		write(t, filepath.Join(dir, "script"), script)
		for _, shell := range []string{"dash", "bash"} {
			for _, locale := range []string{"C", "C.UTF-8"} {
				read := command(t, dir, shell, "-c", `. ./script; printf %s "$A"`)
				read.Env = []string{"PATH=/usr/bin:/bin", "LC_ALL=" + locale}
				require.Equal(t, want, succeeds(t, read), "%s reads %q", shell, script)
			}
			// The way it is used: the shell's own $(…) must not spoil it.
			read := command(t, dir, shell, "-c", `eval "$(cat script)"; printf %s "$A"`)
			require.Equal(t, want, succeeds(t, read), "%s evaluates %q", shell, script)
		}
	})
}

func FuzzPrintDotenv(f *testing.F) {
	everyValue(f, func(t *testing.T, content, want string) {
		_, file, ok := printed(t, "dotenv", content)
		if !ok {
			require.False(t, dotenvMust(want), "dotenv can carry %q", want)
			return
		}
		read, err := godotenv.Unmarshal(file)
		require.NoError(t, err, "%q", file)
		require.Equal(t, map[string]string{"A": want}, read, "%q", file)
	})
}

// dotenvMust tells whether value is of the kind that dotenv has to carry:
// text with newlines, blanks, inner quotes, $ and backslashes.
func dotenvMust(value string) bool {
	if strings.HasPrefix(value, `"`) || strings.HasPrefix(value, "'") || strings.HasSuffix(value, `"`) || strings.HasSuffix(value, "'") {
		return false
	}
	if strings.ContainsAny(value, `"`) && strings.ContainsAny(value, "'") || strings.ContainsAny(value, `"`) && strings.Contains(value, `\`) {
		return false
	}
	return utf8.ValidString(value) && !strings.ContainsFunc(value, func(r rune) bool {
		return r != '\n' && (unicode.IsControl(r) || !unicode.IsPrint(r) && r != ' ')
	})
}

func FuzzPrintJSON(f *testing.F) {
	everyValue(f, func(t *testing.T, content, want string) {
		_, file, ok := printed(t, "json", content)
		require.Equal(t, utf8.ValidString(want), ok, "JSON carries UTF-8, and nothing else: %q", want)
		if !ok {
			return
		}
		var read map[string]string
		require.NoError(t, json.Unmarshal([]byte(file), &read))
		require.Equal(t, map[string]string{"A": want}, read)
	})
}

func FuzzPrintNul(f *testing.F) {
	everyValue(f, func(t *testing.T, content, want string) {
		dir, file, ok := printed(t, "nul", content)
		require.True(t, ok, "nul carries every value")
		read := command(t, dir, "xargs", "-0", "printf", `%s\0`)
		read.Stdin = strings.NewReader(file)
		require.Equal(t, "A="+want+"\x00", succeeds(t, read))
	})
}

func FuzzPrintDocker(f *testing.F) {
	everyValue(f, func(t *testing.T, content, want string) {
		_, file, ok := printed(t, "docker", content)
		if !ok {
			require.True(t, strings.ContainsAny(want, "\r\n") || !utf8.ValidString(want), "docker can carry %q", want)
			return
		}
		read, err := dockerEnvFile(file)
		require.NoError(t, err)
		require.Equal(t, map[string]string{"A": want}, read)
	})
}

// dockerEnvFile reads as `docker run --env-file` does: lines, blanks before a name ignored, # for a comment, UTF-8 only.
func dockerEnvFile(file string) (map[string]string, error) {
	read := map[string]string{}
	lines := bufio.NewScanner(strings.NewReader(file))
	for lines.Scan() {
		line := lines.Text()
		if !utf8.ValidString(line) {
			return nil, fmt.Errorf("not UTF-8: %q", line)
		}
		line = strings.TrimLeftFunc(line, unicode.IsSpace)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, value, ok := strings.Cut(line, "=")
		if !ok || name == "" || strings.ContainsFunc(name, unicode.IsSpace) {
			return nil, fmt.Errorf("not NAME=VALUE: %q", line)
		}
		read[name] = value
	}
	return read, lines.Err()
}

// TestPrintManyValues prints some hundred random values at once: none may spoil its neighbour, or be expanded by it.
func TestPrintManyValues(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	dir := t.TempDir()
	want := map[string]string{}
	for i := range 300 {
		content := randomValue(random)
		value, ok := expected(content)
		if !ok {
			continue
		}
		name := fmt.Sprintf("V%d", i)
		write(t, filepath.Join(dir, "environment", name), "")
		require.NoError(t, os.WriteFile(filepath.Join(dir, "environment", name), []byte(content), 0o644))
		want[name] = value
	}
	printAll := func(format string) string {
		// Without the warnings of what only looks like a mistake, as CR LF or a byte order mark.
		cmd := harness(t, dir, "print", "--log-level", "error", "--environment", "environment", "--format", format)
		cmd.Env = []string{"PATH=" + os.Getenv("PATH")}
		return succeeds(t, cmd)
	}

	t.Run("sh", func(t *testing.T) {
		write(t, filepath.Join(dir, "script"), printAll("sh"))
		for _, shell := range []string{"dash", "bash"} {
			read := command(t, dir, shell, "-c", `set -a; . ./script; exec cat /proc/self/environ`)
			read.Env = []string{"PATH=/usr/bin:/bin"}
			require.Equal(t, want, variables(succeeds(t, read)), shell)
		}
	})
	t.Run("nul", func(t *testing.T) {
		require.Equal(t, want, variables(printAll("nul")))
	})
	t.Run("dotenv", func(t *testing.T) {
		// Those that it carries one by one it carries together.
		carried := map[string]string{}
		args := []string{"print", "--environment", "environment", "--format", "dotenv"}
		for name, value := range want {
			if dotenvMust(value) {
				carried[name] = value
				args = append(args, name)
			}
		}
		require.Greater(t, len(carried), 30)
		read, err := godotenv.Unmarshal(succeeds(t, harness(t, dir, args...)))
		require.NoError(t, err)
		require.Equal(t, carried, read)
	})
}

// variables reads NAME=VALUE entries that end in NUL, and keeps those named V1, V2 and so on.
func variables(block string) map[string]string {
	read := map[string]string{}
	for entry := range strings.SplitSeq(block, "\x00") {
		name, value, _ := strings.Cut(entry, "=")
		if len(name) > 1 && name[0] == 'V' && unicode.IsDigit(rune(name[1])) {
			read[name] = value
		}
	}
	return read
}

// randomValue is made of what quoting rules fall over.
func randomValue(random *rand.Rand) string {
	alphabet := []string{"'", `"`, `\`, "$", "\n", "\r", "\t", " ", "#", "=", "`", "{", "}", "(", ")", "!", "V1", "${V2}", "a", "b", "é", "\xe9", "\x01", "\x7f", "\x81", "\x88"}
	if random.IntN(2) == 0 {
		alphabet = alphabet[2:]
	}
	if random.IntN(2) == 0 {
		alphabet = []string{"'", `\`, "$", "\n", " ", "#", "=", "`", "{", "V1", "${V2}", "a", "é"}
	}
	var value strings.Builder
	for range random.IntN(12) {
		value.WriteString(alphabet[random.IntN(len(alphabet))])
	}
	return value.String()
}
