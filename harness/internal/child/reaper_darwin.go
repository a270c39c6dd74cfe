package child

// TerminateRest does nothing: the harness stays beside COMMAND on Linux alone.
func (ps *Children) TerminateRest() {}

// sent believes everybody: nothing is sent.
func (p *Process) sent(int) bool { return true }
