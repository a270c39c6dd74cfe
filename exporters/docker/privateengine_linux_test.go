package docker

import (
	"bytes"
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

	"github.com/moby/moby/client"
	"github.com/stretchr/testify/require"

	"github.com/envharness/envharness/internal/testservers"
)

// TestEngineRestart: the exporter is there before the engine, outlives it, and is true to it afterwards.
func TestEngineRestart(t *testing.T) {
	t.Parallel()
	private := newPrivateEngine(t)
	waiting := &lab{T: t, url: private.url, id: "restart", variable: "DISCOVER", ctx: t.Context()}
	registry := waiting.memory()
	exporter := waiting.export(registry)
	exporter.says("level=WARN", "cannot follow the Docker engine", "docker --host "+private.url)

	private.start()
	l := newLabAt(t, private.client)
	l.id, l.variable, exporter.lab = waiting.id, waiting.variable, l
	exporter.follows()
	port := func(name string) string { return name + ":8080" }
	dies := l.run(port("dies"), publish("8080/tcp", ""))
	returns := l.run(port("returns"), publish("8080/tcp", ""), restarting)
	entry := func(id string) string { return fmt.Sprintf("%s tcp://10.0.0.5:%d", l.instanceID(id), l.port(id)) }
	l.announced(registry, "dies", entry(dies))
	l.announced(registry, "returns", entry(returns))

	private.kill()
	exporter.says("level=WARN", "cannot follow the Docker engine", "what is announced stays", "EOF")
	require.Len(t, exporter.Exported(), 2) // the containers outlive their engine
	private.start()
	l.announced(registry, "dies")
	l.announced(registry, "returns", entry(returns))
	starts := l.run(port("starts"), publish("8080/tcp", ""))
	l.announced(registry, "starts", entry(starts))

	private.stop() // an engine that goes may have told of the end of its containers, or not
	private.start()
	l.announced(registry, "starts")
	l.announced(registry, "returns", entry(returns))
	require.Len(t, exporter.Exported(), 1)
	timeout := 0
	_, err := l.engine.ContainerStop(l.ctx, returns, client.ContainerStopOptions{Timeout: &timeout})
	require.NoError(t, err)
	l.announced(registry, "returns")
}

// privateEngine is a Docker engine of one test, which may do to it what it likes: own socket, own data, own
// bridge, own containerd; the machine's rules for packets are left alone.
type privateEngine struct {
	*testing.T
	url       string
	client    *client.Client
	directory string // short, because the engine makes sockets in it
	bridge    string
	cmd       *exec.Cmd
	log       *os.File
}

// newPrivateEngine prepares an engine that is not started yet.
func newPrivateEngine(t *testing.T) *privateEngine {
	t.Helper()
	if _, err := exec.LookPath("dockerd"); err != nil {
		testservers.Missing(t, "dockerd", "apt-get install docker.io")
	}
	if os.Geteuid() != 0 {
		testservers.Missing(t, "root, for a private Docker engine", "run the tests as root")
	}
	directory, err := os.MkdirTemp("", "envhd.")
	require.NoError(t, err)
	p := &privateEngine{T: t, directory: directory, url: "unix://" + filepath.Join(directory, "docker.sock")}
	t.Cleanup(p.remove)
	p.log, err = os.Create(filepath.Join(directory, "log"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(directory, "daemon.json"), []byte("{}\n"), 0o600))
	p.client, err = client.New(client.WithHost(p.url))
	require.NoError(t, err)
	p.bridge = fmt.Sprintf("envhd%d", os.Getpid())
	p.ip("link", "add", p.bridge, "type", "bridge")
	p.ip("address", "add", freeSubnet(t)+".1/24", "dev", p.bridge)
	p.ip("link", "set", p.bridge, "up")
	return p
}

// freeSubnet is one of 10.213.0.0/24 to 10.213.15.0/24 that this machine has no address in.
func freeSubnet(t *testing.T) string {
	t.Helper()
	addresses, err := net.InterfaceAddrs()
	require.NoError(t, err)
	for third := range 16 {
		subnet := fmt.Sprintf("10.213.%d", third)
		if !strings.Contains(fmt.Sprint(addresses), subnet+".") {
			return subnet
		}
	}
	t.Fatal("there is no free subnet in 10.213.0.0/20")
	return ""
}

func (p *privateEngine) ip(arguments ...string) {
	p.Helper()
	output, err := exec.Command("ip", arguments...).CombinedOutput()
	require.NoError(p, err, "ip %v: %s", arguments, output)
}

// start starts the engine and waits until it answers.
func (p *privateEngine) start() {
	p.Helper()
	in := func(name string) string { return filepath.Join(p.directory, name) }
	p.cmd = exec.Command("dockerd", "--config-file", in("daemon.json"), "--host", p.url, "--pidfile", in("docker.pid"),
		"--data-root", in("data"), "--exec-root", in("exec"), "--bridge", p.bridge,
		"--iptables=false", "--ip-forward=false", "--ip-masq=false", "--shutdown-timeout", "3")
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	require.NoError(p, p.cmd.Start())
	deadline := time.Now().Add(patience)
	for {
		_, err := p.client.Ping(p.Context(), client.PingOptions{})
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			p.Fatalf("the private engine does not answer after %s: %v\n%s", patience, err, p.tail())
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// kill ends the engine and its containerd; its containers go on.
func (p *privateEngine) kill() {
	p.end(syscall.SIGKILL)
	// The engine's death ends containerd. Where nobody reaps that orphan, the next engine would take the
	// process of its pid file for alive and wait for it.
	_ = os.Remove(filepath.Join(p.directory, "exec/containerd/containerd.pid"))
}

// stop lets it stop its containers and end.
func (p *privateEngine) stop() { p.end(syscall.SIGTERM) }

func (p *privateEngine) end(signal syscall.Signal) {
	if p.cmd == nil {
		return
	}
	_ = p.cmd.Process.Signal(signal)
	_ = p.cmd.Wait()
	p.cmd = nil
}

func (p *privateEngine) tail() string {
	text, _ := os.ReadFile(p.log.Name())
	lines := bytes.Split(text, []byte("\n"))
	return string(bytes.Join(lines[max(0, len(lines)-30):], []byte("\n")))
}

// remove leaves nothing of the engine.
func (p *privateEngine) remove() {
	p.stop()
	p.killShims()
	if p.log != nil {
		p.log.Close()
	}
	if p.client != nil {
		p.client.Close()
	}
	if p.bridge != "" {
		_ = exec.Command("ip", "link", "delete", p.bridge).Run()
	}
	p.unmount()
	_ = os.RemoveAll(p.directory)
}

// killShims ends the containers of an engine that was killed and not started again, with their keepers.
func (p *privateEngine) killShims() {
	processes, _ := filepath.Glob("/proc/[0-9]*")
	for _, process := range processes {
		command, _ := os.ReadFile(filepath.Join(process, "cmdline"))
		if !bytes.Contains(command, []byte(p.directory+"/")) {
			continue
		}
		var pids []string
		lists, _ := filepath.Glob(filepath.Join(process, "task/*/children"))
		for _, list := range lists {
			children, _ := os.ReadFile(list)
			pids = append(pids, strings.Fields(string(children))...)
		}
		for _, pid := range append(pids, filepath.Base(process)) {
			if number, err := strconv.Atoi(pid); err == nil {
				_ = syscall.Kill(number, syscall.SIGKILL)
			}
		}
	}
}

// unmount takes away what the engine may have left mounted, the innermost first.
func (p *privateEngine) unmount() {
	mounts, _ := os.ReadFile("/proc/self/mountinfo")
	lines := strings.Split(string(mounts), "\n")
	for i := len(lines) - 1; i >= 0; i-- {
		fields := strings.Fields(lines[i])
		if len(fields) > 4 && strings.HasPrefix(fields[4], p.directory+"/") {
			_ = syscall.Unmount(fields[4], syscall.MNT_DETACH)
		}
	}
}
