// Package testservers starts real servers for tests, on free loopback ports and in temporary directories,
// and stops what it started.
package testservers

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience bounds the start of a server on a busy machine.
const patience = time.Minute

// Missing skips the test for want of a server, with the command that installs it; under
// ENVHARNESS_TEST_REQUIRE=all it fails it.
func Missing(t testing.TB, server, install string) {
	t.Helper()
	text := fmt.Sprintf("%s is missing; install it: %s", server, install)
	if os.Getenv("ENVHARNESS_TEST_REQUIRE") == "all" {
		t.Fatal(text)
	}
	t.Skip(text)
}

// Slow leaves the test out of go test -short (make test-quick): it waits for what, a real server or a
// Docker engine, for longer than a change is worth. Under ENVHARNESS_TEST_REQUIRE=all nothing is left out.
func Slow(t testing.TB, what string) {
	t.Helper()
	if testing.Short() && os.Getenv("ENVHARNESS_TEST_REQUIRE") != "all" {
		t.Skip("left out of go test -short: it takes " + what)
	}
}

// wiped ends a server, removes what it keeps in a directory, and starts it again.
func (p *Process) wiped(t testing.TB, data string) {
	t.Helper()
	p.end()
	if err := os.RemoveAll(data); err != nil {
		t.Fatal(err)
	}
	p.Start(t)
}

// Process is a server that a test can kill, start again, stop and continue. Its methods fail the test
// when they cannot.
type Process struct {
	name    string
	command func() *exec.Cmd
	ready   func() error
	output  *os.File // a file needs no goroutine to copy, that a leak check would find

	lock sync.Mutex
	cmd  *exec.Cmd
}

// StartProcess starts what command makes and waits until ready gives no error. The server is killed at
// the end of the test.
func StartProcess(t testing.TB, name string, command func() *exec.Cmd, ready func() error) *Process {
	t.Helper()
	Slow(t, name)
	output, err := os.Create(filepath.Join(t.TempDir(), "output"))
	if err != nil {
		t.Fatal(err)
	}
	p := &Process{name: name, command: command, ready: ready, output: output}
	t.Cleanup(func() {
		p.end()
		if t.Failed() {
			t.Logf("%s said:\n%s", name, p.tail())
		}
		output.Close()
	})
	p.Start(t)
	return p
}

// Start starts the server, again with the data that it has, and waits until it is ready.
func (p *Process) Start(t testing.TB) {
	t.Helper()
	p.lock.Lock()
	defer p.lock.Unlock()
	cmd := p.command()
	cmd.Stdout, cmd.Stderr = p.output, p.output
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true // a Ctrl-C is for the test
	dieWithParent(cmd.SysProcAttr)
	if err := cmd.Start(); err != nil {
		t.Fatalf("cannot start %s: %v", p.name, err)
	}
	p.cmd = cmd
	p.await(t, cmd, p.ready)
}

// await waits until ready gives no error. The test fails when the server ends before.
func (p *Process) await(t testing.TB, cmd *exec.Cmd, ready func() error) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		over := ended(cmd.Process.Pid) // asked first: nobody else's answer counts
		err := ready()
		switch {
		case over:
			t.Fatalf("%s ended before it was ready: %v", p.name, cmd.Wait())
		case err == nil:
			return
		case time.Now().After(deadline):
			t.Fatalf("%s is not ready after %s: %v", p.name, patience, err)
		}
	}
}

// Kill ends the server by SIGKILL and waits until it is gone.
func (p *Process) Kill(t testing.TB) {
	t.Helper()
	p.end()
}

// Pause stops the server by SIGSTOP: it keeps its connections and answers nothing.
func (p *Process) Pause(t testing.TB) {
	t.Helper()
	p.signal(t, syscall.SIGSTOP)
}

// Resume continues it by SIGCONT.
func (p *Process) Resume(t testing.TB) {
	t.Helper()
	p.signal(t, syscall.SIGCONT)
}

// PID is the server's process ID.
func (p *Process) PID() int {
	p.lock.Lock()
	defer p.lock.Unlock()
	return p.cmd.Process.Pid
}

func (p *Process) signal(t testing.TB, signal syscall.Signal) {
	t.Helper()
	p.lock.Lock()
	defer p.lock.Unlock()
	if err := p.cmd.Process.Signal(signal); err != nil {
		t.Fatalf("cannot send %s to %s: %v", signal, p.name, err)
	}
}

func (p *Process) end() {
	p.lock.Lock()
	defer p.lock.Unlock()
	if p.cmd == nil {
		return
	}
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
	p.cmd = nil
}

// ports are below those that the kernel gives to who asks for none: a client's connection must not take a
// server's port before that begins to listen, nor while it is away. Each is given once, out of blocks that the tests
// of other packages, which run at the same time, cannot have: a process owns a block while it listens on its first port.
var ports struct {
	sync.Mutex
	next, end int
	owned     []net.Listener
}

const firstPort, lastPort, portsOfBlock = 10_000, 32_767, 100

// FreePort gives a port of loopback that nobody listens on, for TCP and UDP.
func FreePort(t testing.TB) int {
	t.Helper()
	ports.Lock()
	defer ports.Unlock()
	for {
		if ports.next == ports.end {
			ownBlock(t)
		}
		port := ports.next
		ports.next++
		if isFree(port) {
			return port
		}
	}
}

// ownBlock has the next ports come from a block that no other process owns.
func ownBlock(t testing.TB) {
	t.Helper()
	const blocks = (lastPort - firstPort) / portsOfBlock
	start := rand.IntN(blocks)
	for i := range blocks {
		first := firstPort + (start+i)%blocks*portsOfBlock
		listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", first))
		if err == nil {
			ports.owned = append(ports.owned, listener)
			ports.next, ports.end = first+1, first+portsOfBlock
			return
		}
	}
	t.Fatal("no port is free")
}

func isFree(port int) bool {
	address := fmt.Sprintf("127.0.0.1:%d", port)
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return false
	}
	defer listener.Close()
	packets, err := net.ListenPacket("udp", address)
	if err != nil {
		return false
	}
	return packets.Close() == nil
}

// FreeAddress is 127.0.0.1 with a FreePort.
func FreeAddress(t testing.TB) string {
	t.Helper()
	return fmt.Sprintf("127.0.0.1:%d", FreePort(t))
}

// tail gives the last lines that the server said.
func (p *Process) tail() string {
	text, _ := os.ReadFile(p.output.Name())
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(lines[max(0, len(lines)-30):], "\n")
}
