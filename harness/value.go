package harness

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"

	"github.com/envharness/envharness/harness/internal/envfile"
	"github.com/envharness/envharness/harness/internal/environ"
	"github.com/envharness/envharness/harness/internal/timeline"
	"github.com/envharness/envharness/internal/text"
)

const (
	// maxEntry is the most bytes that execve(2) takes for one NAME=VALUE: MAX_ARG_STRLEN, 32 pages of 4 KiB,
	// less the NUL that ends it.
	maxEntry = 32*4096 - 1
)

// valueOf applies the rules that make output a value: trailing newlines go, as in $(…), everything else
// stays; a NUL, and more than execve(2) takes, is refused.
func valueOf(name string, output []byte) (string, *Error) {
	output = trimmed(output)
	if i := bytes.IndexByte(output, 0); i >= 0 {
		return "", &Error{
			Subject: name,
			Problem: nulProblem(i),
			Next:    nulHint,
		}
	}
	if err := fits(name, string(output)); err != nil {
		return "", err
	}
	return string(output), nil
}

// trimmed is output without trailing newlines.
func trimmed(output []byte) []byte { return bytes.TrimRight(output, "\n") }

func nulProblem(offset int) string {
	return fmt.Sprintf("its value has a NUL byte at offset %d: no environment variable can hold one", offset)
}

const nulHint = "make it text, for instance the base64 of binary data"

// fits checks that execve(2) takes name and value as one entry.
func fits(name, value string) *Error {
	size := len(name) + 1 + len(value)
	if size <= maxEntry {
		return nil
	}
	return &Error{
		Subject: name,
		Problem: fmt.Sprintf("its value makes an entry of %d bytes: the kernel takes %d for one variable", size, maxEntry),
		Next:    "--as-file " + name + " lets it stand in a file, whose path COMMAND gets as " + name + fileSuffix,
	}
}

// membersOf makes variables of what an entry gave: one of a variable's value, many of a set. An error names the entry,
// and of a set the member.
func (s *startup) membersOf(e entry, output []byte, env *environ.Environ) ([]member, error) {
	if e.isSet() {
		return s.setMembers(e, output, env)
	}
	value, err := s.valueOf(e.name, output)
	if err != nil {
		err.Subject = e.path
		return nil, err
	}
	if value == "" && s.Empty == EmptyFail {
		return nil, &Error{Subject: e.path, Problem: "its value is empty (--empty fail)", Next: emptyHint}
	}
	return []member{{e.name, value, value == "" && s.Empty == EmptyUnset}}, nil
}

const emptyHint = "let it print a value, or allow empty ones with --empty keep"

// valueOf is the value in an output. One that will stand in a file may be longer than a variable's.
func (s *startup) valueOf(name string, output []byte) (string, *Error) {
	value, err := valueOf(name, output)
	if err != nil && s.isAsFile(name) && fits(name, string(trimmed(output))) != nil && !strings.Contains(string(output), "\x00") {
		return string(trimmed(output)), nil
	}
	return value, err
}

// setMembers reads a set.
func (s *startup) setMembers(e entry, output []byte, env *environ.Environ) ([]member, error) {
	if len(output) > maxFile {
		return nil, &Error{Subject: e.path, Problem: "gives more than " + strconv.Itoa(maxFile>>20) + " MiB, more than all variables together may be", Next: "leave out what is no variable", Kind: timeline.Refused}
	}
	variables, err := s.parseSet(e, output, env)
	if err != nil {
		return nil, unreadable(e.path, err)
	}
	members := make([]member, 0, len(variables))
	from := make(map[string]string, len(variables))
	for _, v := range variables {
		m, taken, err := s.setMember(e, v)
		if err != nil {
			return nil, err
		}
		if !taken {
			continue
		}
		if other, twice := from[m.name]; twice {
			return nil, memberError(e, v.Name, "becomes "+m.name+", and so does "+text.Printable(other), "rename one of the two in the store")
		}
		from[m.name] = v.Name
		members = append(members, m)
	}
	return members, nil
}

func (s *startup) parseSet(e entry, output []byte, env *environ.Environ) ([]envfile.Variable, error) {
	if e.kind == aJSONSet {
		return envfile.ParseJSON(output)
	}
	return envfile.Parse(output, envfile.Source{Weak: env.Lookup, Unset: s.warnUnset(e.path)})
}

// setMember applies the rules for names and values to one member, and tells whether it takes part.
func (s *startup) setMember(e entry, v envfile.Variable) (m member, taken bool, err error) {
	name, ok := s.Names.Of(v.Name)
	switch {
	case !ok && s.Names == NamesSkip:
		s.Log.Warn("skipped: its name cannot be a variable (--names skip)", "path", e.path, "name", v.Name)
		return m, false, nil
	case v.Name == "":
		return m, false, memberError(e, "(empty name)", "a member without a name is no variable", "name it in the store, or --names skip leaves it out")
	case !ok:
		return m, false, memberError(e, v.Name, "its name cannot be a variable: a name is a letter or _ and then letters, digits or _", "--names upper maps such names, --names skip leaves them out")
	case s.PreferInherited && s.isInherited(name):
		return m, false, nil
	}
	v.Name = name
	if err := s.checkMember(e.path, v); err != nil {
		return m, false, err
	}
	if v.Value == "" && s.Empty == EmptyFail {
		return m, false, memberError(e, name, "its value is empty (--empty fail)", emptyHint)
	}
	return member{name, v.Value, v.Value == "" && s.Empty == EmptyUnset}, true, nil
}

func memberError(e entry, name, problem, next string) error {
	return &Error{Subject: e.path, Problem: text.Printable(name) + ": " + problem, Next: next, Kind: timeline.Refused}
}
