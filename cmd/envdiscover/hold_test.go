package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/envharness/envharness/internal/safebuffer"
	"github.com/envharness/envharness/internal/testservers"
)

// notifications listens as who holds an executable does.
func notifications(t *testing.T) (address string, next func() string) {
	t.Helper()
	address = filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: address, Net: "unixgram"})
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	return address, func() string {
		t.Helper()
		require.NoError(t, conn.SetReadDeadline(time.Now().Add(patience)))
		message := make([]byte, 100)
		n, err := conn.Read(message)
		require.NoError(t, err)
		return string(message[:n])
	}
}

// held starts envdiscover with a NOTIFY_SOCKET. It is ended with the test.
func held(t *testing.T, url, socket string, args ...string) (*exec.Cmd, *safebuffer.Buffer) {
	t.Helper()
	cmd := envdiscover(url, args...)
	cmd.Env = append(cmd.Env, "NOTIFY_SOCKET="+socket)
	out := &safebuffer.Buffer{}
	cmd.Stdout, cmd.Stderr = out, os.Stderr
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	return cmd, out
}

// envdiscover is this binary as that command, with the registry's URL.
func envdiscover(url string, args ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], args...)
	cmd.Args[0] = "envdiscover"
	cmd.Env = append(os.Environ(), "ENVDISCOVER_URL="+url, "CONTAINER_HOST=10.20.30.40", "GORACE="+quickRace)
	return cmd
}

func run(t *testing.T, url string, args ...string) string {
	t.Helper()
	out, err := envdiscover(url, args...).Output()
	require.NoError(t, err, "%v", args)
	return string(out)
}

// TestReadyComesBehindWhatItIsAbout: when the message is there, so is the registration, the value or the address.
func TestReadyComesBehindWhatItIsAbout(t *testing.T) {
	server := testservers.EmbeddedEtcd(t)
	url := "etcd://" + server.Address

	t.Run("register", func(t *testing.T) {
		socket, next := notifications(t)
		cmd, _ := held(t, url, socket, "register", "web", "--port", "80", "--id", "web-1")
		require.Equal(t, "READY=1", next())
		require.Contains(t, run(t, url, "instances", "web"), "web-1")
		require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
		require.NoError(t, cmd.Wait())
	})

	t.Run("get", func(t *testing.T) {
		run(t, url, "put", "COLOUR", "red")
		socket, next := notifications(t)
		cmd, out := held(t, url, socket, "get", "COLOUR", "--follow")
		for i, want := range []string{"red\n", "red\ngreen\n", "red\ngreen\nblue\n"} {
			require.Equal(t, "READY=1", next())
			require.Eventually(t, func() bool { return out.String() == want }, patience, 5*time.Millisecond, "%q", out)
			run(t, url, "put", "COLOUR", []string{"green", "blue", "end"}[i])
		}
		require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
		require.NoError(t, cmd.Wait())
	})

	t.Run("watch with a program", func(t *testing.T) {
		socket, next := notifications(t)
		cmd, out := held(t, url, socket, "watch", "db", "--", "sh", "-c", `echo "socket:$NOTIFY_SOCKET"; cat`)
		require.Equal(t, "READY=1", next())
		require.Eventually(t, func() bool { return strings.Contains(out.String(), `"instances":[]`) }, patience, 5*time.Millisecond)
		require.Contains(t, out.String(), "socket:\n", "the program is not who says READY=1")
		require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
		require.NoError(t, cmd.Wait())
	})

	t.Run("eventually", func(t *testing.T) {
		socket, next := notifications(t)
		away := "etcd://" + testservers.FreeAddress(t)
		cmd, _ := held(t, away, socket, "register", "web", "--port", "80", "--eventually")
		require.Equal(t, "READY=1", next())
		require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
		_ = cmd.Wait() // the registry is not told: it may have heard of it
	})
}

// TestSignalsAtAnyMoment: whenever TERM comes, nothing of the registration is left.
func TestSignalsAtAnyMoment(t *testing.T) {
	server := testservers.EmbeddedEtcd(t)
	url := "etcd://" + server.Address
	withdrawn := 0
	for i := 0; i < 40 || withdrawn == 0; i++ {
		url := fmt.Sprint(url, "/", i)
		var stderr strings.Builder
		cmd := envdiscover(url, "register", "web", "--port", "80", "--ttl", "600s")
		cmd.Stderr = &stderr
		require.NoError(t, cmd.Start())
		time.Sleep(time.Duration(i) * 2 * time.Millisecond)
		require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
		if cmd.Wait() == nil {
			withdrawn++
		} else if strings.Contains(stderr.String(), "stays until its TTL") {
			continue // a busy machine may need more time than a withdrawal has, and that is told
		}
		services := envdiscover(url, "services")
		out, _ := services.Output()
		require.Empty(t, string(out), "TERM after %d ms", 2*i)
		require.Equal(t, exitNothing, services.ProcessState.ExitCode())
	}
}

// TestASignalSentTwice: timeout(1) sends TERM to its child and to its group. That is one request, so the instance is
// deregistered.
func TestASignalSentTwice(t *testing.T) {
	server := testservers.EmbeddedEtcd(t)
	url := "etcd://" + server.Address
	for apart := oneRequest; apart >= oneRequest; { // on a machine that is too busy they were two requests
		socket, next := notifications(t)
		cmd, _ := held(t, url, socket, "register", "web", "--port", "80", "--ttl", "600s")
		require.Equal(t, "READY=1", next())
		server.Pause(t) // so that it cannot have ended before the second one
		began := time.Now()
		terminate(t, cmd.Process)
		terminate(t, cmd.Process)
		apart = time.Since(began)
		server.Resume(t)
		if err := cmd.Wait(); apart < oneRequest {
			require.NoError(t, err)
			services, _ := envdiscover(url, "services").Output()
			require.Empty(t, string(services))
		}
	}
}

// terminate sends TERM, and waits until it is taken: proc_pid_status(5).
func terminate(t *testing.T, p *os.Process) {
	t.Helper()
	require.NoError(t, p.Signal(syscall.SIGTERM))
	require.Eventually(t, func() bool {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.Pid))
		require.NoError(t, err)
		_, rest, found := strings.Cut(string(status), "ShdPnd:\t")
		require.True(t, found)
		pending, err := strconv.ParseUint(rest[:16], 16, 64)
		require.NoError(t, err)
		return pending&(1<<(syscall.SIGTERM-1)) == 0
	}, patience, time.Millisecond)
}
