package envfile_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/joho/godotenv"
	"github.com/stretchr/testify/require"

	"github.com/envharness/envharness/harness/internal/envfile"
	"github.com/envharness/envharness/internal/envfmt"
)

func inherited(name string) (string, bool) {
	if name == "HOST" {
		return "host", true
	}
	return "", name == "EMPTY"
}

// TestParse: the readings of compose-go v2.16.2, taken from it.
func TestParse(t *testing.T) {
	for text, want := range map[string]string{
		"A=1":                           "A=1",
		"\ufeffA=1":                     "A=1",
		"A=1\r\nB=2\r\n":                "A=1 B=2",
		"export A=1":                    "A=1",
		"export\tA=1":                   "A=1",
		"exporter=1":                    "exporter=1",
		"A: 1":                          "A=1",
		"A = 1":                         "A=1",
		"# c\n\n  A=1\n #c":             "A=1",
		"A=1 #c":                        "A=1",
		"A=1# c":                        "A=1# c",
		"A=#c":                          "A=#c",
		"A= # c":                        "A=# c",
		"A=\nB=1":                       "A= B=1",
		"A= \nB=1":                      "A= B=1",
		"1A=1":                          "1A=1",
		"A.b=1":                         "A.b=1",
		"B\nA=1":                        "A=1",
		"export B":                      "",
		"A=1\nA=2":                      "A=2",
		"A=a'b'c":                       "A=a'b'c",
		`A=a\nb`:                        `A=a\nb`,
		`A="a\nb"`:                      "A=a\nb",
		`A='a\nb'`:                      `A=a\nb`,
		`A='a\'b'`:                      "A=a'b",
		`A="say \"hi\""`:                `A=say "hi"`,
		`A="C:\temp\new"`:               "A=C:\temp\new",
		`A="a\qb"`:                      `A=a\qb`,
		`A="a\\nb"`:                     `A=a\nb`,
		`A="\0123"`:                     "A=S",
		"A=\"l1\nl2\"\nB=1":             "A=l1\nl2 B=1",
		"A='l1\nl2' # c\nB=1":           "A=l1\nl2 B=1",
		"A=\"x\"\r\nB=1":                "A=x B=1",
		"A=$HOST":                       "A=host",
		"U=http://$HOST/":               "U=http://host/",
		"A=${HOST}x":                    "A=hostx",
		"A='$HOST'":                     "A=$HOST",
		`A="$HOST"`:                     "A=host",
		`A="\$HOST"`:                    "A=$HOST",
		"A=$$HOST":                      "A=$HOST",
		`A=\$HOST`:                      `A=\host`,
		"A=${UNSET:-def}":               "A=def",
		"A=${EMPTY:-def}${EMPTY-no}":    "A=def",
		"A=${UNSET:-${UNSET-z}}":        "A=z",
		"A=${UNSET:-$HOST}":             "A=host",
		"A=${UNSET:-a b} # c":           "A=a b",
		"A=${HOST:+alt}${EMPTY:+no}":    "A=alt",
		"A=${EMPTY+alt}${UNSET+no}":     "A=alt",
		"A=${HOST?no}${HOST:?no}":       "A=hosthost",
		"A=${UNSET:-y}}":                "A=y}",
		"A=x$":                          "A=x$",
		"A=$1 $- $(id)":                 "A=$1 $- $(id)",
		"A=$UNSET.":                     "A=.",
		"B=1\nA=$B${B}":                 "B=1 A=11",
		"HOST=mine\nA=$HOST":            "HOST=mine A=host", // what is inherited wins
		`A='$2y$10$abc'`:                "A=$2y$10$abc",
		"A=$$2y$$10$$abc":               "A=$2y$10$abc",
		"A=\"a\\\\\"\"\nB=\"\\\"${0}\"": "A=a\\ B=\"", // as print --format dotenv writes them
	} {
		got, err := envfile.Parse([]byte(text), envfile.Source{Strong: inherited})
		require.NoError(t, err, "%q", text)
		require.Equal(t, want, join(got), "%q", text)
	}
}

func join(variables []envfile.Variable) string {
	var words []string
	for _, v := range variables {
		words = append(words, v.Name+"="+v.Value)
	}
	return strings.Join(words, " ")
}

// TestParseRefuses: never a wrong value, and the error tells the line and the name and no value.
func TestParseRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"A=1\n\nB=$2y$10$c4n4ry":           "line 3: B: looks like a password hash",
		"A=1\nB=\"c4n4ry\nx\n":             "line 2: B: its quote is never closed",
		"B=\"a\nb\"\nA='c4n4ry'\"c4n4ry\"": "line 3: A: has text behind its closing quote",
		`A="c4n4ry" B=2`:                   "line 1: A: has text behind",
		"c4n4ry!=1":                        "line 1: has no name",
		"=c4n4ry":                          "line 1: has no name",
		"A B=c4n4ry":                       "line 1: has no name",
		"A=${UNSET:?c4n4ry}":               "line 1: A: needs UNSET, which is not set",
		"A=c4n4ry${X":                      "line 1: A: has a ${ that is never closed",
		"A=c4n4ry${}":                      "line 1: A: has a ${ before what is no name",
		"A=${X:=c4n4ry}":                   "line 1: A: has an operator",
		"A=${X:}":                          "line 1: A: has a ${NAME: without an operator",
		`A="\041c4n4ry"`:                   `line 1: A: has a \0 that is no octal escape`,
	} {
		_, err := envfile.Parse([]byte(text), envfile.Source{})
		require.ErrorContains(t, err, want, "%q", text)
		require.NotContains(t, err.Error(), "c4n4ry")
		require.NotEmpty(t, err.(*envfile.Error).Hint())
	}
}

func TestParseTellsWhatIsNotSet(t *testing.T) {
	var told []string
	_, err := envfile.Parse([]byte("A=$B\n\nC=${D}$A\nE=${F-}"), envfile.Source{Unset: func(line int, name string) {
		told = append(told, fmt.Sprint(line, name))
	}})
	require.NoError(t, err)
	require.Equal(t, []string{"1A", "3C"}, told)
}

// TestEarlierLinesWin: in a set, which is stronger than what is inherited.
func TestEarlierLinesWin(t *testing.T) {
	got, err := envfile.Parse([]byte("HOST=mine\nA=$HOST"), envfile.Source{Weak: inherited})
	require.NoError(t, err)
	require.Equal(t, "HOST=mine A=mine", join(got))
}

func TestParseJSON(t *testing.T) {
	for text, want := range map[string]string{
		`{}`:                                   "",
		"\ufeff {\"A\": \"x\" } \n":            "A=x",
		`{"A":"a\n\"b\"","B":1,"C":true}`:      "A=a\n\"b\" B=1 C=true",
		`{"A":1e3,"B":null,"C":-0.10}`:         "A=1e3 C=-0.10",
		`{"A":"12345678901234567890"}`:         "A=12345678901234567890",
		`{"A":123456789012345678901234567890}`: "A=123456789012345678901234567890",
		`{"A":"\ud83d\ude00\\ud800 \ufffd"}`:   "A=😀\\ud800 \ufffd",
	} {
		got, err := envfile.ParseJSON([]byte(text))
		require.NoError(t, err, text)
		require.Equal(t, want, join(got), text)
	}
}

func TestParseJSONRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"":                                   "is not one JSON object",
		"c4n4ry":                             "is not one JSON object",
		`["c4n4ry"]`:                         "is not one JSON object",
		`{"A":"c4n4ry"`:                      "is not valid JSON",
		`{"A":c4n4ry}`:                       "is not valid JSON",
		`{"A":"c4n4ry"} x`:                   "has more behind",
		`{"A":"c4n4ry"}{}`:                   "has more behind",
		`{"A":{"x":"c4n4ry"}}`:               "A: is an object",
		`{"A":["c4n4ry"]}`:                   "A: is an array",
		`{"A":"c4n4ry","A":"c4n4ry"}`:        "A: comes twice",
		`{"A":null,"A":"c4n4ry"}`:            "A: comes twice",
		`{"A":"c4n4ry\ud800"}`:               "A: has half of a surrogate pair",
		`{"A":"c4n4ry\ud800\u0041"}`:         "A: has half of a surrogate pair",
		`{"A":"c4n4ry\udc00"}`:               "A: has half of a surrogate pair",
		"{\"A\":\"c4n4ry\xff\"}":             "is not valid UTF-8",
		`{"A":"c4n4ry",}`:                    "is not valid JSON",
		`{"A" "c4n4ry"}`:                     "is not valid JSON",
		strings.Repeat(`{"A":`, 20000) + "1": "is not valid JSON",
	} {
		_, err := envfile.ParseJSON([]byte(text))
		require.ErrorContains(t, err, want, "%.40q", text)
		require.NotContains(t, err.Error(), "c4n4ry")
	}
}

func TestManyMembers(t *testing.T) {
	var object, lines strings.Builder
	object.WriteString(`{"A":"x"`)
	for i := range 10_000 {
		fmt.Fprintf(&object, `,"N%d":"value %d"`, i, i)
		fmt.Fprintf(&lines, "N%d='value %d'\n", i, i)
	}
	object.WriteString("}")
	members, err := envfile.ParseJSON([]byte(object.String()))
	require.NoError(t, err)
	require.Len(t, members, 10_001)
	parsed, err := envfile.Parse([]byte(lines.String()), envfile.Source{})
	require.NoError(t, err)
	for i, v := range parsed {
		require.Equal(t, envfile.Variable{Name: members[i+1].Name, Value: members[i+1].Value, Line: i + 1}, v)
	}
}

// FuzzReadsWhatIsWritten: what MarshalDotenv writes, for godotenv, is read back.
func FuzzReadsWhatIsWritten(f *testing.F) {
	for _, value := range []string{"", "plain", "it's", `a"`, `a\`, `a\"`, `\\`, "a\nb", "a\r\n", "$A ${B} $$", "a # b", " a ", "#", `\n`, "\x00"[:0], `"`, `'"\`} {
		f.Add(value)
	}
	f.Fuzz(func(t *testing.T, value string) {
		text, err := envfmt.MarshalDotenv([]envfmt.Variable{{Name: "A", Value: value}, {Name: "B", Value: "next"}})
		if err != nil {
			t.Skip()
		}
		got, err := envfile.Parse(text, envfile.Source{})
		require.NoError(t, err, "%q", text)
		require.Len(t, got, 2, "%q", text)
		require.Equal(t, []string{"A", value, "B", "next"}, []string{got[0].Name, got[0].Value, got[1].Name, got[1].Value}, "%q", text)
	})
}

// FuzzParse: no input panics, no error tells more than the contract allows, and plain lines are what godotenv reads.
func FuzzParse(f *testing.F) {
	for _, text := range []string{"A=1", "A=\"b\" # c", "A=${B:-c}", "export A='x'\nB=$A", "A=$2y$10$x", "A=\"\\0101\"", "\ufeffA: b"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := envfile.Parse([]byte(text), envfile.Source{})
		if err != nil || strings.ContainsAny(text, "$\\'\"#:\v\f\u0085\u00a0\r.-[]`\ufeff") || strings.ContainsFunc(text, func(r rune) bool { return r > 126 }) {
			return
		}
		want, err := godotenv.Unmarshal(text)
		if err != nil {
			return
		}
		for _, v := range got {
			require.Equal(t, want[v.Name], v.Value, "%q", text)
		}
	})
}

func FuzzParseJSON(f *testing.F) {
	for _, text := range []string{`{"A":"x"}`, `{"A":1,"B":null}`, `{"A":"\ud83d\ude00"}`, `{`, `[]`} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		members, err := envfile.ParseJSON(text)
		if err != nil {
			return
		}
		for _, m := range members {
			require.False(t, strings.ContainsRune(m.Value, '\ufffd') && !strings.Contains(strings.ToLower(string(text)), "fffd") && !strings.Contains(string(text), "\ufffd"))
		}
	})
}
