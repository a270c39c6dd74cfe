package harness

import (
	"errors"
	"io"
	"os"
	"strings"

	"github.com/envharness/envharness/harness/internal/envfile"
	"github.com/envharness/envharness/harness/internal/timeline"
	"github.com/envharness/envharness/internal/text"
)

// readEnvFiles reads the dotenv files. They are the weakest source: what is inherited wins over them, and a
// later file wins over an earlier one.
func (s *startup) readEnvFiles() error {
	for _, file := range s.EnvFiles {
		began := s.elapsed()
		content, err := patiently(s, file, func() ([]byte, error) { return loadEnvFile(file) })
		if err != nil {
			return err
		}
		variables, err := s.parseEnvFile(file, content)
		if err != nil {
			return err
		}
		for _, v := range variables {
			if !s.isInherited(v.Name) {
				s.env.Set(v.Name, v.Value)
				s.envFile[v.Name] = file
			}
		}
		s.addSpan(timeline.Span{Phase: "env-file", Name: file, Path: file, Start: began, End: s.elapsed(), Tries: 1, Outcome: timeline.OK})
	}
	return nil
}

// maxEnvFile is the most that an env-file may be: more than execve(2) takes for all variables together, 6 MiB.
const maxEnvFile = 8 << 20

// loadEnvFile gives the content of an env-file, which may be a FIFO, as of <(vault …).
func loadEnvFile(file string) ([]byte, error) {
	failed := func(problem string, err error) error {
		return &Error{Subject: file, Problem: "cannot read the env-file: " + problem, Next: "check --env-file", Err: err}
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, failed(text.Reason(err), err)
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, maxEnvFile+1))
	if err != nil {
		return nil, failed(text.Reason(err), err)
	}
	if len(content) > maxEnvFile {
		return nil, failed("it is over 8 MiB, more than all variables together may be", nil)
	}
	return content, nil
}

// parseEnvFile reads what one file says and checks that an environment can hold it.
func (s *startup) parseEnvFile(file string, content []byte) ([]envfile.Variable, error) {
	variables, err := envfile.Parse(content, envfile.Source{
		Strong: func(name string) (string, bool) { return s.env.Value(name), s.isInherited(name) },
		Weak:   s.env.Lookup,
		Unset:  s.warnUnset(file),
	})
	if err != nil {
		return nil, unreadable(file, err)
	}
	for _, v := range variables {
		if err := s.checkMember(file, v); err != nil {
			return nil, err
		}
	}
	return variables, nil
}

// warnUnset tells of a line that refers to a variable that nobody set.
func (s *startup) warnUnset(path string) func(line int, name string) {
	return func(line int, name string) {
		s.Log.Warn("refers to a variable that is not set, which is taken for empty", "path", path, "line", line, "name", name)
	}
}

// unreadable says why what gives many variables gives none.
func unreadable(path string, err error) *Error {
	failed := &Error{Subject: path, Problem: err.Error(), Kind: timeline.Refused}
	if e := new(envfile.Error); errors.As(err, &e) {
		failed.Next = e.Next
	}
	return failed
}

// checkMember refuses a value that no variable can have. One that will stand in a file may be longer.
func (s *startup) checkMember(path string, v envfile.Variable) error {
	refused := &envfile.Error{Line: v.Line, Name: text.Printable(v.Name)}
	if i := strings.IndexByte(v.Value, 0); i >= 0 {
		refused.Problem, refused.Next = nulProblem(i), nulHint
	} else if err := fits(v.Name, v.Value); err != nil && !s.isAsFile(v.Name) {
		refused.Problem, refused.Next = err.Problem, err.Next
	} else {
		return nil
	}
	return unreadable(path, refused)
}
