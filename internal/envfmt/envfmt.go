// Package envfmt writes variables in the formats that shells, dotenv readers, JSON parsers, xargs -0 and docker run
// read, each so that its reader gets every value back byte for byte.
package envfmt

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

	"github.com/envharness/envharness/internal/text"
)

// Variable is one name with its value.
type Variable struct {
	Name, Value string
	Unset       bool          // the name is taken out of the environment; Value is not looked at
	Source      string        // the path it came from, "env-file FILE" or "inherited"
	Took        time.Duration // to resolve it, all tries together; 0 when nothing was run
}

// Format names a way to write variables down, each with the reader that it is written for.
type Format string

const (
	Sh     Format = "sh"     // export and unset, for dash and bash
	Dotenv Format = "dotenv" // for godotenv; unset names are left out
	JSON   Format = "json"   // one object, unset names are null
	NUL    Format = "nul"    // NAME=VALUE and a NUL, for xargs -0; unset names are left out
	Docker Format = "docker" // for docker run --env-file; unset names are left out
	Table  Format = "table"  // for people: never a value
)

// Parse returns the format of that name; the error of another name lists the known ones.
func Parse(name string) (Format, error) {
	switch f := Format(name); f {
	case Sh, Dotenv, JSON, NUL, Docker, Table:
		return f, nil
	}
	return "", fmt.Errorf("unknown format %q: known are sh, dotenv, json, nul, docker and table", name)
}

// Write writes vars to w in format f, in the order given (json sorts by name), in one
// call of w.Write. With mask every value becomes the same eight asterisks, whatever its length.
//
// The format's own reader gets every value back byte for byte. When there is a variable that the
// format cannot carry, nothing is written, and the error holds an *Error for each of them.
func Write(w io.Writer, f Format, vars []Variable, mask bool) error {
	if mask && f != Table {
		vars = masked(vars)
	}
	out, err := f.marshal(vars)
	if err != nil {
		return err
	}
	_, err = w.Write(out)
	return err
}

// Error is a variable that a format cannot carry. It never holds the value.
type Error struct {
	Format Format
	Name   string
	Reason error
}

func (e *Error) Error() string {
	return fmt.Sprintf("cannot write %s as %s: %v", text.Printable(e.Name), e.Format, e.Reason)
}

func (e *Error) Unwrap() error { return e.Reason }

// Hint says what to do instead.
func (e *Error) Hint() string {
	return "--format nul carries every name and value; or name the variables to print"
}

func (f Format) marshal(vars []Variable) ([]byte, error) {
	switch f {
	case Sh:
		return encodeEach(f, vars, encodeSh)
	case Dotenv:
		return MarshalDotenv(vars)
	case JSON:
		return marshalJSON(vars)
	case NUL:
		return encodeEach(f, vars, encodeNUL)
	case Docker:
		return encodeEach(f, vars, encodeDocker)
	case Table:
		return marshalTable(vars), nil
	}
	_, err := Parse(string(f))
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
	var out bytes.Buffer
	var refused *multierror.Error
	for _, v := range vars {
		line, err := encode(v)
		if v.Name == "" || strings.ContainsAny(v.Name, "=\x00") || strings.Contains(v.Value, "\x00") {
			err = errNoEnvironment
		}
		if err != nil {
			refused = multierror.Append(refused, &Error{Format: f, Name: v.Name, Reason: err})
		}
		out.WriteString(line)
	}
	if refused != nil {
		refused.ErrorFormat = oneLine
		return nil, refused
	}
	return out.Bytes(), nil
}

// oneLine names some of many errors.
func oneLine(all []error) string {
	const most = 5
	var words []string
	for _, err := range all[:min(most, len(all))] {
		words = append(words, err.Error())
	}
	if len(all) > most {
		words = append(words, fmt.Sprintf("and %d more", len(all)-most))
	}
	return strings.Join(words, "; ")
}

func encodeSh(v Variable) (string, error) {
	switch {
	case !IsName(v.Name):
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
	_, err := encodeEach(JSON, vars, func(v Variable) (string, error) {
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
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	err = encoder.Encode(object)
	return out.Bytes(), err
}

func marshalTable(vars []Variable) []byte {
	rows := [][4]string{{"NAME", "SOURCE", "BYTES", "TIME"}}
	for _, v := range vars {
		row := [4]string{text.Printable(v.Name), text.Printable(v.Source), strconv.Itoa(len(v.Value)), text.Duration(v.Took)}
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
			widths[column] = max(widths[column], text.Width(cell))
		}
	}
	var out bytes.Buffer
	for _, row := range rows {
		fmt.Fprintf(&out, "%s  %s  %s  %s\n", text.PadRight(row[0], widths[0]), text.PadRight(row[1], widths[1]),
			text.PadLeft(row[2], widths[2]), text.PadLeft(row[3], widths[3]))
	}
	return out.Bytes()
}

var (
	errVariableName  = errors.New("its name is not [A-Za-z_][A-Za-z0-9_]*")
	errNoEnvironment = errors.New("no environment can hold it: a NUL byte, or = in its name, or no name")
	errNotUTF8       = errors.New("it is not valid UTF-8")
)

// IsName reports whether name is [A-Za-z_][A-Za-z0-9_]*, what every shell can name.
func IsName(name string) bool {
	for i, c := range []byte(name) {
		letter := c == '_' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z'
		digit := '0' <= c && c <= '9'
		if !letter && (!digit || i == 0) {
			return false
		}
	}
	return name != ""
}
