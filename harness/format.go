package harness

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/hashicorp/go-multierror"
)

// Variable is one resolved name, as print and --write show it.
type Variable struct {
	Name, Value string
	Unset       bool          // the name is taken out of the environment; Value is not looked at
	Source      string        // the path it came from, "env-file FILE" or "inherited"
	Took        time.Duration // to resolve it, all tries together; 0 when nothing was run
}

// Format names a way to write variables down, each with the reader that it is written for.
type Format string

const (
	FormatSh     Format = "sh"     // export and unset, for dash and bash
	FormatDotenv Format = "dotenv" // for godotenv; unset names are left out
	FormatJSON   Format = "json"   // one object, unset names are null
	FormatNUL    Format = "nul"    // NAME=VALUE and a NUL, for xargs -0; unset names are left out
	FormatDocker Format = "docker" // for docker run --env-file; unset names are left out
	FormatTable  Format = "table"  // for people: never a value
)

// ParseFormat returns the format of that name; the error of another name lists the known ones.
func ParseFormat(name string) (Format, error) {
	switch f := Format(name); f {
	case FormatSh, FormatDotenv, FormatJSON, FormatNUL, FormatDocker, FormatTable:
		return f, nil
	}
	return "", fmt.Errorf("unknown format %q: known are sh, dotenv, json, nul, docker and table", name)
}

// WriteVariables writes vars to w in format f, in the order given (json sorts by name), in one
// call of w.Write. With mask every value becomes the same eight asterisks, whatever its length.
//
// The format's own reader gets every value back byte for byte. When there is a variable that the
// format cannot carry, nothing is written, and the error holds an *EncodingError for each of them.
func WriteVariables(w io.Writer, f Format, vars []Variable, mask bool) error {
	if mask && f != FormatTable {
		vars = masked(vars)
	}
	text, err := f.marshal(vars)
	if err != nil {
		return err
	}
	_, err = w.Write(text)
	return err
}

// EncodingError is a variable that a format cannot carry. It never holds the value.
type EncodingError struct {
	Format Format
	Name   string
	Reason error
}

func (e *EncodingError) Error() string {
	return fmt.Sprintf("cannot write %s as %s: %v", printable(e.Name), e.Format, e.Reason)
}

func (e *EncodingError) Unwrap() error { return e.Reason }

// Hint says what to do instead.
func (e *EncodingError) Hint() string {
	return "--format nul carries every name and value; or name the variables to print"
}

func (f Format) marshal(vars []Variable) ([]byte, error) {
	switch f {
	case FormatSh:
		return encodeEach(f, vars, encodeSh)
	case FormatDotenv:
		return MarshalDotenv(vars)
	case FormatJSON:
		return marshalJSON(vars)
	case FormatNUL:
		return encodeEach(f, vars, encodeNUL)
	case FormatDocker:
		return encodeEach(f, vars, encodeDocker)
	case FormatTable:
		return marshalTable(vars), nil
	}
	_, err := ParseFormat(string(f))
	return nil, err
}

func masked(vars []Variable) []Variable {
	hidden := make([]Variable, len(vars))
	for i, v := range vars {
		v.Value = "********"
		hidden[i] = v
	}
	return hidden
}

// encodeEach joins what encode makes of each variable, or gathers all that it refuses.
func encodeEach(f Format, vars []Variable, encode func(Variable) (string, error)) ([]byte, error) {
	var text bytes.Buffer
	var refused *multierror.Error
	for _, v := range vars {
		line, err := encode(v)
		if v.Name == "" || strings.ContainsAny(v.Name, "=\x00") || strings.Contains(v.Value, "\x00") {
			err = errNoEnvironment
		}
		if err != nil {
			refused = multierror.Append(refused, &EncodingError{Format: f, Name: v.Name, Reason: err})
		}
		text.WriteString(line)
	}
	if refused != nil {
		return nil, refused
	}
	return text.Bytes(), nil
}

func encodeSh(v Variable) (string, error) {
	switch {
	case !isVariableName(v.Name):
		return "", errVariableName
	case shellSets(v.Name):
		return "", errors.New("a shell sets a variable of this name by itself")
	case v.Unset:
		return "unset " + v.Name + "\n", nil
	}
	return "export " + v.Name + "='" + strings.ReplaceAll(v.Value, "'", `'\''`) + "'\n", nil
}

// shellSets reports whether dash or bash refuses to assign to name, or computes it whatever was
// assigned: `export UID='0'` is an error in bash, and after `export GROUPS='a'` a child has no
// GROUPS. Names that are merely updated as the shell goes on (_, SHLVL, PWD) are ordinary here.
func shellSets(name string) bool {
	switch name {
	case "BASHOPTS", "BASHPID", "BASH_ALIASES", "BASH_ARGC", "BASH_ARGV", "BASH_CMDS", "BASH_COMMAND",
		"BASH_LINENO", "BASH_MONOSECONDS", "BASH_SOURCE", "BASH_SUBSHELL", "BASH_VERSINFO", "DIRSTACK",
		"EPOCHREALTIME", "EPOCHSECONDS", "EUID", "FUNCNAME", "GROUPS", "HISTCMD", "LINENO", "OPTIND",
		"PPID", "RANDOM", "SECONDS", "SHELLOPTS", "SRANDOM", "UID":
		return true
	}
	return false
}

func encodeNUL(v Variable) (string, error) {
	if v.Unset {
		return "", nil
	}
	return v.Name + "=" + v.Value + "\x00", nil
}

// dockerLineLimit is the longest line that the Docker client's scanner takes, without its newline.
const dockerLineLimit = 64<<10 - 1

// encodeDocker writes what the Docker client's env-file reader (docker/cli pkg/kvfile) reads: the
// value is all that stands between the first = and the end of line, quotes too, and there are no
// escapes. The reader drops one CR at the end of a line and refuses files that are not UTF-8.
func encodeDocker(v Variable) (string, error) {
	line := v.Name + "=" + v.Value
	switch {
	case strings.HasPrefix(v.Name, "#") || strings.ContainsFunc(v.Name, notInDockerName):
		return "", errors.New("its name begins with # or holds blanks")
	case v.Unset:
		return "", nil
	case !utf8.ValidString(line):
		return "", errNotUTF8
	case strings.Contains(v.Value, "\n"):
		return "", errors.New("its value holds a newline")
	case strings.HasSuffix(v.Value, "\r"):
		return "", errors.New("its value ends in a carriage return")
	case len(line) > dockerLineLimit:
		return "", fmt.Errorf("NAME=VALUE is %d bytes, over the %d of a line", len(line), dockerLineLimit)
	}
	return line + "\n", nil
}

// notInDockerName matches blanks, and the byte order mark that is cut off at the start of a file.
func notInDockerName(r rune) bool { return unicode.IsSpace(r) || r == '\ufeff' }

func marshalJSON(vars []Variable) ([]byte, error) {
	object := make(map[string]*string, len(vars))
	_, err := encodeEach(FormatJSON, vars, func(v Variable) (string, error) {
		object[v.Name] = &v.Value
		if v.Unset {
			object[v.Name] = nil
		}
		if !utf8.ValidString(v.Name + v.Value) {
			return "", errNotUTF8 // encoding/json would put U+FFFD in its place
		}
		return "", nil
	})
	if err != nil {
		return nil, err
	}
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	err = encoder.Encode(object)
	return text.Bytes(), err
}

func marshalTable(vars []Variable) []byte {
	rows := [][4]string{{"NAME", "SOURCE", "BYTES", "TIME"}}
	for _, v := range vars {
		row := [4]string{printable(v.Name), printable(v.Source), strconv.Itoa(len(v.Value)), shortDuration(v.Took)}
		if v.Unset {
			row[2] = "unset"
		}
		if v.Took == 0 {
			row[3] = "-"
		}
		rows = append(rows, row)
	}
	var widths [4]int
	for _, row := range rows {
		for column, cell := range row {
			widths[column] = max(widths[column], displayWidth(cell))
		}
	}
	var text bytes.Buffer
	for _, row := range rows {
		fmt.Fprintf(&text, "%s  %s  %s  %s\n", padRight(row[0], widths[0]), padRight(row[1], widths[1]),
			padLeft(row[2], widths[2]), padLeft(row[3], widths[3]))
	}
	return text.Bytes()
}

var (
	errVariableName  = errors.New("its name is not [A-Za-z_][A-Za-z0-9_]*")
	errNoEnvironment = errors.New("no environment can hold it: a NUL byte, or = in its name, or no name")
	errNotUTF8       = errors.New("it is not valid UTF-8")
)

// isVariableName reports whether name is [A-Za-z_][A-Za-z0-9_]*, what every shell can name.
func isVariableName(name string) bool {
	for i, c := range []byte(name) {
		letter := c == '_' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z'
		digit := '0' <= c && c <= '9'
		if !letter && (!digit || i == 0) {
			return false
		}
	}
	return name != ""
}
