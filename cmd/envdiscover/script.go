package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"
)

// maxScript is the most bytes that a script has: what is larger is none.
const maxScript = 64 << 10

// unfoldScript replaces a first word with a slash in it, which names a script, by the command in that script; the
// words behind it are appended.
func (p *program) unfoldScript(words []string) ([]string, error) {
	if len(words) == 0 || !strings.Contains(words[0], "/") || strings.HasPrefix(words[0], "-") {
		return words, nil
	}
	command, err := p.readScript(words[0])
	if err != nil {
		return nil, failed(fmt.Errorf("script %s: %w", words[0], err), exitUsage,
			"a script is #!/usr/bin/envdiscover and one command on the lines below, as: url db --scheme postgresql")
	}
	return append(command, words[1:]...), nil
}

func (p *program) readScript(path string) ([]string, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, errors.Unwrap(err) // the path is said already
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxScript+1))
	switch {
	case err != nil:
		return nil, err
	case len(text) > maxScript:
		return nil, fmt.Errorf("it has more than %d bytes", maxScript)
	}
	command, err := splitWords(string(text), p.lookup)
	switch {
	case err != nil:
		return nil, err
	case len(command) == 0:
		return nil, errors.New("there is no command in it")
	case strings.Contains(command[0], "/"):
		return nil, fmt.Errorf("its command %q is none of envdiscover's", command[0])
	}
	return command, nil
}

func (p *program) lookup(name string) (string, error) {
	if value, ok := p.lookupEnv(name); ok {
		return value, nil
	}
	return "", fmt.Errorf("the variable %s is not set", name)
}

// splitWords splits a script into words as sh does: blanks and newlines between them, '…' takes all as it stands, "…"
// expands, a backslash takes the next character as it stands. A line that begins with # outside of quotes is
// skipped. A variable's value is never split, and one that is not set is an error, because what would go on with an
// empty one in its place is an announcement.
func splitWords(text string, lookup func(string) (string, error)) ([]string, error) {
	s := splitter{lookup: lookup}
	var lines []string
	for line := range strings.Lines(text) {
		lines = append(lines, strings.TrimRight(line, "\r\n"))
	}
	s.rest = strings.Join(lines, "\n")
	s.skipComments()
	for s.rest != "" {
		before := s.rest
		if err := s.step(); err != nil {
			return nil, err
		}
		if strings.HasSuffix(before[:len(before)-len(s.rest)], "\n") {
			s.skipComments()
		}
	}
	if s.quoted {
		return nil, errors.New(`a " is not closed`)
	}
	s.endWord()
	return s.words, nil
}

// splitter is the state of splitWords.
type splitter struct {
	lookup func(string) (string, error)
	rest   string
	words  []string
	word   strings.Builder
	inWord bool // so that '' is a word
	quoted bool // between double quotes
}

// skipComments skips the lines that begin with #, from the beginning of a line on. Between quotes there are none.
func (s *splitter) skipComments() {
	for !s.quoted && strings.HasPrefix(strings.TrimLeft(s.rest, " \t"), "#") {
		_, s.rest, _ = strings.Cut(s.rest, "\n")
	}
}

// step takes one character, or what it begins.
func (s *splitter) step() error {
	c := s.rest[0]
	s.rest = s.rest[1:]
	switch {
	case c == 0:
		return errors.New("it holds a NUL byte")
	case c == '"':
		s.quoted, s.inWord = !s.quoted, true
	case c == '$':
		return s.variable()
	case c == '\\':
		s.backslash()
	case s.quoted:
		s.addByte(c)
	case c == '\'':
		return s.singleQuoted()
	case c == ' ' || c == '\t' || c == '\n':
		s.endWord()
	default:
		s.addByte(c)
	}
	return nil
}

func (s *splitter) addByte(c byte) {
	s.word.WriteByte(c)
	s.inWord = true
}

func (s *splitter) add(text string) {
	s.word.WriteString(text)
	s.inWord = true
}

func (s *splitter) endWord() {
	if s.inWord {
		s.words = append(s.words, s.word.String())
		s.word.Reset()
		s.inWord = false
	}
}

func (s *splitter) singleQuoted() error {
	text, rest, closed := strings.Cut(s.rest, "'")
	if !closed {
		return errors.New("a ' is not closed")
	}
	s.add(text)
	s.rest = rest
	return nil
}

// backslash takes what follows it as it stands, and joins lines. Between double quotes it does so only before what
// means something there.
func (s *splitter) backslash() {
	if s.rest == "" {
		s.add(`\`)
		return
	}
	_, size := utf8.DecodeRuneInString(s.rest)
	next := s.rest[:size]
	s.rest = s.rest[size:]
	switch {
	case next == "\n":
	case s.quoted && !strings.Contains("\"$\\`", next):
		s.add(`\` + next)
	default:
		s.add(next)
	}
}

// variable expands $NAME and ${NAME}. What only a shell could do is refused.
func (s *splitter) variable() error {
	if s.rest == "" || strings.ContainsRune(" \t\n\"'", rune(s.rest[0])) {
		s.add("$")
		return nil
	}
	text := s.rest
	name := text[:nameLength(text)]
	rest := text[len(name):]
	if text[0] == '{' {
		name = text[1 : 1+nameLength(text[1:])]
		var closed bool
		if rest, closed = strings.CutPrefix(text[1+len(name):], "}"); !closed {
			name = ""
		}
	}
	if name == "" {
		return fmt.Errorf("$%c…: only $NAME and ${NAME} are expanded; write \\$ or '$' for a dollar", []rune(text)[0])
	}
	value, err := s.lookup(name)
	if err != nil {
		return err
	}
	s.add(value)
	s.rest = rest
	return nil
}

// nameLength is how much of the text is the name of a variable.
func nameLength(text string) int {
	for i, c := range []byte(text) {
		letter := c == '_' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return i
		}
	}
	return len(text)
}
