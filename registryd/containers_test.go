package registryd

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/envharness/envharness/internal/safebuffer"
	"github.com/envharness/envharness/internal/testservers"
)

// TestOtherNetworks has namespaces in place of other machines: one on the bridge, which is a container as far as
// the kernel knows, and others that know the way to the bridge's address and are not on it.
func TestOtherNetworks(t *testing.T) {
	needRoot(t)
	run := func(args ...string) { t.Helper(); output(t, "ip", args...) }
	id := fmt.Sprint(os.Getpid() % 100000)
	bridge, third := "b"+id, os.Getpid()%200
	gateway := fmt.Sprintf("10.214.%d.1", third)
	run("link", "add", bridge, "type", "bridge")
	t.Cleanup(func() { run("link", "delete", bridge) })
	run("address", "add", gateway+"/24", "dev", bridge)
	run("link", "set", bridge, "up")

	// A machine of that many, with one link to this one.
	machine := func(n int, address, route string, onBridge bool) (namespace string) {
		namespace = fmt.Sprintf("n%s-%d", id, n)
		device := fmt.Sprintf("v%s-%d", id, n)
		run("netns", "add", namespace)
		t.Cleanup(func() { run("netns", "delete", namespace) })
		run("link", "add", device, "type", "veth", "peer", "name", "eth0", "netns", namespace)
		if onBridge {
			run("link", "set", device, "master", bridge)
		} else {
			run("address", "add", fmt.Sprintf("10.215.%d.%d/30", third, 4*n+1), "dev", device)
		}
		run("link", "set", device, "up")
		run("-n", namespace, "address", "add", address, "dev", "eth0")
		run("-n", namespace, "link", "set", "eth0", "up")
		run("-n", namespace, "route", "replace", gateway+"/32", "dev", "eth0", "via", route, "onlink")
		return namespace
	}
	inside := machine(1, fmt.Sprintf("10.214.%d.9/24", third), gateway, true)
	stranger := machine(2, fmt.Sprintf("10.216.%d.9/24", third), gateway, true) // on the bridge, not of its subnet
	other := machine(3, fmt.Sprintf("10.215.%d.14/30", third), fmt.Sprintf("10.215.%d.13", third), false)
	forger := machine(4, fmt.Sprintf("10.214.%d.77/32", third), fmt.Sprintf("10.215.%d.17", third), false) // another's address
	output(t, "ip", "route", "replace", fmt.Sprintf("10.216.%d.9/32", third), "dev", bridge)
	output(t, "ip", "route", "replace", fmt.Sprintf("10.214.%d.77/32", third), "dev", fmt.Sprintf("v%s-4", id))

	log := &safebuffer.Buffer{}
	_, url := start(t, Options{Containers: true, Bridges: []string{bridge}, Log: logTo(log)})
	at := "http://" + gateway + url[strings.LastIndex(url, ":"):] + "/environment/A"
	require.Eventually(t, func() bool { return strings.Contains(log.String(), "bridge="+bridge) }, patience, 10*time.Millisecond)
	require.Contains(t, log.String(), "one trust domain")
	require.Equal(t, 204, ask(t, "PUT", url+"/environment/A", "x").status)

	// An ordinary server at the same address is reached by all.
	ordinary, err := net.Listen("tcp", gateway+":0")
	require.NoError(t, err)
	go func() { _ = http.Serve(ordinary, http.NotFoundHandler()) }()
	defer ordinary.Close()
	control := "http://" + ordinary.Addr().String()

	require.Equal(t, "x", output(t, "ip", "netns", "exec", inside, "curl", "-s", "--max-time", "60", at))
	for name, namespace := range map[string]string{"stranger": stranger, "other": other, "forger": forger} {
		patient := "60"
		if name == "forger" {
			patient = "5" // nothing may ever come
		}
		reached := exec.Command("ip", "netns", "exec", namespace, "curl", "-s", "--max-time", patient, control).Run() == nil
		got, err := exec.Command("ip", "netns", "exec", namespace, "curl", "-s", "--max-time", "3", at).CombinedOutput()
		require.Error(t, err, name)
		require.Empty(t, string(got), name)
		if name != "forger" { // whose answers may be dropped by the kernel's check of reverse paths
			require.True(t, reached, "%s cannot reach the machine at all, so this test would show nothing", name)
		}
	}
}

// output runs a program that must succeed.
func output(t testing.TB, name string, args ...string) string {
	t.Helper()
	text, err := exec.Command(name, args...).CombinedOutput()
	require.NoError(t, err, "%s %s: %s", name, strings.Join(args, " "), text)
	return string(text)
}

// docker runs the client.
func docker(t testing.TB, args ...string) string {
	t.Helper()
	return output(t, "docker", args...)
}

// TestContainers is the proposal's single machine: a container announces, another one learns, with nothing set
// but the harness as their entrypoint. Once by its two curl lines word for word, once in images that have neither
// shell nor curl for it, by scripts of envdiscover.
func TestContainers(t *testing.T) {
	t.Parallel()
	if exec.Command("docker", "version").Run() != nil {
		testservers.Missing(t, "a Docker engine", "apt-get install docker.io, and start it or run scripts/with-docker go test ./registryd")
	}
	network := fmt.Sprintf("envharness-test-%d", os.Getpid())
	bridge := strings.TrimSpace(docker(t, "network", "create", "--subnet", fmt.Sprintf("10.217.%d.0/24", os.Getpid()%250), network))[:12]
	t.Cleanup(func() { docker(t, "network", "rm", network) })

	// Containers look for it at DefaultPort of their gateway, which this network alone has.
	socket := filepath.Join(t.TempDir(), "s")
	log := &safebuffer.Buffer{}
	start(t, Options{Containers: true, Listen: []string{"unix:" + socket}, Log: logTo(log)})
	require.Eventually(t, func() bool {
		return strings.Contains(log.String(), "one trust domain\" bridge=br-"+bridge)
	}, patience, 10*time.Millisecond, "%s", log)

	for name, files := range map[string]map[string]string{"curl": withPrograms(t, "bash", "curl"), "envdiscover": {"/usr/bin/envdiscover": testservers.Program(t, "envdiscover")}} {
		t.Run(name, func(t *testing.T) {
			image := harnessImage(t, name, files, scripts(t, name))
			exported := docker(t, "run", "--rm", "--network", network, image+":db", "true")
			require.NotContains(t, exported, "error")
			learned := docker(t, "run", "--rm", "--network", network, image+":app", "sh", "-c", `printf 'the URL is %s\n' "$DATABASE_URL"`)
			require.Regexp(t, `the URL is postgresql://pgdeveloper:pgdeveloper@10\.217\.\d+\.\d+/pgdeveloper\n`, learned)
			require.Equal(t, 204, do(t, overUnix(socket), newRequest(t, "DELETE", "http://x/environment/DATABASE_URL", "")).status)
		})
	}
}

// scripts are /export/DATABASE_URL and /environment/DATABASE_URL. Those with curl are the proposal's.
func scripts(t *testing.T, kind string) [2]string {
	t.Helper()
	if kind == "envdiscover" {
		return [2]string{
			"#!/usr/bin/envdiscover\nput DATABASE_URL \"postgresql://pgdeveloper:pgdeveloper@$CONTAINER_HOST/pgdeveloper\"\n",
			"#!/usr/bin/envdiscover\nget DATABASE_URL\n",
		}
	}
	var found [2]string
	for i, directory := range []string{"export", "environment"} {
		text, err := os.ReadFile(filepath.Join("../examples/curl", directory, "DATABASE_URL"))
		require.NoError(t, err)
		found[i] = string(text)
	}
	return found
}

// withPrograms gives programs of this machine and the libraries that they need, by their paths in an image.
func withPrograms(t *testing.T, programs ...string) map[string]string {
	t.Helper()
	files := map[string]string{}
	for _, program := range programs {
		path, err := exec.LookPath(program)
		if err != nil {
			testservers.Missing(t, program, "apt-get install "+program)
		}
		files["/bin/"+program] = path
		for _, word := range strings.Fields(output(t, "ldd", path)) {
			if strings.HasPrefix(word, "/") {
				files[word] = word
			}
		}
	}
	return files
}

// harnessImage makes two images with the harness, busybox as what it becomes, and files: NAME:db with the first
// script in /export, NAME:app with the second in /environment.
func harnessImage(t *testing.T, kind string, files map[string]string, script [2]string) string {
	t.Helper()
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		testservers.Missing(t, "busybox", "apt-get install busybox-static")
	}
	files["/usr/bin/envharness"] = testservers.Program(t, "envharness")
	files["/bin/sh"], files["/bin/true"] = busybox, busybox
	name := fmt.Sprintf("envharness-registryd-test-%s-%d", kind, os.Getpid())
	for tag, entry := range map[string][2]string{"db": {"/export/DATABASE_URL", script[0]}, "app": {"/environment/DATABASE_URL", script[1]}} {
		load := exec.Command("docker", "import", "--change", `ENTRYPOINT ["envharness","--"]`, "--change", "ENV PATH=/usr/bin:/bin", "-", name+":"+tag)
		load.Stdin = archive(t, files, entry[0], entry[1])
		text, err := load.CombinedOutput()
		require.NoError(t, err, "%s", text)
		t.Cleanup(func() { docker(t, "image", "rm", "--force", name+":"+tag) })
	}
	return name
}

// archive packs files of this machine, and one of that content.
func archive(t *testing.T, files map[string]string, path, content string) io.Reader {
	t.Helper()
	var packed bytes.Buffer
	w := tar.NewWriter(&packed)
	add := func(path string, data []byte) {
		require.NoError(t, w.WriteHeader(&tar.Header{Name: strings.TrimPrefix(path, "/"), Mode: 0o755, Size: int64(len(data))}))
		_, err := w.Write(data)
		require.NoError(t, err)
	}
	for path, from := range files {
		data, err := os.ReadFile(from)
		require.NoError(t, err)
		add(path, data)
	}
	add(path, []byte(content))
	require.NoError(t, w.Close())
	return &packed
}
