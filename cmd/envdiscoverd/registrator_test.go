package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/internal/testservers"
)

const migratingPage = "../../docs/migrating/registrator.md"

func pageOf(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(text)
}

// fenced are the blocks of a kind in a page.
func fenced(page, kind string) (blocks []string) {
	for _, match := range regexp.MustCompile("(?ms)^```"+kind+"\n(.*?)^```$").FindAllStringSubmatch(page, -1) {
		blocks = append(blocks, match[1])
	}
	return blocks
}

// TestRegistratorPage: it has every option, variable and registry of registrator's documentation, and the options that
// it names of ours exist.
func TestRegistratorPage(t *testing.T) {
	page := pageOf(t, migratingPage)
	for _, word := range []string{
		"-cleanup", "-deregister", "-explicit", "-internal", "-ip", "-resync", "-retry-attempts", "-retry-interval", "-tags", "-ttl", "-ttl-refresh", "-useIpFromLabel",
	} {
		require.Regexp(t, "(?m)^\\| `"+word+"( <.*>)?` \\| .+ \\|$", page)
	}
	for _, word := range []string{
		"SERVICE_NAME", "SERVICE_<port>_NAME", "SERVICE_TAGS", "SERVICE_<port>_TAGS", "SERVICE_ID", "SERVICE_<port>_ID", "SERVICE_IGNORE", "SERVICE_<port>_IGNORE",
		"SERVICE_<key>", "SERVICE_<port>_<key>", "SERVICE_CHECK_HTTP", "SERVICE_EUREKA_*",
		"consul://", "consul-unix://", "consul-tls://", "consulkv://", "consulkv-unix://", "etcd://", "skydns2://HOST/DOMAIN", "zookeeper://", "eureka://",
	} {
		require.Regexp(t, "(?m)^\\| .*`"+regexp.QuoteMeta(word)+"`", page)
	}
	code, help, _ := outcome("--help", "docker")
	require.Zero(t, code)
	_, common, _ := outcome("--help")
	for _, option := range regexp.MustCompile("`(--[a-z-]+)(?: [A-Za-z:]+)?`").FindAllStringSubmatch(page, -1) {
		require.Contains(t, help+common, option[1])
	}
}

// TestMovingFromRegistrator runs what the page shows: the container of registrator, the one with our labels and that
// of Compose are announced alike.
func TestMovingFromRegistrator(t *testing.T) {
	if exec.Command("docker", "version").Run() != nil {
		testservers.Missing(t, "a Docker engine", "apt-get install docker.io, and start it")
	}
	if _, err := exec.LookPath("docker-compose"); err != nil {
		testservers.Missing(t, "docker-compose", "apt-get install docker-compose")
	}
	busybox, err := os.Open("/bin/busybox")
	if err != nil {
		testservers.Missing(t, "busybox", "apt-get install busybox-static")
	}
	defer busybox.Close()
	name := fmt.Sprintf("envharness-registrator-test-%d", os.Getpid())
	program(t, packed(t, busybox), "docker", "import", "-", name)
	t.Cleanup(func() { program(t, nil, "docker", "image", "rm", "--force", name) })
	page := pageOf(t, migratingPage)
	scripts := fenced(page, "sh")
	require.Len(t, scripts, 4)

	for i, script := range scripts[2:] {
		own := fmt.Sprintf("%s-%d", name, i)
		script = strings.NewReplacer(fmt.Sprintf("redis.%d", i), own, " redis\n", " "+name+" /busybox sleep 3600\n").Replace(script)
		require.Contains(t, script, "--name "+own)
		t.Cleanup(func() { program(t, nil, "docker", "rm", "--force", own) })
		program(t, nil, "sh", "-c", script)
	}
	compose := filepath.Join(t.TempDir(), "compose.yaml")
	after := strings.Replace(fenced(page, "yaml")[1], "image: redis\n", fmt.Sprintf("image: %s\n    container_name: %s-2\n    command: [/busybox, sleep, \"3600\"]\n", name, name), 1)
	require.NoError(t, os.WriteFile(compose, []byte(after), 0o600))
	up := func(words ...string) {
		t.Helper()
		program(t, nil, "docker-compose", append([]string{"--project-name", name, "--file", compose}, words...)...)
	}
	t.Cleanup(func() { up("down", "--volumes", "--timeout", "1") })
	up("up", "--detach", "db")

	words := strings.Fields(strings.TrimSuffix(strings.TrimPrefix(scripts[1], "envdiscoverd "), "--registry consul://localhost:8500\n"))
	require.Equal(t, []string{"--docker", "--docker-registrator", "--host-ip", "10.0.0.5"}, words)
	address := testservers.FreeAddress(t)
	testservers.StartProcess(t, "envdiscoverd", func() *exec.Cmd {
		return command(append(words, "--host-id", name, "--data", filepath.Join(t.TempDir(), "data"), "--listen", address)...)
	}, func() error { return get("http://"+address+"/readyz", nil) })

	for i, metadata := range []string{"us2", "us2", ""} {
		in := announcedFor(t, "http://"+address+"/services/db", fmt.Sprintf("%s-%d", name, i))
		require.Equal(t, "10.0.0.5", in.Host)
		require.Equal(t, []string{"master", "backups"}, in.Tags)
		require.Equal(t, metadata, in.Metadata["region"])
		require.Positive(t, in.Ports["default"].Number)
	}
}

// announcedFor waits for the instance of a container.
func announcedFor(t *testing.T, url, container string) (in discovery.Instance) {
	t.Helper()
	var body string
	require.Eventually(t, func() bool {
		var answer struct{ Instances []discovery.Instance }
		if get(url, &body) != nil || json.Unmarshal([]byte(body), &answer) != nil {
			return false
		}
		i := slices.IndexFunc(answer.Instances, func(in discovery.Instance) bool { return in.Metadata["container"] == container })
		if i >= 0 {
			in = answer.Instances[i]
		}
		return i >= 0
	}, patience, tick, "%s", body)
	return in
}
