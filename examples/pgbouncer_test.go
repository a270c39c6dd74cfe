package examples_test

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/envharness/envharness/internal/testservers"
)

// TestPgBouncerIsDirected runs two PostgreSQL servers that announce themselves with credentials, and two pools, of
// which the one that directs is DATABASE_URL. What a client sees through that URL is the test.
func TestPgBouncerIsDirected(t *testing.T) {
	for _, program := range []string{"pgbouncer", "psql", "jq"} {
		needProgram(t, program)
	}
	t.Parallel()
	c := newDatabaseCluster(t)
	firstPort, secondPort := testservers.FreePort(t), testservers.FreePort(t)
	if firstPort > secondPort { // the port is part of the ID
		firstPort, secondPort = secondPort, firstPort
	}
	first := c.startPostgres(t, firstPort)
	pool := c.startPool(t)
	c.eventuallyAnswers(t, pool.port, firstPort)
	standby := c.startPool(t)

	// Another database, and the first one goes: the pool moves over, its URL stays.
	c.startPostgres(t, secondPort)
	out, err := c.command(nil, filepath.Join(c.home, "bin/envdiscover"), "wait", "db", "--count", "2").CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.NoError(t, first.cmd.Process.Signal(syscall.SIGINT))
	_ = first.wait(t)
	c.eventuallyAnswers(t, pool.port, secondPort)

	// The machine of the pool dies: the other pool is the URL.
	pool.die(t)
	c.eventuallyAnswers(t, standby.port, secondPort)

	require.NoError(t, standby.cmd.Process.Signal(syscall.SIGTERM))
	_ = standby.wait(t)
	require.NotContains(t, standby.stderr.String(), "pg/secret")
	require.NotContains(t, standby.stderr.String(), "pg%2Fsecret")
}

// databaseCluster is a registry, and how its servers are run: by the user postgres where the test is root, which
// neither PostgreSQL nor pgbouncer like.
type databaseCluster struct {
	home       string // all that this user has to reach
	env        []string
	credential *syscall.Credential
	postgres   string // where PostgreSQL's programs are
}

func newDatabaseCluster(t *testing.T) *databaseCluster {
	t.Helper()
	programs, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	require.NoError(t, err)
	if len(programs) == 0 {
		missing(t, "PostgreSQL", "run make install-test-tools")
	}
	home, err := os.MkdirTemp("", "pg") // short, for the sockets below it
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(home) })
	c := &databaseCluster{home: home, postgres: filepath.Dir(programs[len(programs)-1])}
	if os.Geteuid() == 0 {
		c.credential = credentialOf(t, "postgres")
	}
	bin := filepath.Join(home, "bin")
	require.NoError(t, os.Mkdir(bin, 0o755))
	copyFile(t, envharness, filepath.Join(bin, "envharness"), 0o755)
	copyFile(t, envdiscover, filepath.Join(bin, "envdiscover"), 0o755)
	copyFile(t, "pgbouncer/direct-pool", filepath.Join(bin, "direct-pool"), 0o755)
	require.NoError(t, os.CopyFS(filepath.Join(home, "pool"), os.DirFS("pgbouncer/export")))
	require.NoError(t, os.CopyFS(filepath.Join(home, "database"), os.DirFS("discovery/sh/export")))
	require.NoError(t, os.WriteFile(filepath.Join(home, "password"), []byte("pg/secret\n"), 0o600))
	c.env = []string{
		"PATH=" + strings.Join([]string{bin, c.postgres, os.Getenv("PATH"), "/usr/sbin"}, ":"),
		"HOME=" + home,
		"LC_ALL=C",
		"ENVDISCOVER_URL=etcd://" + testservers.EmbeddedEtcd(t).Address,
		"CONTAINER_HOST=127.0.0.1",
		"PASSWORD_FILE=" + filepath.Join(home, "password"),
	}
	c.own(t, home)
	return c
}

func credentialOf(t *testing.T, name string) *syscall.Credential {
	t.Helper()
	account, err := user.Lookup(name)
	if err != nil {
		missing(t, "the user "+name, "run make install-test-tools")
	}
	uid, err := strconv.ParseUint(account.Uid, 10, 32)
	require.NoError(t, err)
	gid, err := strconv.ParseUint(account.Gid, 10, 32)
	require.NoError(t, err)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}

// own gives a tree to the user, before anybody runs in it.
func (c *databaseCluster) own(t *testing.T, root string) {
	t.Helper()
	if c.credential == nil {
		return
	}
	require.NoError(t, filepath.WalkDir(root, func(path string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, int(c.credential.Uid), int(c.credential.Gid))
	}))
}

func (c *databaseCluster) directory(t *testing.T, name string) string {
	t.Helper()
	path := filepath.Join(c.home, name)
	require.NoError(t, os.Mkdir(path, 0o700))
	c.own(t, path)
	return path
}

// command is one that the user runs.
func (c *databaseCluster) command(env []string, words ...string) *exec.Cmd {
	cmd := exec.Command(words[0], words[1:]...)
	cmd.Dir = c.home
	cmd.Env = slices.Concat(c.env, env)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: c.credential}
	return cmd
}

// harnessed starts a command as its container would.
func (c *databaseCluster) harnessed(t *testing.T, env []string, directory, export string, command ...string) *harnessProcess {
	t.Helper()
	none := filepath.Join(directory, "environment")
	words := []string{filepath.Join(c.home, "bin/envharness"), "--init", "--socket", filepath.Join(directory, "socket"),
		"--environment", none, "--export", filepath.Join(c.home, export), "--timeout", "1m", "--grace", "1m", "--"}
	p := startHarness(t, c.command(env, append(words, command...)...))
	t.Cleanup(func() {
		if <-p.ended; t.Failed() {
			t.Logf("%s said:\n%s%s", command[0], &p.stdout, &p.stderr)
		}
	})
	return p
}

// startPostgres makes a database and serves it until the end of the test.
func (c *databaseCluster) startPostgres(t *testing.T, port int) *harnessProcess {
	t.Helper()
	directory := c.directory(t, fmt.Sprint("db", port))
	data := filepath.Join(directory, "data")
	out, err := c.command(nil, filepath.Join(c.postgres, "initdb"), "--pgdata", data, "--username", "pgdeveloper", "--no-sync",
		"--auth", "scram-sha-256", "--pwfile", filepath.Join(c.home, "password")).CombinedOutput()
	require.NoError(t, err, "%s", out)
	p := c.harnessed(t, []string{fmt.Sprintf("PGPORT=%d", port)}, directory, "database",
		filepath.Join(c.postgres, "postgres"), "-D", data, "-k", directory, "-h", "127.0.0.1", "-F")
	t.Cleanup(func() { // which ends the server's children, too
		_ = p.cmd.Process.Signal(syscall.SIGINT)
		<-p.ended
	})
	return p
}

// pool is one machine with a pool.
type pool struct {
	*harnessProcess
	port int
	run  string
}

func (c *databaseCluster) startPool(t *testing.T) *pool {
	t.Helper()
	p := &pool{port: testservers.FreePort(t)}
	p.run = c.directory(t, fmt.Sprint("pool", p.port))
	env := []string{"POOL_RUN=" + p.run, fmt.Sprintf("POOL_PORT=%d", p.port)}
	p.harnessProcess = c.harnessed(t, env, p.run, "pool", "pgbouncer", filepath.Join(p.run, "pgbouncer.ini"))
	t.Cleanup(func() {
		_ = p.cmd.Process.Signal(syscall.SIGTERM)
		<-p.ended
	})
	return p
}

// eventuallyAnswers asks as an application does, by DATABASE_URL, which pool that is and which server answers.
func (c *databaseCluster) eventuallyAnswers(t *testing.T, poolPort, serverPort int) {
	t.Helper()
	var last string
	eventually(t, fmt.Sprintf("pool %d with database %d", poolPort, serverPort), func() bool {
		url, err := c.command(nil, filepath.Join(c.home, "bin/envdiscover"), "get", "DATABASE_URL").Output()
		if err != nil {
			return false
		}
		last = strings.TrimSpace(string(url))
		answer, err := c.command(nil, "psql", "--no-psqlrc", "-At", "-c", "SELECT current_user, inet_server_port()", last).CombinedOutput()
		return err == nil && string(answer) == fmt.Sprintf("pgdeveloper|%d\n", serverPort) &&
			last == fmt.Sprintf("postgresql://pgdeveloper:pg%%2Fsecret@127.0.0.1:%d/postgres", poolPort)
	})
}
