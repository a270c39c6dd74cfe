package envfmt

import (
	"errors"
	"strings"

	"github.com/joho/godotenv"
)

// MarshalDotenv returns vars as lines that godotenv reads back byte for byte; unset names are left
// out, for the format has no word for them. Other readers of dotenv files and sh itself agree on
// all values but those with a single quote, a CR or a backslash at the end.
//
// Names that are not [A-Za-z_][A-Za-z0-9_]* and values that are not read back are refused, all in
// one error that holds an *Error for each.
func MarshalDotenv(vars []Variable) ([]byte, error) {
	return encodeEach(Dotenv, vars, encodeDotenv)
}

func encodeDotenv(v Variable) (string, error) {
	switch {
	case !IsName(v.Name):
		return "", errVariableName
	case v.Unset:
		return "", nil
	}
	line := v.Name + "=" + quoteDotenv(v.Value) + "\n"
	if !readsBack(line, v) {
		return "", errors.New("godotenv would read its value differently")
	}
	return line, nil
}

// readsBack asks godotenv itself, because its rules are written nowhere but in its code and differ
// between its versions. The second line proves that the first ends where it should.
func readsBack(line string, v Variable) bool {
	const nextName, nextValue = "0", "next"
	read, err := godotenv.Unmarshal(line + nextName + "=" + nextValue + "\n")
	value, found := read[v.Name]
	return err == nil && found && value == v.Value && read[nextName] == nextValue && len(read) == 2
}

// quoteDotenv picks the plainest of the three encodings that carries value. Between single quotes
// godotenv takes bytes as they are, but a backslash before the closing quote hides it, there is no
// way to write a quote, and CR LF anywhere in the file becomes LF.
func quoteDotenv(value string) string {
	switch {
	case !strings.ContainsFunc(value, needsQuotes):
		return value
	case !strings.ContainsAny(value, "'\r") && !strings.HasSuffix(value, `\`):
		return "'" + value + "'"
	}
	return doubleQuoteDotenv(value)
}

func needsQuotes(r rune) bool {
	plain := 'A' <= r && r <= 'Z' || 'a' <= r && r <= 'z' || '0' <= r && r <= '9' || strings.ContainsRune("_-./:@%+,=", r)
	return !plain
}

// doubleQuoteDotenv escapes value for godotenv's double quotes, which carry everything once two
// quirks at the end are met: the reader takes any quote after a backslash for an escaped one, and
// cuts all quotes off both ends before it looks at escapes.
func doubleQuoteDotenv(value string) string {
	escaped := strings.NewReplacer(`\`, `\\`, `"`, `\"`, `$`, `\$`, "\n", `\n`, "\r", `\r`).Replace(value)
	switch {
	case strings.HasSuffix(value, `\`):
		return `"` + escaped + `""` // the first is taken for an escaped one, then cut off
	case strings.HasSuffix(value, `"`):
		return `"` + escaped + `${0}"` // no name begins with a digit, so this expands to nothing
	}
	return `"` + escaped + `"`
}
