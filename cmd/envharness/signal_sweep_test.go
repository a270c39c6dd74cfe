//go:build linux && amd64

package main_test

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// TestSignalAtEverySystemCall stops the harness at one system call after the other and sends a signal there: what
// random moments only meet by luck. A signal that is sent before execve(2) is called ends start-up.
func TestSignalAtEverySystemCall(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("TestSignalAtRandomMoments is the short one")
	}
	t.Run("plain", func(t *testing.T) {
		t.Parallel()
		sweepSignals(t, 0, 12, "--environment", "environment")
	})
	t.Run("nothing to do", func(t *testing.T) {
		t.Parallel()
		sweepSignals(t, 0, 4)
	})
	t.Run("nothing to do, as PID 1", func(t *testing.T) {
		t.Parallel()
		need(t, "root")
		sweepSignals(t, syscall.CLONE_NEWPID, 4)
	})
	t.Run("as PID 1", func(t *testing.T) {
		t.Parallel()
		need(t, "root")
		sweepSignals(t, syscall.CLONE_NEWPID, 12, "--environment", "environment")
	})
}

// sweepSignals tries every system call of the hand-over to COMMAND, and every stride-th before. Without options there is
// nothing to do, and COMMAND takes over before the first line of main.
func sweepSignals(t *testing.T, flags uintptr, stride int, options ...string) {
	dir := tree(t, map[string]string{"environment/A": "#!/bin/sh\necho value\n", "environment/last": "value\n"})
	whole := traced(t, dir, flags, 0, 0, options)
	require.True(t, whole.became, "without a signal COMMAND starts: %+v", whole)
	if works := len(options) > 0; works {
		require.Greater(t, whole.handOver, 0)
		require.True(t, whole.looked)
	} else {
		whole.handOver = whole.calls - 30
	}

	ended, died, early, late := 0, 0, 0, 0
	for at := 1; at < whole.calls+10; at++ {
		if at < whole.handOver-10 && at%stride != 0 {
			continue
		}
		signal := ending[at%len(ending)]
		result := traced(t, dir, flags, at, signal, options)
		what := fmt.Sprintf("%s at call %d of %d, number %d: %+v", unix.SignalName(signal), at, whole.calls, result.number, result)
		switch {
		case !result.sent:
			require.True(t, result.became, what)
		case result.status.Exited() && result.status.ExitStatus() == 128+int(signal):
			ended++
		case !result.atWork:
			early++ // before the first line of main the signal has its default action
		case result.became && result.has && flags&syscall.CLONE_NEWPID == 0:
			died++ // of the signal, before its first instruction
		case result.became && result.between == 0:
			late++ // as execve(2) was being called
		case result.became && flags&syscall.CLONE_NEWPID != 0 && result.looked:
			late++ // a PID 1 has no default action: what comes after its last look goes unnoticed
		case result.became:
			t.Fatalf("the signal was lost: %s", what)
		case result.status.Signaled() && result.status.Signal() == signal && result.handOver > 0:
			died++ // nothing runs any more, and the disposition is COMMAND's already: the shell's 128+n
		default:
			t.Fatalf("not 128+n: %s", what)
		}
	}
	t.Logf("%d calls, the last %d of them hand over: %d ended with 128+n, %d by the signal, %d before main, %d too late",
		whole.calls, whole.calls-whole.handOver, ended, died, early, late)
	require.Greater(t, ended+early, 10)
	require.Equal(t, len(options) > 0, ended > 0)
}

// sweep is one traced start.
type sweep struct {
	calls    int    // system calls before COMMAND
	handOver int    // the first of them after everything was resolved; 0 while it was not
	sent     bool   // the signal was sent
	number   uint64 // of the system call at which it was
	atWork   bool   // the harness had looked at its directory by then
	looked   bool   // and had begun to look a last time for signals that came
	between  int    // system calls of the thread that became COMMAND, from the signal to execve(2)
	became   bool   // COMMAND was started
	has      bool   // with the signal waiting for it, before its first instruction
	status   unix.WaitStatus
}

// traced starts the harness in dir and sends it signal when it enters its at-th system call; 0 is never.
func traced(t *testing.T, dir string, flags uintptr, at int, signal syscall.Signal, options []string) sweep {
	t.Helper()
	// Only the thread that started a traced process may trace it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	require.NoError(t, err)
	defer null.Close()
	pid, err := syscall.ForkExec(harnessPath, slices.Concat([]string{"envharness"}, options, []string{"sleep", "1000"}), &syscall.ProcAttr{
		Dir: dir, Env: plainEnviron(), Files: []uintptr{null.Fd(), null.Fd(), null.Fd()},
		Sys: &syscall.SysProcAttr{Ptrace: true, Setpgid: true, Cloneflags: flags},
	})
	if err != nil && !skipsAllowed() {
		require.NoError(t, err)
	} else if err != nil {
		t.Skipf("tracing is not permitted here: %v", err)
	}
	tr := &tracer{pid: pid, at: at, signal: signal, known: map[int]bool{pid: true}, inside: map[int]bool{}, since: map[int]int{}}
	defer tr.end()
	tr.run(t)
	return tr.sweep
}

// tracer follows every thread of one process until that becomes another program, or ends.
type tracer struct {
	sweep
	pid, at int
	signal  syscall.Signal
	memory  *os.File     // the process's
	known   map[int]bool // threads that have begun
	inside  map[int]bool // threads within a system call
	since   map[int]int  // each thread's system calls since the signal was sent
	called  bool         // execve(2) was called
	taking  int          // the thread that takes the signal, until it does something else
	waiting [][2]int     // threads that wait for that, and the signals to resume them with
}

// end kills what still runs.
func (tr *tracer) end() {
	if tr.status.Exited() || tr.status.Signaled() {
		return
	}
	_ = unix.Kill(tr.pid, unix.SIGKILL)
	for {
		var status unix.WaitStatus
		pid, err := unix.Wait4(tr.pid, &status, unix.WALL|unix.WNOTHREAD, nil)
		if err == nil && pid == tr.pid && (status.Exited() || status.Signaled()) || err == unix.ECHILD {
			return
		}
	}
}

func (tr *tracer) run(t *testing.T) {
	t.Helper()
	var status unix.WaitStatus
	_, err := unix.Wait4(tr.pid, &status, unix.WALL|unix.WNOTHREAD, nil)
	require.NoError(t, err)
	require.True(t, status.Stopped())
	tr.memory, err = os.Open(fmt.Sprintf("/proc/%d/mem", tr.pid))
	require.NoError(t, err)
	defer tr.memory.Close()
	require.NoError(t, unix.PtraceSetOptions(tr.pid, unix.PTRACE_O_TRACESYSGOOD|unix.PTRACE_O_TRACECLONE|unix.PTRACE_O_TRACEEXEC|unix.PTRACE_O_EXITKILL))
	require.NoError(t, unix.PtraceSyscall(tr.pid, 0))
	for {
		// Other tests wait for children of their own, some perhaps started by this very thread: look at one group only.
		tid, err := unix.Wait4(-tr.pid, &status, unix.WALL|unix.WNOTHREAD, nil)
		if err == unix.EINTR {
			continue
		}
		require.NoError(t, err)
		switch {
		case (status.Exited() || status.Signaled()) && tid == tr.pid:
			tr.status = status
			return
		case status.Exited(), status.Signaled():
		case status.TrapCause() == unix.PTRACE_EVENT_EXEC:
			tr.became = true
			tr.has = pending(t, tr.pid, tr.signal)
			return
		default:
			tr.resume(tid, tr.stopped(t, tid, status))
		}
	}
}

// resume lets a stopped thread go on. A thread that takes the signal goes first: without a tracer nobody
// could come between the kernel's taking it from the pending ones and its effect.
func (tr *tracer) resume(tid, deliver int) {
	if tr.taking != 0 && tr.taking != tid {
		tr.waiting = append(tr.waiting, [2]int{tid, deliver})
		return
	}
	// A thread may be gone before it is told to go on: its end is reported next.
	_ = unix.PtraceSyscall(tid, deliver)
	if tr.sent && deliver == int(tr.signal) {
		tr.taking = tid
		return
	}
	tr.taking = 0
	for _, other := range tr.waiting {
		_ = unix.PtraceSyscall(other[0], other[1])
	}
	tr.waiting = nil
}

// pending tells whether a signal waits for a process to take it.
func pending(t *testing.T, pid int, signal syscall.Signal) bool {
	t.Helper()
	if signal == 0 {
		return false
	}
	for _, name := range []string{"SigPnd", "ShdPnd"} {
		set, err := strconv.ParseUint(statusOf(pid, name), 16, 64)
		require.NoError(t, err)
		if set&(1<<(signal-1)) != 0 {
			return true
		}
	}
	return false
}

// stopped looks at a thread that has stopped, and gives the signal to continue it with.
func (tr *tracer) stopped(t *testing.T, tid int, status unix.WaitStatus) (deliver int) {
	t.Helper()
	stop := status.StopSignal()
	switch {
	case stop == unix.SIGTRAP|0x80:
		tr.inside[tid] = !tr.inside[tid]
		if tr.inside[tid] {
			tr.entered(t, tid)
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
func (tr *tracer) entered(t *testing.T, tid int) {
	t.Helper()
	var registers unix.PtraceRegs
	if unix.PtraceGetRegs(tid, &registers) != nil {
		return
	}
	tr.calls++
	number := registers.Orig_rax
	if tr.handOver == 0 { // what comes before is what tells how far it is
		path := tr.path(registers.Rdi) + tr.path(registers.Rsi)
		tr.atWork = tr.atWork || path != "" && !tr.sent
		if strings.HasPrefix(path, "environment/last") {
			tr.handOver = tr.calls
		}
	}
	if number == unix.SYS_EXECVE || number == unix.SYS_EXECVEAT {
		tr.called = true // what comes now, while it is under way, is COMMAND's
		tr.between = tr.since[tid]
	}
	if tr.sent {
		tr.since[tid]++
	} else if number == unix.SYS_GETPPID {
		tr.looked = true
	}
	if tr.calls == tr.at && !tr.called {
		require.NoError(t, unix.Kill(tr.pid, tr.signal))
		tr.sent, tr.number = true, number
	}
}

// path is the path below environment that stands at address in the process, "" when none does.
func (tr *tracer) path(address uint64) string {
	var content [16]byte
	if n, err := tr.memory.ReadAt(content[:], int64(address)); n < 11 || err != nil || !bytes.HasPrefix(content[:], []byte("environment")) {
		return ""
	}
	return string(content[:])
}
