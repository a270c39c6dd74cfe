package harness

import (
	"io"
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
		content, err := patiently(s, file, func() ([]byte, error) { return loadEnvFile(file) })
		if err != nil {
			return err
		}
		values, err := parseEnvFile(file, content)
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

// parseEnvFile reads what one file says and checks that an environment can hold it. godotenv's own errors
// quote the file, secrets and all, so of them only the fact is told.
func parseEnvFile(file string, content []byte) (map[string]string, error) {
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
