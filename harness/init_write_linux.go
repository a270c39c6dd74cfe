package harness

import (
	"errors"

	"github.com/envharness/envharness/harness/internal/envfmt"
	"github.com/envharness/envharness/internal/securefile"
	"github.com/envharness/envharness/internal/text"
)

// writeEnvironment keeps the dotenv file current for commands that read it themselves.
func (s *startup) writeEnvironment(variables []Variable) error {
	if s.Init.Write == "" {
		return nil
	}
	content, err := envfmt.MarshalDotenv(variables)
	if err != nil {
		return err
	}
	if err := s.writeForCommand(s.Init.Write, content); err != nil {
		return &Error{Subject: s.Init.Write, Problem: "cannot be written (--write): " + text.Reason(err), Next: "name a file in a directory that the harness may write to, by a path without links of other users", Err: err}
	}
	return nil
}

// writeForCommand replaces a file for COMMAND's user alone. A path in which that user has a say, by a link or a
// FIFO of theirs, is written to as that user, who cannot have the harness write where only root may.
func (s *startup) writeForCommand(path string, content []byte) error {
	const mode = 0o600
	if s.user == nil {
		return securefile.Write(path, content, mode, nil)
	}
	err := securefile.Write(path, content, mode, &securefile.Owner{UID: int(s.user.UID), GID: int(s.user.GID)})
	if errors.Is(err, securefile.ErrForeign) {
		return s.asUser(func() error { return securefile.Write(path, content, mode, nil) })
	}
	return err
}
