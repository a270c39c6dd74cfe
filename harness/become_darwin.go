package harness

import "errors"

func resetIgnored() {}

func (s *startup) asUser(f func() error) error {
	if s.user != nil {
		return &Error{Subject: "--user", Problem: "works on Linux alone", Err: errors.ErrUnsupported}
	}
	return f()
}

func (s *startup) handOver(file string, argv, env []string) error {
	if err := s.chdir(); err != nil {
		return err
	}
	if sig := s.children.StoppedBy(); sig != 0 {
		return &SignalError{Signal: sig}
	}
	return s.exec(file, argv, env)
}
