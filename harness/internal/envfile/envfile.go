// Package envfile reads what gives many variables at once: env-files, as docker compose reads them, and JSON
// objects.
//
// The rules of env-files are those of github.com/compose-spec/compose-go/dotenv (v2.16): export, comments, three
// kinds of quotes, values over several lines, and $NAME, ${NAME}, ${NAME:-default} and its kin. What Compose itself
// reads by accident (text behind a closing quote, half an octal escape) is refused, and so is what it would cut
// short: a password hash such as $2y$10$abc outside single quotes.
//
// No error holds a value or a part of one.
package envfile

import (
	"fmt"
	"strings"
	"unicode"
)

// Variable is one line of an env-file, or one member of an object.
type Variable struct {
	Name, Value string
	Line        int // where its value ends, from 1; 0 of an object's
}

// Error is what cannot be read, and where. It never holds a value.
type Error struct {
	Line    int    // from 1, 0 where lines mean nothing
	Name    string // of the variable, as far as it is known
	Problem string
	Next    string // what to do about it, or empty
}

func (e *Error) Error() string {
	where := ""
	if e.Line > 0 {
		where = fmt.Sprintf("line %d: ", e.Line)
	}
	if e.Name != "" {
		where += e.Name + ": "
	}
	return where + e.Problem
}

// Hint is what to do about it, or empty.
func (e *Error) Hint() string { return e.Next }

// Source tells the values that lines may refer to, beside those of earlier lines. Any of them may be nil.
type Source struct {
	Strong func(name string) (value string, ok bool) // wins over earlier lines, as what is inherited over an env-file
	Weak   func(name string) (value string, ok bool) // gives way to them
	Unset  func(line int, name string)               // is told of a line with a $NAME that nobody set, which is empty
}

// Parse reads the lines of an env-file, in their order; of a name that comes twice the later line counts. A line that
// is a name alone, which Compose takes from its own environment, is left out.
func Parse(content []byte, source Source) ([]Variable, error) {
	p := parser{rest: strings.TrimPrefix(string(content), "\ufeff"), line: 1, source: source, known: map[string]int{}}
	for p.skipBlank(); p.rest != ""; p.skipBlank() {
		if err := p.statement(); err != nil {
			return nil, err
		}
	}
	return p.variables, nil
}

// parser is a place in an env-file.
type parser struct {
	rest      string
	line      int // of rest's first byte
	name      string
	source    Source
	variables []Variable
	known     map[string]int // name to index in variables
}

func (p *parser) failed(problem, next string) error {
	return &Error{Line: p.line, Name: p.name, Problem: problem, Next: next}
}

// take moves on by n bytes and returns them.
func (p *parser) take(n int) string {
	taken := p.rest[:n]
	p.line += strings.Count(taken, "\n")
	p.rest = p.rest[n:]
	return taken
}

// lineEnd is the length of what is left of the line, without its newline.
func (p *parser) lineEnd() int {
	if i := strings.IndexByte(p.rest, '\n'); i >= 0 {
		return i
	}
	return len(p.rest)
}

// skipBlank goes to the next line that says something.
func (p *parser) skipBlank() {
	for {
		p.take(len(p.rest) - len(strings.TrimLeftFunc(p.rest, unicode.IsSpace)))
		if !strings.HasPrefix(p.rest, "#") {
			return
		}
		p.take(p.lineEnd())
	}
}

// statement reads NAME=VALUE, or NAME: VALUE.
func (p *parser) statement() error {
	p.name = ""
	if after, found := strings.CutPrefix(p.rest, "export"); found && after != "" && isBlank(rune(after[0])) {
		p.take(len(p.rest) - len(strings.TrimLeftFunc(after, isBlank)))
	}
	line := p.rest[:p.lineEnd()]
	end := strings.IndexAny(line, "=:")
	name := line
	if end >= 0 {
		name = line[:end]
	}
	name = strings.TrimRightFunc(name, unicode.IsSpace)
	if name == "" || strings.ContainsFunc(name, notInName) {
		return p.failed("has no name that a variable can have", "every line is NAME=VALUE, a comment (#) or empty")
	}
	p.name = name
	if end < 0 {
		p.take(len(line))
		return nil
	}
	p.take(end + 1)
	p.take(len(p.rest) - len(strings.TrimLeftFunc(p.rest, isBlank)))
	value, err := p.value()
	if err != nil {
		return err
	}
	v := Variable{Name: name, Value: value, Line: p.line}
	if i, twice := p.known[name]; twice {
		p.variables[i] = v
		return nil
	}
	p.known[name] = len(p.variables)
	p.variables = append(p.variables, v)
	return nil
}

func (p *parser) value() (string, error) {
	if p.rest != "" && (p.rest[0] == '"' || p.rest[0] == '\'') {
		return p.quoted(p.rest[0])
	}
	value, _, _ := strings.Cut(p.rest[:p.lineEnd()], " #")
	value, err := p.expand(strings.TrimRightFunc(value, unicode.IsSpace))
	p.take(p.lineEnd())
	return value, err
}

// quoted reads a value between quotes, which may go over several lines. A backslash takes the closing quote's
// meaning away.
func (p *parser) quoted(quote byte) (string, error) {
	text, length, closed := untilQuote(p.rest, quote)
	if !closed {
		return "", p.failed("its quote is never closed", fmt.Sprintf("close it with %c at the end of the value", quote))
	}
	value := text
	if quote == '"' {
		unescaped, err := p.unescape(text)
		if err == nil {
			value, err = p.expand(unescaped)
		}
		if err != nil {
			return "", err
		}
	}
	p.take(length)
	behind := strings.TrimSpace(p.rest[:p.lineEnd()])
	// A backslash at a value's end is written "…\\"" for godotenv, whose reader wants it so.
	if behind != "" && behind[0] != '#' && !(behind == `"` && strings.HasSuffix(text, `\\`)) {
		return "", p.failed("has text behind its closing quote", "put the whole value between the quotes, and a comment behind #")
	}
	p.take(p.lineEnd())
	return value, nil
}

// untilQuote is what stands between the quotes that text begins with, and the length of it all. Escaped quotes are
// taken for quotes, other escapes stay.
func untilQuote(text string, quote byte) (inner string, length int, closed bool) {
	var b strings.Builder
	for i := 1; i < len(text); i++ {
		switch c := text[i]; {
		case c == quote:
			return b.String(), i + 1, true
		case c == '\\' && i+1 < len(text):
			i++
			if text[i] != quote {
				b.WriteByte('\\')
			}
			b.WriteByte(text[i])
		default:
			b.WriteByte(c)
		}
	}
	return "", 0, false
}

// unescape knows the escapes of double quotes: those of C with a letter, \\, \$ and \0ooo. Others stay as they are.
// A dollar that was escaped is left as $$, which expand takes for one.
func (p *parser) unescape(text string) (string, error) {
	const letters, meanings = "abfnrtv\\\"", "\a\b\f\n\r\t\v\\\""
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] != '\\' || i+1 == len(text) {
			b.WriteByte(text[i])
			continue
		}
		i++
		switch at := strings.IndexByte(letters, text[i]); {
		case at >= 0:
			b.WriteByte(meanings[at])
		case text[i] == '$':
			b.WriteString("$$")
		case text[i] == '0':
			character, ok := octal(text[i+1:])
			if !ok {
				return "", p.failed(`has a \0 that is no octal escape`, `write three digits behind it, as in \0101, or \\0 for a backslash and a 0`)
			}
			b.WriteRune(character)
			i += 3
		default:
			b.WriteByte('\\')
			b.WriteByte(text[i])
		}
	}
	return b.String(), nil
}

// octal reads three digits.
func octal(text string) (character rune, ok bool) {
	if len(text) < 3 {
		return 0, false
	}
	for _, c := range []byte(text[:3]) {
		if c < '0' || c > '7' {
			return 0, false
		}
		character = character<<3 | rune(c-'0')
	}
	return character, character < 0o400
}

// notInName matches what Compose does not take for a part of a name.
func notInName(r rune) bool {
	return !unicode.IsLetter(r) && !unicode.IsNumber(r) && !strings.ContainsRune("_.-[]", r)
}

func isBlank(r rune) bool { return r != '\n' && unicode.IsSpace(r) }
