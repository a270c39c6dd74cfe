package harness

import (
	"os"
	"strings"

	"github.com/joho/godotenv"

	"github.com/envharness/envharness/harness/internal/timeline"
	"github.com/envharness/envharness/internal/text"
)

// readEnvFiles reads the dotenv files. They are the weakest source: what is inherited wins over them, and a
// later file wins over an earlier one.
func (s *startup) readEnvFiles() error {
	for _, file := range s.EnvFiles {
		began := s.elapsed()
		values, err := readEnvFile(file)
		if err != nil {
			return err
		}
		for name, value := range values {
			if _, fromFile := s.envFile[name]; fromFile || !s.env.has(name) {
				s.env.set(name, value)
				s.envFile[name] = file
			}
		}
		s.addSpan(timeline.Span{Phase: "env-file", Name: file, Path: file, Start: began, End: s.elapsed(), Tries: 1, Outcome: timeline.OK})
	}
	return nil
}

// readEnvFile reads one file and checks that an environment can hold what it says. godotenv's own errors
// quote the file, secrets and all, so of them only the fact is told.
func readEnvFile(file string) (map[string]string, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, &Error{Subject: file, Problem: "cannot read the env-file: " + text.Reason(err), Next: "check --env-file", Err: err}
	}
	values, err := godotenv.UnmarshalBytes(content)
	if err != nil {
		return nil, &Error{
			Subject: file,
			Problem: "is not a dotenv file",
			Next:    "every line is NAME=VALUE, a comment (#) or empty, and every quote is closed",
		}
	}
	for name, value := range values {
		if name == "" || strings.ContainsAny(name, "=\x00 \t\n") {
			return nil, &Error{Subject: file, Problem: "has a line whose name no variable can have", Next: "every line is NAME=VALUE, a comment (#) or empty"}
		}
		if _, err := valueOf(name, []byte(value)); err != nil {
			return nil, &Error{Subject: file, Problem: err.Error(), Next: hintOf(err)}
		}
	}
	return values, nil
}

// hintOf is the next step that an error tells, or empty.
func hintOf(err error) string {
	if h, ok := err.(interface{ Hint() string }); ok {
		return h.Hint()
	}
	return ""
}
