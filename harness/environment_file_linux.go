package harness

// writeEnvironment keeps the dotenv file current for commands that read it themselves.
func (v *supervisor) writeEnvironment() error {
	if v.Init.Write == "" {
		return nil
	}
	v.mu.Lock()
	variables := v.current.resolution().Decided
	v.mu.Unlock()
	content, err := MarshalDotenv(variables)
	if err != nil {
		return err
	}
	if err := writeFile(v.Init.Write, content, 0o600, v.base.user); err != nil {
		return &Error{Subject: v.Init.Write, Problem: "cannot be written (--write): " + reason(err), Next: "name a file in a directory that the harness may write to", Err: err}
	}
	return nil
}
