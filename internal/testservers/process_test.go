package testservers

import (
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"testing"
)

// refused keeps the reason for which a test fails to itself.
type refused struct {
	testing.TB
	reason string
}

func (r *refused) Fatalf(format string, args ...any) {
	r.reason = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

// TestEndedBeforeReady: a server that cannot start is not waited for.
func TestEndedBeforeReady(t *testing.T) {
	Slow(t, "a process") // as StartProcess says, of which this looks at the failures
	r := &refused{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		StartProcess(r, "sh", func() *exec.Cmd { return exec.Command("sh", "-c", "exit 3") }, func() error { return errors.New("not ready") })
	}()
	<-done
	if want := "sh ended before it was ready: exit status 3"; r.reason != want {
		t.Errorf("failed with %q, not %q", r.reason, want)
	}
}
