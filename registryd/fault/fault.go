// Package fault is the error of a registry that an operator can do something about.
package fault

// Error is a failure and what to do about it.
type Error struct {
	Problem string
	Next    string // what to do
	Err     error  // may be nil
}

func (e *Error) Error() string {
	if e.Err == nil {
		return e.Problem
	}
	return e.Problem + ": " + e.Err.Error()
}

func (e *Error) Unwrap() error { return e.Err }

// Hint is what to do.
func (e *Error) Hint() string { return e.Next }
