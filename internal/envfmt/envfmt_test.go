package envfmt

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/hashicorp/go-multierror"
	"github.com/joho/godotenv"
	"github.com/stretchr/testify/require"
)

// hostileValues are values that one reader or another is known to trip over.
func hostileValues() []string {
	values := []string{
		"", "plain", "1", "007", "0x10", "true", " leading and trailing ", "\ttab\t", "a b", "é ü 漢字 🚀",
		"'", "''", "'''", "it's", "'quoted'", `"`, `""`, `"quoted"`, `say "hi"`, `a'b"c`, "`id`", "$(id)", "a;b&c|d<e>f",
		`\`, `\\`, `\\\`, `ends in \`, `ends in '\`, `ends in "\`, `\'`, `a\'`, `\"`, `a\"`, `"\`, `\n`, `\\n`, `\$`, `\r\n`,
		"$", "$$", "$V0", "${V0}", "$(V0)", `\$V0`, `\\$V0`, "$V0 ${V0} $V1", "${", "${0}", "a$", `"${V0}"`, `'$V0"`,
		"#", "# comment", "a # b", "a#b", "'a' # b", "a=b", "=a", ":", "export A=b", "!history", "~", "*", "[a-z]", "{a,b}",
		"\n", "a\n", "\na", "a\nb", "a\n\n\n", "a\nV0=stolen\nb", "'\nV0=stolen\n'", "\"\nV0=stolen\n\"",
		"\r", "a\r", "a\rb", "\r\n", "a\r\nb", "a\r\n", "'\r\n", "\\\r\n", "\"\r\n\"",
		"\x01", "\x7f", "\x1b[31m", "\x85", "\xa0", "\u0085", "\u00a0x\u00a0", "\u2028", "\ufeff", "\xff", "\xff\xfe'", "é\xc3", "\x81\x88", "'\x81'\x82\\",
		"-----BEGIN KEY-----\nMIIB\n-----END KEY-----\n", `{"a": "b\\n", "c": ['$d']}`, strings.Repeat("x", 60_000), strings.Repeat(`'"\`, 10_000),
	}
	for c := 1; c < 256; c++ {
		values = append(values, string([]byte{byte(c)}), string([]byte{'a', byte(c), 'b', byte(c)}))
	}
	return values
}

// numbered gives each value a name of its own: V0, V1 and so on.
func numbered(values []string) []Variable {
	vars := make([]Variable, len(values))
	for i, value := range values {
		vars[i] = Variable{Name: fmt.Sprintf("V%d", i), Value: value}
	}
	return vars
}

// valuesOf makes values of what a fuzzer comes up with, so that one reader's start serves many; all
// together they fit into one process's environment.
func valuesOf(data []byte) []string {
	var values []string
	for part := range strings.SplitSeq(string(data[:min(len(data), 1<<20)]), "\x00") {
		if len(values) < 1000 && len(part) < 100_000 {
			values = append(values, part)
		}
	}
	return values
}

// addSeeds gives the fuzzer the hostile values, some at a time.
func addSeeds(f *testing.F) {
	values := hostileValues()
	for len(values) > 0 {
		n := min(16, len(values))
		f.Add([]byte(strings.Join(values[:n], "\x00")))
		values = values[n:]
	}
}

func write(t testing.TB, f Format, vars []Variable) string {
	t.Helper()
	var text bytes.Buffer
	require.NoError(t, Write(&text, f, vars, false))
	return text.String()
}

func asMap(vars []Variable) map[string]string {
	values := map[string]string{}
	for _, v := range vars {
		values[v.Name] = v.Value
	}
	return values
}

// run starts a real reader with text as its input in a nearly empty environment.
func run(t testing.TB, text string, command ...string) string {
	t.Helper()
	reader := exec.Command(command[0], command[1:]...)
	reader.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C.UTF-8", "GONE=inherited"}
	reader.Stdin = strings.NewReader(text)
	var complaints bytes.Buffer
	reader.Stderr = &complaints
	out, err := reader.Output()
	require.NoError(t, err, "%s: %s", command[0], complaints.String())
	require.Empty(t, complaints.String())
	return string(out)
}

// environment reads what env -0 printed.
func environment(text string) map[string]string {
	values := map[string]string{}
	for entry := range strings.SplitSeq(strings.TrimSuffix(text, "\x00"), "\x00") {
		name, value, _ := strings.Cut(entry, "=")
		values[name] = value
	}
	return values
}

// requireSubset fails with the name alone of the first variable that did not come back, so that a
// long value does not bury it.
func requireSubset(t testing.TB, vars []Variable, read map[string]string) {
	t.Helper()
	for _, v := range vars {
		value, found := read[v.Name]
		require.True(t, found, "%s is missing; its value is %.200q", v.Name, v.Value)
		require.True(t, value == v.Value, "%s is %.200q, not %.200q", v.Name, value, v.Value)
	}
}

// needProgram skips a test whose reader is not installed, or fails it where everything must be there.
func needProgram(t testing.TB, program, debianPackage string) {
	t.Helper()
	if _, err := exec.LookPath(program); err == nil {
		return
	}
	complaint := fmt.Sprintf("%s is not installed: apt-get install %s", program, debianPackage)
	if os.Getenv("ENVHARNESS_TEST_REQUIRE") == "all" {
		t.Fatal(complaint)
	}
	t.Skip(complaint)
}

var shells = map[string]string{"dash": "dash", "bash": "bash"}

func TestShIsReadBackByEval(t *testing.T) {
	for shell, debianPackage := range shells {
		t.Run(shell, func(t *testing.T) {
			needProgram(t, shell, debianPackage)
			for i, vars := 0, numbered(hostileValues()); i < len(vars); i += 40 {
				batch := vars[i:min(i+40, len(vars))]
				read := environment(run(t, write(t, Sh, batch), shell, "-c", `eval "$(cat)"; exec env -0`))
				requireSubset(t, batch, read)
			}
		})
	}
}

func TestShIsReadBackAsAFile(t *testing.T) {
	for shell, debianPackage := range shells {
		t.Run(shell, func(t *testing.T) {
			needProgram(t, shell, debianPackage)
			vars := numbered(hostileValues()[:100])
			file := filepath.Join(t.TempDir(), "environment")
			require.NoError(t, os.WriteFile(file, []byte(write(t, Sh, vars)), 0o600))
			requireSubset(t, vars, environment(run(t, "", shell, "-c", `. "$1"; exec env -0`, shell, file)))
		})
	}
}

func TestShUnsets(t *testing.T) {
	script := write(t, Sh, []Variable{{Name: "GONE", Unset: true, Value: "x"}, {Name: "KEPT", Value: "x"}})
	require.Equal(t, "unset GONE\nexport KEPT='x'\n", script)
	for shell, debianPackage := range shells {
		needProgram(t, shell, debianPackage)
		read := environment(run(t, script, shell, "-c", `eval "$(cat)"; exec env -0`))
		require.Contains(t, read, "KEPT")
		require.NotContains(t, read, "GONE")
	}
}

// The names that encodeSh refuses are those, and only those, that a shell does not hand on.
func TestShRefusesWhatShellsSetThemselves(t *testing.T) {
	needProgram(t, "bash", "bash")
	names := strings.Fields(run(t, "", "bash", "-c", "compgen -v; echo GROUPS OPTIND LINENO SECONDS FUNCNAME RANDOM"))
	env, err := exec.LookPath("env")
	require.NoError(t, err)
	refused := 0
	for _, name := range names {
		if name == "_" || name == "SHLVL" {
			continue // set anew for each command, whoever assigns to them
		}
		kept := true
		for shell := range shells {
			reader := exec.Command(shell, "-c", "export "+name+"='a b'\n"+env+" -0")
			out, _ := reader.Output() // OPTIND='a b' ends dash
			kept = kept && environment(string(out))[name] == "a b"
		}
		_, err := encodeSh(Variable{Name: name, Value: "a b"})
		require.Equal(t, kept, err == nil, name)
		if err != nil {
			refused++
		}
	}
	require.Greater(t, refused, 10)
}

func FuzzShReadBackByDashAndBash(f *testing.F) {
	for shell, debianPackage := range shells {
		needProgram(f, shell, debianPackage)
	}
	addSeeds(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		vars := numbered(valuesOf(data))
		script := write(t, Sh, vars)
		for shell := range shells {
			requireSubset(t, vars, environment(run(t, script, shell, "-c", `eval "$(cat)"; exec env -0`)))
		}
	})
}

func TestDotenvPicksThePlainestEncoding(t *testing.T) {
	for value, line := range map[string]string{
		"":                           `A=`,
		"postgres://db:5432/app":     `A=postgres://db:5432/app`,
		"two words # no comment":     `A='two words # no comment'`,
		`C:\dir "x" $HOME`:           `A='C:\dir "x" $HOME'`,
		"-----BEGIN-----\nx\n":       "A='-----BEGIN-----\nx\n'",
		"it's $5":                    `A="it's \$5"`,
		"a\r\n":                      `A="a\r\n"`,
		`C:\`:                        `A="C:\\""`,
		`it's "quoted"`:              `A="it's \"quoted\"${0}"`,
		`both ends in a backslash'\`: `A="both ends in a backslash'\\""`,
	} {
		text, err := MarshalDotenv([]Variable{{Name: "A", Value: value}})
		require.NoError(t, err)
		require.Equal(t, line+"\n", string(text))
	}
}

func TestDotenvIsReadBack(t *testing.T) {
	vars := numbered(hostileValues())
	read, err := godotenv.Unmarshal(write(t, Dotenv, vars))
	require.NoError(t, err)
	require.Len(t, read, len(vars))
	requireSubset(t, vars, read)
}

// Values that are written with their quotes off or single are shell words too.
func TestDotenvInSingleQuotesIsSh(t *testing.T) {
	needProgram(t, "dash", "dash")
	vars := []Variable{{Name: "A", Value: "two\nlines # $HOME `id` \\n"}, {Name: "B", Value: "a=b,c:d@e%f/g+h"}}
	requireSubset(t, vars, environment(run(t, "set -a\n"+write(t, Dotenv, vars)+"exec env -0\n", "dash")))
}

func TestReadsBackSeesEveryDifference(t *testing.T) {
	v := Variable{Name: "A", Value: "x"}
	require.True(t, readsBack("A=x\n", v))
	for _, line := range []string{"A=y\n", "B=x\n", "A=x", "A='x", "A=x\nB=y\n", "# A=x\n", ""} {
		require.False(t, readsBack(line, v), line)
	}
}

func FuzzDotenvReadBackByGodotenv(f *testing.F) {
	addSeeds(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		vars := numbered(valuesOf(data))
		read, err := godotenv.Unmarshal(write(t, Dotenv, vars))
		require.NoError(t, err)
		require.Len(t, read, len(vars))
		requireSubset(t, vars, read)
	})
}

func TestJSON(t *testing.T) {
	text := write(t, JSON, []Variable{{Name: "B", Value: "<&>"}, {Name: "GONE", Unset: true}, {Name: "A", Value: "1\n"}})
	require.Equal(t, "{\n  \"A\": \"1\\n\",\n  \"B\": \"<&>\",\n  \"GONE\": null\n}\n", text)
	require.Equal(t, "{}\n", write(t, JSON, nil))
}

func FuzzJSONReadBack(f *testing.F) {
	addSeeds(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		var carried, refused []Variable
		for _, v := range numbered(valuesOf(data)) {
			if utf8.ValidString(v.Value) {
				carried = append(carried, v)
			} else {
				refused = append(refused, v)
			}
		}
		read := map[string]string{}
		require.NoError(t, json.Unmarshal([]byte(write(t, JSON, carried)), &read))
		require.Equal(t, asMap(carried), read)
		requireRefused(t, JSON, append(refused, carried...), refused)
	})
}

func FuzzNULReadBackByXargs(f *testing.F) {
	needProgram(f, "xargs", "findutils")
	addSeeds(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		vars := numbered(valuesOf(data))
		if len(vars) == 0 {
			return
		}
		text := write(t, NUL, vars)
		require.True(t, text == run(t, text, "xargs", "-0", "env", "-0", "-i"))
	})
}

func TestNULLeavesUnsetNamesOut(t *testing.T) {
	require.Equal(t, "A=\x00", write(t, NUL, []Variable{{Name: "GONE", Unset: true}, {Name: "A"}}))
}

// readByDocker returns the Env that the Docker client asks an engine for. The client is real; what
// stands for the engine only keeps the request, so no image and no daemon are needed.
func readByDocker(t *testing.T, file string) ([]string, error) {
	requests := make(chan []string, 1)
	engine := http.NewServeMux()
	engine.HandleFunc("/_ping", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Api-Version", "1.41") })
	engine.HandleFunc("POST /v1.41/containers/create", func(w http.ResponseWriter, r *http.Request) {
		var container struct{ Env []string }
		if err := json.NewDecoder(r.Body).Decode(&container); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		requests <- container.Env
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusCreated)
		fmt.Fprint(w, `{"Id":"0123456789ab","Warnings":[]}`)
	})
	home := t.TempDir()
	socket := filepath.Join(home, "engine.sock")
	listener, err := net.Listen("unix", socket)
	require.NoError(t, err)
	server := &http.Server{Handler: engine}
	go server.Serve(listener)
	defer server.Close()

	client := exec.Command("docker", "--host", "unix://"+socket, "create", "--env-file", file, "image")
	client.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + home}
	if out, err := client.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%w: %s", err, out)
	}
	return <-requests, nil
}

func TestDockerClientReadsBack(t *testing.T) {
	needProgram(t, "docker", "docker.io")
	var carried, refused []Variable
	longest := Variable{Name: "LONGEST", Value: strings.Repeat("x", dockerLineLimit-len("LONGEST="))}
	tooLong := Variable{Name: "TOO_LONG", Value: strings.Repeat("x", dockerLineLimit-len("TOO_LONG=")+1)}
	for _, v := range append(numbered(hostileValues()), longest, tooLong) {
		if _, err := encodeDocker(v); err == nil {
			carried = append(carried, v)
		} else {
			refused = append(refused, v)
		}
	}
	require.Contains(t, carried, longest)
	require.Contains(t, refused, tooLong)
	require.Greater(t, len(refused), 100)

	file := filepath.Join(t.TempDir(), "environment")
	require.NoError(t, os.WriteFile(file, []byte(write(t, Docker, carried)), 0o600))
	env, err := readByDocker(t, file)
	require.NoError(t, err)
	require.Len(t, env, len(carried))
	for i, v := range carried {
		require.True(t, env[i] == v.Name+"="+v.Value, "%.200q is not what was read of %s", v.Value, v.Name)
	}
}

// What encodeDocker refuses is what the client cannot read, not more.
func TestDockerClientCannotReadWhatIsRefused(t *testing.T) {
	needProgram(t, "docker", "docker.io")
	for _, v := range []Variable{
		{Name: "TOO_LONG", Value: strings.Repeat("x", dockerLineLimit-len("TOO_LONG=")+1)},
		{Name: "NEWLINE", Value: "a\nb"},
		{Name: "CR", Value: "a\r"},
		{Name: "UTF8", Value: "\xff"},
		{Name: "#COMMENT", Value: "a"},
		{Name: "A BLANK", Value: "a"},
		{Name: "\ufeffMARK", Value: "a"},
	} {
		_, err := encodeDocker(v)
		require.Error(t, err, v.Name)
		file := filepath.Join(t.TempDir(), "environment")
		require.NoError(t, os.WriteFile(file, []byte(v.Name+"="+v.Value+"\n"), 0o600))
		env, err := readByDocker(t, file)
		require.False(t, err == nil && len(env) == 1 && env[0] == v.Name+"="+v.Value, v.Name)
	}
}

func TestDockerLeavesUnsetNamesOut(t *testing.T) {
	text := write(t, Docker, []Variable{{Name: "GONE", Unset: true}, {Name: "BASH_FUNC_f%%", Value: `"#'`}})
	require.Equal(t, "BASH_FUNC_f%%=\"#'\n", text)
}

func TestTable(t *testing.T) {
	text := write(t, Table, []Variable{
		{Name: "DATABASE_URL", Value: "canary", Source: "/environment/DATABASE_URL", Took: 1254 * time.Millisecond},
		{Name: "GONE", Unset: true, Value: "canary", Source: "/environment/GONE", Took: 3 * time.Millisecond},
		{Name: "BAD\x1b[31m", Value: "", Source: "inherited"},
	})
	require.Equal(t, strings.TrimPrefix(`
NAME          SOURCE                     BYTES   TIME
DATABASE_URL  /environment/DATABASE_URL      6  1.25s
GONE          /environment/GONE          unset    3ms
BAD\x1b[31m   inherited                      0      -
`, "\n"), text)
}

// requireRefused proves that exactly the variables in refused are named, each by an Error,
// that no value is told, and that nothing was written.
func requireRefused(t testing.TB, f Format, vars, refused []Variable) {
	t.Helper()
	var text bytes.Buffer
	err := Write(&text, f, vars, false)
	if len(refused) == 0 {
		require.NoError(t, err)
		return
	}
	var all *multierror.Error
	require.ErrorAs(t, err, &all)
	require.Len(t, all.Errors, len(refused))
	for i, v := range refused {
		var one *Error
		require.ErrorAs(t, all.Errors[i], &one)
		require.Equal(t, v.Name, one.Name)
		require.Equal(t, f, one.Format)
		require.NotEmpty(t, one.Hint())
	}
	require.NotContains(t, err.Error(), "canary")
	require.Zero(t, text.Len())
}

func TestWhatAFormatCannotCarryIsNamed(t *testing.T) {
	ordinary := Variable{Name: "A", Value: "canary"}
	refusals := map[Format][]Variable{
		Sh:     {{Name: "a.b", Value: "canary"}, {Name: "1", Value: "canary"}, {Name: "é"}, {Name: "UID", Value: "canary"}, {Name: "PPID", Unset: true}, {Name: "f()", Unset: true}},
		Dotenv: {{Name: "a.b", Value: "canary"}, {Name: "A B"}, {Name: "#"}, {Name: "a.b", Unset: true}},
		JSON:   {{Name: "\xff", Value: "canary"}, {Name: "V", Value: "canary\xff"}},
		NUL:    {{Name: "V", Value: "canary\x00"}, {Name: "", Value: "canary"}, {Name: "A=B", Value: "canary"}},
		Docker: {{Name: "V", Value: "canary\n"}, {Name: "W", Value: "canary\r"}, {Name: "#", Value: "canary"}, {Name: "A\tB"}},
	}
	for f, refused := range refusals {
		refused = append(refused, Variable{Name: "NUL", Value: "canary\x00"})
		requireRefused(t, f, append([]Variable{ordinary}, refused...), refused)
	}
	text, err := MarshalDotenv([]Variable{ordinary, {Name: "a.b"}})
	require.Error(t, err)
	require.Empty(t, text)
}

func TestMaskHidesValuesAndTheirLength(t *testing.T) {
	short := []Variable{{Name: "A", Value: "canary"}, {Name: "B", Value: "$'\n\xff"}, {Name: "GONE", Unset: true}}
	long := []Variable{{Name: "A", Value: strings.Repeat("canary", 100)}, {Name: "B"}, {Name: "GONE", Unset: true}}
	for _, f := range []Format{Sh, Dotenv, JSON, NUL, Docker} {
		var one, other bytes.Buffer
		require.NoError(t, Write(&one, f, short, true))
		require.NoError(t, Write(&other, f, long, true))
		require.Equal(t, one.String(), other.String(), f)
		require.Equal(t, 2, strings.Count(one.String(), "********"), f)
		require.NotContains(t, one.String(), "canary", f)
	}
	require.Equal(t, "canary", short[0].Value, "the caller's variables are not touched")
	text, err := MarshalDotenv(masked(short))
	require.NoError(t, err)
	read, err := godotenv.Unmarshal(string(text))
	require.NoError(t, err)
	require.Equal(t, map[string]string{"A": "********", "B": "********"}, read)
}

func TestParseFormat(t *testing.T) {
	for _, name := range []string{"sh", "dotenv", "json", "nul", "docker", "table"} {
		f, err := Parse(name)
		require.NoError(t, err)
		require.Equal(t, Format(name), f)
		require.NoError(t, Write(&bytes.Buffer{}, f, nil, false))
	}
	for _, name := range []string{"", "SH", "yaml"} {
		_, err := Parse(name)
		require.ErrorContains(t, err, "known are sh, dotenv, json, nul, docker and table")
		require.Error(t, Write(&bytes.Buffer{}, Format(name), nil, false))
	}
}
