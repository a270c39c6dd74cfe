//go:build linux && amd64

package main_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// TestSignalAtEverySystemCall stops the harness at one system call after the other, and sends a signal there: what
// random moments only meet by luck. A signal that is sent before execve(2) is called ends start-up.
func TestSignalAtEverySystemCall(t *testing.T) {
	t.Parallel()
	if _, ok := traced(t, 0, 0); !ok {
		need(t, "permission to trace")
	}
	whole, _ := traced(t, 0, 0)
	require.True(t, whole.became, "without a signal COMMAND starts")
	require.Greater(t, whole.calls, 50)

	ended, early, lost := 0, 0, 0
	for at := 1; at < whole.calls+20; at++ {
		for _, signal := range []syscall.Signal{syscall.SIGTERM, ending[at%len(ending)]} {
			if signal == syscall.SIGTERM && at%len(ending) != 0 && at < whole.calls*2/3 {
				continue // every call near the exec, every fourth before
			}
			result, _ := traced(t, at, signal)
			what := fmt.Sprintf("%s at call %d of %d (%s): %+v", unix.SignalName(signal), at, whole.calls, result.call, result)
			switch {
			case !result.sent:
				require.True(t, result.became, what)
			case result.became:
				require.True(t, result.committed, "the signal was lost: %s", what)
				lost++ // between the last look and execve(2) no program can see it
			case result.status.Exited() && result.status.ExitStatus() == 128+int(signal):
				ended++
			case result.committed && result.status.Signaled() && result.status.Signal() == signal:
				ended++ // with the disposition that COMMAND gets
			case !result.atWork && (result.status.Signaled() && result.status.Signal() == signal || signal == syscall.SIGQUIT && result.status.ExitStatus() == 2):
				early++ // before the first line of main
			default:
				t.Fatalf("not 128+n: %s", what)
			}
		}
	}
	t.Logf("%d calls: %d ended start-up, %d came before main, %d after the last look", whole.calls, ended, early, lost)
	require.Greater(t, ended, 30)
}

// sweep is one traced start.
type sweep struct {
	calls     int    // system calls seen before COMMAND
	call      string // the one at which the signal was sent
	sent      bool   // the signal was sent
	atWork    bool   // the harness had looked at its directory by then
	committed bool   // it had looked for pending signals by then, and did not do so again
	became    bool   // COMMAND was started
	status    syscall.WaitStatus
}

// traced starts the harness and sends it signal when it enters its at-th system call; 0 for never.
// ok is false where tracing is not permitted.
func traced(t *testing.T, at int, signal syscall.Signal) (result sweep, ok bool) {
	t.Helper()
	// Only the thread that started a traced process may trace it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	dir := tree(t, map[string]string{"environment/A": "#!/bin/sh\necho value\n", "environment/B": "value\n"})
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	require.NoError(t, err)
	defer null.Close()
	pid, err := syscall.ForkExec(harnessPath, []string{"envharness", "--environment", "environment", "sleep", "1000"}, &syscall.ProcAttr{
		Dir: dir, Env: os.Environ(), Files: []uintptr{null.Fd(), null.Fd(), null.Fd()},
		Sys: &syscall.SysProcAttr{Ptrace: true},
	})
	if err != nil {
		return result, false
	}
	defer func() {
		if !result.status.Exited() && !result.status.Signaled() {
			unix.Kill(pid, unix.SIGKILL)
			unix.Wait4(pid, nil, unix.WALL|unix.WNOTHREAD, nil)
		}
	}()
	tracer := tracer{pid: pid, at: at, signal: signal, known: map[int]bool{pid: true}, inside: map[int]bool{}}
	tracer.run(t, &result)
	return result, true
}

// tracer follows every thread of one process until that becomes another program, or ends.
type tracer struct {
	pid, at int
	signal  syscall.Signal
	known   map[int]bool // threads that have begun
	inside  map[int]bool // threads within a system call
	looked  bool         // it has looked for pending signals
}

func (tr *tracer) run(t *testing.T, result *sweep) {
	t.Helper()
	var status unix.WaitStatus
	_, err := unix.Wait4(tr.pid, &status, unix.WALL|unix.WNOTHREAD, nil)
	require.NoError(t, err)
	require.True(t, status.Stopped())
	require.NoError(t, unix.PtraceSetOptions(tr.pid, unix.PTRACE_O_TRACESYSGOOD|unix.PTRACE_O_TRACECLONE|unix.PTRACE_O_TRACEEXEC|unix.PTRACE_O_EXITKILL))
	require.NoError(t, unix.PtraceSyscall(tr.pid, 0))
	for {
		// Other tests wait for children of their own: look at this thread's only.
		tid, err := unix.Wait4(-1, &status, unix.WALL|unix.WNOTHREAD, nil)
		if err == unix.EINTR {
			continue
		}
		require.NoError(t, err)
		if status.Exited() || status.Signaled() {
			if tid == tr.pid {
				result.status = syscall.WaitStatus(status)
				return
			}
			continue
		}
		if status.TrapCause() == unix.PTRACE_EVENT_EXEC {
			result.became = true
			return
		}
		// A thread may be gone before it is told to go on: its end is reported next.
		_ = unix.PtraceSyscall(tid, tr.stopped(t, tid, status, result))
	}
}

// stopped looks at a thread that has stopped, and gives the signal to continue it with.
func (tr *tracer) stopped(t *testing.T, tid int, status unix.WaitStatus, result *sweep) (deliver int) {
	t.Helper()
	stop := status.StopSignal()
	switch {
	case stop == unix.SIGTRAP|0x80:
		tr.inside[tid] = !tr.inside[tid]
		if tr.inside[tid] {
			tr.entered(t, tid, result)
		}
		return 0
	case stop == unix.SIGTRAP:
		return 0 // a thread was started
	case stop == unix.SIGSTOP && !tr.known[tid]:
		tr.known[tid] = true
		return 0 // that thread
	}
	return int(stop)
}

// entered counts a system call, and sends the signal at the one that was asked for.
func (tr *tracer) entered(t *testing.T, tid int, result *sweep) {
	t.Helper()
	var registers unix.PtraceRegs
	if unix.PtraceGetRegs(tid, &registers) != nil {
		return
	}
	result.calls++
	number := registers.Orig_rax
	if !result.sent && !result.atWork {
		result.atWork = bytes.HasPrefix(tr.text(registers.Rdi), []byte("environment")) || bytes.HasPrefix(tr.text(registers.Rsi), []byte("environment"))
	}
	if result.calls == tr.at && number != unix.SYS_EXECVE && number != unix.SYS_EXECVEAT {
		require.NoError(t, unix.Kill(tr.pid, tr.signal))
		result.sent, result.call, result.committed = true, fmt.Sprint(number), tr.looked
	}
	if number == unix.SYS_RT_SIGPENDING {
		tr.looked = true
		result.committed = false
	}
}

// text is what stands at address in the process, empty when nothing does.
func (tr *tracer) text(address uint64) []byte {
	memory, err := os.Open(filepath.Join("/proc", fmt.Sprint(tr.pid), "mem"))
	if err != nil {
		return nil
	}
	defer memory.Close()
	content := make([]byte, 16)
	if _, err := memory.ReadAt(content, int64(address)); err != nil {
		return nil
	}
	return content
}
