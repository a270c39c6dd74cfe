package envfile

import "strings"

// expand replaces $NAME, ${NAME} and ${NAME…} in a value; $$ is a dollar, and so is a $ before anything else.
func (p *parser) expand(text string) (string, error) {
	e := expansion{parser: p}
	value, err := e.expand(text)
	switch {
	case err != nil || !e.unset:
	case e.number:
		return "", p.failed("looks like a password hash: a $ before a digit, and one before a name that is not set", "put the value between single quotes, or write $$ for each $")
	case p.source.Unset != nil:
		p.source.Unset(p.line, p.name) // not the name there, which may be a part of a secret
	}
	return value, err
}

// expansion is what was seen on the way through one value.
type expansion struct {
	*parser
	number bool // a $ before a digit, which is kept
	unset  bool // a $NAME that nobody set
}

func (e *expansion) expand(text string) (string, error) {
	var b strings.Builder
	for {
		plain, rest, found := strings.Cut(text, "$")
		b.WriteString(plain)
		if !found {
			return b.String(), nil
		}
		value, length, err := e.reference(rest)
		if err != nil {
			return "", err
		}
		b.WriteString(value)
		text = rest[length:]
	}
}

// reference is the value of what follows a dollar, and its length.
func (e *expansion) reference(text string) (value string, length int, err error) {
	switch {
	case strings.HasPrefix(text, "$"):
		return "$", 1, nil
	case strings.HasPrefix(text, "{"):
		inner, length, closed := untilBrace(text)
		if !closed {
			return "", 0, e.invalid("a ${ that is never closed")
		}
		value, err := e.braced(inner)
		return value, length, err
	}
	length = nameLength(text)
	if length == 0 {
		e.number = e.number || text != "" && '0' <= text[0] && text[0] <= '9'
		return "$", 0, nil
	}
	return e.lookup(text[:length]), length, nil
}

// untilBrace is what stands between the braces that text begins with, and the length of it all.
func untilBrace(text string) (inner string, length int, closed bool) {
	open := 0
	for i, c := range []byte(text) {
		switch c {
		case '{':
			open++
		case '}':
			open--
		}
		if open == 0 {
			return text[1:i], i + 1, true
		}
	}
	return "", 0, false
}

// braced is the value of what stands between ${ and }.
func (e *expansion) braced(inner string) (string, error) {
	length := nameLength(inner)
	name, operator := inner[:length], inner[length:]
	if inner == "0" {
		return "", nil // what MarshalDotenv writes behind a quote at a value's end, for godotenv
	}
	if name == "" {
		return "", e.invalid("a ${ before what is no name")
	}
	if operator == "" {
		return e.lookup(name), nil
	}
	value, set := e.find(name)
	word, orEmpty := strings.CutPrefix(operator, ":")
	if orEmpty && value == "" {
		set = false
	}
	if word == "" {
		return "", e.invalid("a ${NAME: without an operator")
	}
	switch kind, alternative := word[0], word[1:]; {
	case kind == '-' && set, kind == '?' && set:
		return value, nil
	case kind == '-', kind == '+' && set:
		return e.expand(alternative)
	case kind == '+':
		return "", nil
	case kind == '?':
		return "", e.failed("needs "+name+", which is not set", "set "+name)
	}
	return "", e.invalid("an operator behind ${NAME that Compose does not have")
}

func (e *expansion) invalid(problem string) error {
	return e.failed("has "+problem, "write $$ for a dollar, or put the value between single quotes")
}

// lookup is the value of a name; one that is not set is empty, and told.
func (e *expansion) lookup(name string) string {
	value, ok := e.find(name)
	if !ok {
		e.unset = true
	}
	return value
}

func (p *parser) find(name string) (value string, ok bool) {
	if p.source.Strong != nil {
		if value, ok = p.source.Strong(name); ok {
			return value, true
		}
	}
	if i, known := p.known[name]; known {
		return p.variables[i].Value, true
	}
	if p.source.Weak != nil {
		return p.source.Weak(name)
	}
	return "", false
}

// nameLength is the length of the name that text begins with.
func nameLength(text string) int {
	for i, c := range []byte(text) {
		letter := c == '_' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return i
		}
	}
	return len(text)
}
