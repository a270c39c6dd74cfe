package examples_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/discovery/engines"
	"github.com/envharness/envharness/internal/testservers"
)

// script copies a script for envdiscover to a directory of its own, with this interpreter for /usr/bin/envdiscover.
func script(t *testing.T, path string, text []byte) (directory string) {
	t.Helper()
	directory = t.TempDir()
	require.True(t, bytes.HasPrefix(text, []byte("#!/usr/bin/envdiscover\n")))
	text = bytes.Replace(text, []byte("/usr/bin/envdiscover"), []byte(envdiscover), 1)
	require.NoError(t, os.WriteFile(filepath.Join(directory, filepath.Base(path)), text, 0o755))
	return directory
}

// consulKV runs consul kv and gives what it prints.
func consulKV(t *testing.T, agent *testservers.Consul, args ...string) string {
	t.Helper()
	command := exec.Command(testservers.ConsulBinary(t), append([]string{"kv", args[0], "-http-addr=http://" + agent.Address}, args[1:]...)...)
	var stderr bytes.Buffer
	command.Stderr = &stderr
	out, err := command.Output()
	require.NoError(t, err, "%v: %s", args, &stderr)
	return string(out)
}

// TestConsulTree moves a tree that envconsul had to the two lines of consul/environment/my-app.env.
func TestConsulTree(t *testing.T) {
	t.Parallel()
	agent := testservers.ConsulAgent(t, nil)
	text, err := os.ReadFile("consul/environment/my-app.env")
	require.NoError(t, err)
	directory := script(t, "my-app.env", text)
	consulKV(t, agent, "put", "my-app/DATABASE_URL", "postgres://db/my-app")
	consulKV(t, agent, "put", "my-app/max-conns", "5")
	consulKV(t, agent, "put", "my-app/") // the folder, as Consul's page makes it
	consulKV(t, agent, "put", "my-app/deeper/key", "not ours")
	consulKV(t, agent, "put", "my-application/MAX_CONNS", "another's")

	out := filepath.Join(t.TempDir(), "out")
	command := fmt.Sprintf(`echo "$DATABASE_URL $MAX_CONNS $KEY" >>%s; exec sleep 600`, out)
	p := startPidOne(t, []string{"CONSUL_HTTP_ADDR=" + agent.Address}, "--environment", directory, "--export", t.TempDir(),
		"--on-change", "restart", "--", "sh", "-c", command)
	last := func() string {
		all, _ := os.ReadFile(out)
		lines := strings.Split(strings.TrimSpace(string(all)), "\n")
		return lines[len(lines)-1]
	}
	eventually(t, "the first start", func() bool { return last() == "postgres://db/my-app 5" })
	consulKV(t, agent, "put", "my-app/max-conns", "6")
	consulKV(t, agent, "put", "my-app/DATABASE_URL", "postgres://other/my-app")
	eventually(t, "the start with new values", func() bool { return last() == "postgres://other/my-app 6" })
	p.stop()
	p.exitCode() // all of its output is there then
	require.Contains(t, p.output.String(), "skipping keys that stand deeper")
	require.Contains(t, p.output.String(), "my-app/deeper/key")
	require.NotContains(t, p.output.String(), "not ours")

	// The other way round: what is put by envdiscover is what consul kv gets.
	url := "ENVDISCOVER_URL=consul://" + agent.Address + "/my-app?layout=plain"
	require.Equal(t, 0, run(t, []string{url}, envdiscover, "put", "CACHE_URL", "redis://r").exitCode)
	require.Equal(t, "redis://r\n", consulKV(t, agent, "get", "my-app/CACHE_URL"))
	require.Equal(t, "CACHE_URL\nDATABASE_URL\n", run(t, []string{url}, envdiscover, "ls").stdout)
	consulKV(t, agent, "delete", "my-app/CACHE_URL")
	require.Equal(t, 3, run(t, []string{url}, envdiscover, "get", "CACHE_URL").exitCode)
}

// TestKeysOfValues: a value's key is its name, with its _, for every engine's own client, in both directions.
func TestKeysOfValues(t *testing.T) {
	t.Parallel()
	needProgram(t, "etcdctl")
	const name, path = "DATABASE_URL_", "/envharness/environment/DATABASE_URL_"
	etcdctl := func(api string, address string, args ...string) string {
		t.Helper()
		got := run(t, []string{"ETCDCTL_API=" + api, "ETCDCTL_COMMAND_TIMEOUT=90s", "ETCDCTL_DIAL_TIMEOUT=90s"}, "etcdctl", append([]string{"--endpoints", "http://" + address}, args...)...)
		require.Equal(t, 0, got.exitCode, got.stderr)
		return got.stdout
	}
	consul, etcd := testservers.ConsulAgent(t, nil), testservers.EmbeddedEtcd(t)
	old, zk := testservers.DebianEtcd(t, "--enable-v2"), testservers.DebianZooKeeper(t)
	for _, engine := range []struct {
		url string
		get func() string
		put func(value string)
	}{
		{"consul://" + consul.Address,
			func() string { return consulKV(t, consul, "get", path[1:]) },
			func(value string) { consulKV(t, consul, "put", path[1:], value) }},
		{"etcd://" + etcd.Address,
			func() string { return etcdctl("3", etcd.Address, "get", "--print-value-only", path) },
			func(value string) { etcdctl("3", etcd.Address, "put", path, value) }},
		{"etcd2://" + old.Address,
			func() string { return etcdctl("2", old.Address, "get", path) },
			func(value string) { etcdctl("2", old.Address, "set", path, value) }},
		{"zk://" + zk.Address,
			func() string { return zkGet(t, zk.Address, path) + "\n" },
			func(value string) { zkSet(t, zk.Address, path, value) }},
	} {
		env := []string{"ENVDISCOVER_URL=" + engine.url}
		require.Equal(t, 0, run(t, env, envdiscover, "put", name, "one").exitCode, engine.url)
		require.Equal(t, "one\n", engine.get(), engine.url)
		engine.put("two")
		require.Equal(t, "two\n", run(t, env, envdiscover, "get", name).stdout, engine.url)
		require.Equal(t, name+"=two\n", run(t, env, envdiscover, "env").stdout, engine.url)
	}
}

// TestPlainEtcdTree: confd's trees are read and written as they are, however large.
func TestPlainEtcdTree(t *testing.T) {
	t.Parallel()
	needProgram(t, "etcdctl")
	etcd := testservers.EmbeddedEtcd(t)
	env := []string{"ENVDISCOVER_URL=etcd://" + etcd.Address + "/my/app?layout=plain&timeout=1m", "ETCDCTL_API=3", "ETCDCTL_COMMAND_TIMEOUT=90s", "ETCDCTL_DIAL_TIMEOUT=90s"}
	etcdctl := func(args ...string) result {
		return run(t, env, "etcdctl", append([]string{"--endpoints", etcd.Address}, args...)...)
	}
	require.Equal(t, 0, run(t, env, envdiscover, "put", "DATABASE_URL", "postgres://db").exitCode)
	require.Equal(t, "/my/app/DATABASE_URL\npostgres://db\n", etcdctl("get", "--prefix", "").stdout, "and nothing else is there")
	for key, value := range map[string]string{"/my/app/sub/A": "x", "/my/app/9-lives": "y", "/my/app/RAW": "\x80\x01", "/my/apple/A": "z"} {
		require.Equal(t, 0, etcdctl("put", "--", key, value).exitCode)
	}
	got := run(t, env, envdiscover, "env", "--names", "upper")
	require.Equal(t, "_9_LIVES=y\nDATABASE_URL=postgres://db\nRAW='\x80\x01'\n", got.stdout, got.stderr)
	require.Contains(t, got.stderr, "/my/app/sub/A")
	got = run(t, env, envdiscover, "env", "--format", "json", "--names", "skip")
	require.Equal(t, 1, got.exitCode)
	require.Contains(t, got.stderr, "cannot write RAW as json")
	require.Empty(t, got.stdout)
	got = run(t, env, envdiscover, "services")
	require.Equal(t, 1, got.exitCode)
	require.Contains(t, got.stderr, "the layout plain has values alone")

	// 10,000 keys, as many as 2,000 a transaction.
	registry, err := engines.Open(context.Background(), strings.TrimPrefix(env[0], "ENVDISCOVER_URL="))
	require.NoError(t, err)
	defer registry.Close()
	values := registry.(discovery.Values)
	require.NoError(t, inParallel(10_000, func(n int) error {
		return values.Put(context.Background(), fmt.Sprintf("N%d", n), []byte("value"), 0)
	}))
	all := run(t, env, envdiscover, "env", "N*")
	require.Equal(t, 10_000, strings.Count(all.stdout, "=value\n"), all.stderr)
}

// inParallel calls do for 0 to n-1, some at a time, and gives an error of one of them.
func inParallel(n int, do func(int) error) error {
	const at = 64
	results := make(chan error, at)
	for w := range at {
		go func() {
			var err error
			for i := w; i < n && err == nil; i += at {
				err = do(i)
			}
			results <- err
		}()
	}
	var failed error
	for range at {
		if err := <-results; err != nil {
			failed = err
		}
	}
	return failed
}

// TestSetOfAllValues: what envdiscover env prints is read back by the harness, byte for byte, in both formats of a set.
func TestSetOfAllValues(t *testing.T) {
	t.Parallel()
	etcd := testservers.EmbeddedEtcd(t)
	url := "etcd://" + etcd.Address
	registry, err := engines.Open(context.Background(), url)
	require.NoError(t, err)
	defer registry.Close()
	want := map[string]string{}
	for i, value := range []string{
		"", " both ends ", "it's", `say "hi"`, `"`, `'"`, `ends in \`, `\`, `\\`, "$HOME ${HOME} $$", "`id` $(id)", "a # b", "#", "a=b",
		"two\nlines", "\n", "ends\n\n", "\nbegins", "a\r\nb", "\r", "\t", "\x01\x1b[31m", "é 漢字 \u2028", "export A=b", "null", "{}", "${0}", `"${0}"`,
	} {
		name := fmt.Sprintf("V%d", i)
		want[name] = value
		require.NoError(t, registry.(discovery.Values).Put(context.Background(), name, []byte(value), 0))
	}
	for file, format := range map[string]string{"all.env": "dotenv", "all.json": "json"} {
		directory := script(t, file, []byte("#!/usr/bin/envdiscover\nenv --format "+format+" V*\n"))
		got := run(t, []string{"ENVDISCOVER_URL=" + url}, envharness, "print", "--environment", directory, "--format", "nul")
		require.Equal(t, 0, got.exitCode, got.stderr)
		read := map[string]string{}
		for entry := range strings.SplitSeq(strings.TrimSuffix(got.stdout, "\x00"), "\x00") {
			name, value, _ := strings.Cut(entry, "=")
			read[name] = value
		}
		require.Equal(t, want, read, format)
	}
}

// zkGet and zkSet are another client of ZooKeeper than ours: its own.
func zkGet(t *testing.T, address, path string) string {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(zkCli(t, address, "get", path)), "\n")
	return lines[len(lines)-1]
}

func zkSet(t *testing.T, address, path, value string) {
	t.Helper()
	zkCli(t, address, "set", path, value)
}

func zkCli(t *testing.T, address string, args ...string) string {
	t.Helper()
	const program = "/usr/share/zookeeper/bin/zkCli.sh"
	if _, err := os.Stat(program); err != nil {
		missing(t, program, "apt-get install zookeeper")
	}
	got := run(t, nil, program, append([]string{"-server", address}, args...)...)
	require.Equal(t, 0, got.exitCode, got.stderr)
	return got.stdout
}

// TestEnvconsulPage: the file on the page for those who come from envconsul is the one that is tried here.
func TestEnvconsulPage(t *testing.T) {
	file, err := os.ReadFile("consul/environment/my-app.env")
	require.NoError(t, err)
	page, err := os.ReadFile("../docs/migrating/envconsul.md")
	require.NoError(t, err)
	require.Contains(t, string(page), strings.Replace(string(file), "consul:///", "consul://10.0.0.1:8500/", 1))
}
