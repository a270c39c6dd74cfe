package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/envharness/envharness/internal/testservers"
)

// TestUnit lets systemd read the unit, with the binary where the unit says.
func TestUnit(t *testing.T) {
	verify, err := exec.LookPath("systemd-analyze")
	if err != nil {
		testservers.Missing(t, "systemd-analyze", "apt-get install systemd")
	}
	unit, err := os.ReadFile("../../examples/envdiscoverd/envdiscoverd.service")
	require.NoError(t, err)
	const installed = "/usr/local/bin/envdiscoverd"
	require.Contains(t, string(unit), "ExecStart="+installed)
	path := filepath.Join(t.TempDir(), "envdiscoverd.service")
	require.NoError(t, os.WriteFile(path, []byte(strings.ReplaceAll(string(unit), "ExecStart="+installed, "ExecStart="+os.Args[0])), 0o644))
	text, err := exec.Command(verify, "verify", "--man=no", path).CombinedOutput()
	require.NoError(t, err, "%s", text)
	require.NotContains(t, string(text), "Unknown")
	require.NotContains(t, string(text), "envdiscoverd.service:")
}

// TestSocketActivation lets systemd open the sockets, one of each kind, and start the registry at the first call.
func TestSocketActivation(t *testing.T) {
	address, path := testservers.FreeAddress(t), filepath.Join(t.TempDir(), "s")
	stderr, err := os.Create(filepath.Join(t.TempDir(), "stderr"))
	require.NoError(t, err)
	defer stderr.Close()
	cmd := activatedBySystemd(t, "--listen", address, "--listen", path, os.Args[0], "--data", filepath.Join(t.TempDir(), "data"))
	cmd.Stderr = stderr
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	require.Eventually(t, func() bool { return get("http://"+address+"/readyz", nil) == nil }, patience, tick)
	var body string
	require.NoError(t, get("http://"+address+"/environment", &body))
	require.Equal(t, "[]\n", body)
	conn, err := net.Dial("unix", path)
	require.NoError(t, err)
	defer conn.Close()
	_, err = conn.Write([]byte("GET /healthz HTTP/1.0\r\n\r\n"))
	require.NoError(t, err)
	answer := make([]byte, 15)
	_, err = conn.Read(answer)
	require.NoError(t, err)
	require.Equal(t, "HTTP/1.0 200 OK", string(answer))
	text, err := os.ReadFile(stderr.Name())
	require.NoError(t, err)
	require.Equal(t, 2, strings.Count(string(text), "serving (address "), "those and no other:\n%s", text)
}

// TestSocketOfAnotherKind is a unit with ListenDatagram=.
func TestSocketOfAnotherKind(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	cmd := activatedBySystemd(t, "--datagram", "--listen", path, os.Args[0], "--data", filepath.Join(t.TempDir(), "data"))
	var stderr strings.Builder
	cmd.Stderr = &stderr
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	require.Eventually(t, func() bool {
		conn, err := net.Dial("unixgram", path)
		if err != nil {
			return false
		}
		defer conn.Close()
		_, err = conn.Write([]byte("x"))
		return err == nil
	}, patience, tick)
	require.Error(t, cmd.Wait())
	require.Contains(t, stderr.String(), "envdiscoverd: error: systemd passed a socket that is none to listen at")
	require.Contains(t, stderr.String(), "ListenStream=")
}

// activatedBySystemd runs this test binary as envdiscoverd, with sockets that were opened for it.
func activatedBySystemd(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	activate, err := exec.LookPath("systemd-socket-activate")
	if err != nil {
		testservers.Missing(t, "systemd-socket-activate", "apt-get install systemd")
	}
	return exec.Command(activate, append([]string{"--setenv", mainVariable + "=1"}, args...)...)
}

// TestCompose builds the image and brings it up as the examples say, but for names, and for the network, which is
// its own here: port 7171 of this machine may be somebody's.
func TestCompose(t *testing.T) {
	if exec.Command("docker", "version").Run() != nil {
		testservers.Missing(t, "a Docker engine", "apt-get install docker.io, and start it")
	}
	if _, err := exec.LookPath("docker-compose"); err != nil {
		testservers.Missing(t, "docker-compose", "apt-get install docker-compose")
	}
	name := fmt.Sprintf("envharness-compose-test-%d", os.Getpid())
	bin := t.TempDir()
	binary, err := os.ReadFile(testservers.Program(t, "envdiscoverd"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(bin, "envdiscoverd"), binary, 0o755))
	program(t, nil, "docker", "build", "--file", "../../examples/envdiscoverd/Dockerfile", "--tag", name, bin)
	t.Cleanup(func() { program(t, nil, "docker", "image", "rm", "--force", name) })

	const compose = "../../examples/envdiscoverd/docker-compose.yml"
	override := filepath.Join(t.TempDir(), "override.yml")
	require.NoError(t, os.WriteFile(override, fmt.Appendf(nil, "version: \"3.7\"\nservices:\n  envdiscoverd: {image: %s, network_mode: none, container_name: %s}\n", name, name), 0o644))
	up := func(words ...string) {
		t.Helper()
		program(t, nil, "docker-compose", append([]string{"--project-name", name, "--file", compose, "--file", override}, words...)...)
	}
	up("config", "--quiet")
	t.Cleanup(func() { up("down", "--volumes", "--timeout", "5") })
	up("up", "--detach")

	busybox, err := os.Open("/bin/busybox")
	if err != nil {
		testservers.Missing(t, "busybox", "apt-get install busybox-static")
	}
	defer busybox.Close()
	program(t, packed(t, busybox), "docker", "import", "-", name+"-client")
	t.Cleanup(func() { program(t, nil, "docker", "image", "rm", "--force", name+"-client") })
	fetch := func(words ...string) (string, error) {
		args := append([]string{"run", "--rm", "--network", "container:" + name, name + "-client", "/busybox", "wget", "-q", "-O", "-"}, words...)
		text, err := exec.Command("docker", args...).Output()
		return string(text), err
	}
	comesUp := func() {
		t.Helper()
		require.Eventually(t, func() bool {
			_, err := fetch("http://127.0.0.1:7171/readyz")
			return err == nil
		}, patience, tick)
	}
	comesUp()
	_, err = fetch("--post-data", "kept", "http://127.0.0.1:7171/environment/A")
	require.NoError(t, err)
	up("restart", "--timeout", "60")
	comesUp()
	value, err := fetch("http://127.0.0.1:7171/environment/A")
	require.NoError(t, err)
	require.Equal(t, "kept", value)
	text, err := exec.Command("docker", "logs", name).CombinedOutput()
	require.NoError(t, err)
	require.Contains(t, string(text), "one trust domain")
	require.Contains(t, string(text), "stopped") // by itself, at TERM
}
