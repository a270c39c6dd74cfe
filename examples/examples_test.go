// Package examples_test runs every example by the harness, as its reader would.
package examples_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/envharness/envharness/internal/testservers/parallel"
)

// The paths of the binaries under test, static as they are shipped.
var envharness, envdiscover string

func TestMain(m *testing.M) { os.Exit(runTests(m)) }

// runTests runs the tests once the binaries are there.
func runTests(m *testing.M) int {
	dir, err := os.MkdirTemp("", "examples")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)

	envharness, envdiscover = filepath.Join(dir, "envharness"), filepath.Join(dir, "envdiscover")
	for binary, source := range map[string]string{envharness: "../cmd/envharness", envdiscover: "../cmd/envdiscover"} {
		if err := build(binary, source); err != nil {
			fmt.Fprintln(os.Stderr, "cannot build", source, err)
			return 1
		}
	}
	return parallel.Tests{M: m}.Run()
}

// envdiscoverd builds the registry beside the other binaries, when first asked, because it takes a while.
func envdiscoverd(t *testing.T) string {
	t.Helper()
	path := filepath.Join(filepath.Dir(envharness), "envdiscoverd")
	require.NoError(t, buildEnvdiscoverd())
	return path
}

var buildEnvdiscoverd = sync.OnceValue(func() error {
	return build(filepath.Join(filepath.Dir(envharness), "envdiscoverd"), "../cmd/envdiscoverd")
})

// build makes a static binary of a package.
func build(binary, source string) error {
	cmd := exec.Command("go", "build", "-trimpath", "-tags", "urfave_cli_no_docs,grpcnotrace", "-o", binary, source)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	cmd.Stderr = os.Stderr
	return cmd.Run()
}

// missing skips the test for want of something, or fails it where everything
// must be there.
func missing(t *testing.T, what, remedy string) {
	t.Helper()
	if os.Getenv("ENVHARNESS_TEST_REQUIRE") == "all" {
		t.Fatalf("%s is missing: %s", what, remedy)
	}
	t.Skipf("%s is missing: %s", what, remedy)
}

func needProgram(t *testing.T, name string) {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		missing(t, name, "run make install-test-tools")
	}
}

// result is what a finished command left.
type result struct {
	exitCode       int
	stdout, stderr string
}

// run runs a command with PATH and env as its whole environment.
func run(t *testing.T, env []string, name string, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()

	var stdout, stderr bytes.Buffer
	command := exec.CommandContext(ctx, name, args...)
	command.Env = append([]string{"PATH=" + os.Getenv("PATH")}, env...)
	command.Stdout, command.Stderr = &stdout, &stderr
	err := command.Run()
	require.NoError(t, ctx.Err(), "%s %q did not end; stderr: %s", name, args, &stderr)
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		require.NoError(t, err)
	}
	return result{command.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// resolve returns what the harness resolves from one of the environments.
func resolve(t *testing.T, environment string, env ...string) map[string]string {
	t.Helper()
	got := run(t, env, envharness, "print", "--format", "json", "--environment", "environments/"+environment)
	require.Equal(t, 0, got.exitCode, got.stderr)

	var values map[string]string
	require.NoError(t, json.Unmarshal([]byte(got.stdout), &values), got.stdout)
	return values
}

// become runs a command that prints its DATABASE_URL under the harness.
func become(t *testing.T, env []string, options ...string) result {
	t.Helper()
	args := append(options, "--", "sh", "-c", `echo "COMMAND ran with $DATABASE_URL"`)
	return run(t, env, envharness, args...)
}

func requireRefused(t *testing.T, got result, reasons ...string) {
	t.Helper()
	require.Equal(t, 125, got.exitCode, got.stderr)
	require.NotContains(t, got.stdout, "COMMAND ran")
	for _, reason := range reasons {
		require.Contains(t, got.stderr, reason)
	}
}

func TestDevelopmentResolvesOnABareMachine(t *testing.T) {
	t.Parallel()
	require.Equal(t, map[string]string{
		"DATABASE_URL":         "postgresql://pgdeveloper:pgdeveloper@localhost/pgdeveloper",
		"MEMCACHE_SERVER":      "localhost:11211",
		"PAYPAL_CLIENT_KEY":    "developer-sandbox",
		"PAYPAL_CLIENT_SECRET": "not-secret-developer-sandbox",
	}, resolve(t, "development"))
}

func TestDevelopmentPassesOnWhatWasSet(t *testing.T) {
	t.Parallel()
	values := resolve(t, "development", "DATABASE_HOST=db.example")
	require.Equal(t, "postgresql://pgdeveloper:pgdeveloper@db.example/pgdeveloper", values["DATABASE_URL"])
}

func TestTestEnvironmentGivesEveryBranchADatabase(t *testing.T) {
	t.Parallel()
	needProgram(t, "python3")
	env := []string{"GIT_BRANCH=Feature/Login-2", "CI_PAYPAL_SECRET=from-ci", "HOME=" + os.Getenv("HOME")}
	require.Equal(t, map[string]string{
		"DATABASE_URL":         "postgresql://tester:tester@postgres.test.internal/test_feature_login_2",
		"MEMCACHE_SERVER":      "memcache.test.internal:11211",
		"PAYPAL_CLIENT_KEY":    "test-sandbox",
		"PAYPAL_CLIENT_SECRET": "from-ci",
	}, resolve(t, "test", env...))
}

func TestTestEnvironmentNamesTheSecretThatCILacks(t *testing.T) {
	t.Parallel()
	needProgram(t, "python3")
	got := become(t, []string{"HOME=" + os.Getenv("HOME")}, "--environment", "environments/test")
	requireRefused(t, got, "PAYPAL_CLIENT_SECRET", "CI_PAYPAL_SECRET is unset")
}

func TestProductionAsksTheKeyValueStore(t *testing.T) {
	t.Parallel()
	needProgram(t, "curl")
	store := startStore(t)
	store.set("DATABASE_URL", "postgresql://u:p@db.production.internal/shop?sslmode=require")
	secrets := mountedSecret(t, "from-the-orchestrator")

	require.Equal(t, map[string]string{
		"DATABASE_URL":         "postgresql://u:p@db.production.internal/shop?sslmode=require",
		"MEMCACHE_SERVER":      "memcache.production.internal:11211",
		"PAYPAL_CLIENT_KEY":    "live-AVx3Qm",
		"PAYPAL_CLIENT_SECRET": "from-the-orchestrator",
	}, resolve(t, "production", "DOCKERD="+store.address(), secrets))
	require.Equal(t, []string{"GET /environment/DATABASE_URL"}, store.requests())
}

func TestProductionRefusesToStartWithoutAValue(t *testing.T) {
	t.Parallel()
	needProgram(t, "curl")
	store := startStore(t)
	stopped := startStore(t)
	stopped.server.Close()

	for name, address := range map[string]string{"unknown name": store.address(), "no store": stopped.address()} {
		t.Run(name, func(t *testing.T) {
			env := []string{"DOCKERD=" + address, mountedSecret(t, "s")}
			got := become(t, env, "--environment", "environments/production")
			requireRefused(t, got, "production/DATABASE_URL", "has the database announced itself?")
		})
	}
}

func TestProductionNamesTheSecretThatIsNotMounted(t *testing.T) {
	t.Parallel()
	needProgram(t, "curl")
	store := startStore(t)
	store.set("DATABASE_URL", "postgresql://db/shop")
	env := []string{"DOCKERD=" + store.address(), "SECRETS_DIR=" + t.TempDir()}
	got := become(t, env, "--environment", "environments/production")
	requireRefused(t, got, "PAYPAL_CLIENT_SECRET", "mount the secret there")
}

func TestWhatTheDatabaseAnnouncesTheApplicationFinds(t *testing.T) {
	t.Parallel()
	needProgram(t, "curl")
	store := startStore(t)
	none := t.TempDir()

	database := become(t, []string{"DOCKERD=" + store.address(), "CONTAINER_HOST=172.17.0.9"},
		"--export", "export", "--environment", none)
	require.Equal(t, 0, database.exitCode, database.stderr)
	require.Contains(t, database.stdout, "COMMAND ran")
	require.Equal(t, []string{"GET /healthz", "POST /environment/DATABASE_URL"}, store.requests(),
		"bootstrap runs before the announcement")

	application := become(t, []string{"DOCKERD=" + store.address(), mountedSecret(t, "s")},
		"--export", none, "--environment", "environments/production")
	require.Equal(t, 0, application.exitCode, application.stderr)
	require.Equal(t, "COMMAND ran with postgresql://pgdeveloper:pgdeveloper@172.17.0.9/pgdeveloper\n", application.stdout)
}

func TestNothingIsAnnouncedWhenBootstrapFails(t *testing.T) {
	t.Parallel()
	needProgram(t, "curl")
	store := startStore(t)
	store.makeIll()
	got := become(t, []string{"DOCKERD=" + store.address()}, "--export", "export", "--environment", t.TempDir())
	requireRefused(t, got, "export/bootstrap", "is it up? is DOCKERD right?")
	require.Equal(t, []string{"GET /healthz"}, store.requests())
}

// Without the harness, which could offer a DOCKERD of this machine.
func TestScriptsSayWhenThereIsNoStore(t *testing.T) {
	t.Parallel()
	got := run(t, nil, "environments/production/DATABASE_URL")
	require.Equal(t, 1, got.exitCode)
	require.Empty(t, got.stdout)
	require.Contains(t, got.stderr, "DOCKERD is unset")

	require.Equal(t, result{}, run(t, nil, "export/bootstrap"))

	got = run(t, []string{"CONTAINER_HOST=172.17.0.9"}, "export/DATABASE_URL")
	require.Equal(t, 0, got.exitCode, got.stderr)
	require.Contains(t, got.stdout, "would announce a database at 172.17.0.9")
}

func TestCheckFindsNothingWrong(t *testing.T) {
	t.Parallel()
	needProgram(t, "python3")
	root := t.TempDir()
	for _, dir := range []string{"development", "test", "production"} {
		copied := filepath.Join(root, dir)
		copyDirectory(t, "environments/"+dir, copied)
		got := run(t, nil, envharness, "check", copied)
		require.Equal(t, 0, got.exitCode, "%s%s", got.stdout, got.stderr)
	}
}

func TestDiffFindsNoNameThatAnEnvironmentLacks(t *testing.T) {
	t.Parallel()
	for _, other := range []string{"test", "production"} {
		got := run(t, nil, envharness, "diff", "environments/development", "environments/"+other)
		require.Equal(t, 0, got.exitCode, "%s%s", got.stdout, got.stderr)
	}

	incomplete := filepath.Join(t.TempDir(), "production")
	copyDirectory(t, "environments/production", incomplete)
	require.NoError(t, os.Remove(filepath.Join(incomplete, "PAYPAL_CLIENT_SECRET")))
	got := run(t, nil, envharness, "diff", "environments/development", incomplete)
	require.Equal(t, 1, got.exitCode, got.stderr)
	require.Contains(t, got.stdout, "PAYPAL_CLIENT_SECRET")
}

// mountedSecret is a SECRETS_DIR that holds the PayPal secret.
func mountedSecret(t *testing.T, value string) string {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "paypal_client_secret"), []byte(value+"\n"), 0o600))
	return "SECRETS_DIR=" + dir
}

// copyDirectory copies the plain files of a directory with the modes that a
// checkout by most people gives, whatever this one's umask was.
func copyDirectory(t *testing.T, from, to string) {
	t.Helper()
	require.NoError(t, os.Mkdir(to, 0o755))
	require.NoError(t, os.Chmod(to, 0o755))
	entries, err := os.ReadDir(from)
	require.NoError(t, err)
	for _, entry := range entries {
		source, target := filepath.Join(from, entry.Name()), filepath.Join(to, entry.Name())
		info, err := os.Stat(source)
		require.NoError(t, err)
		mode := os.FileMode(0o644)
		if info.Mode()&0o111 != 0 {
			mode = 0o755
		}
		copyFile(t, source, target, mode)
	}
}

func copyFile(t *testing.T, from, to string, mode os.FileMode) {
	t.Helper()
	content, err := os.ReadFile(from)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(to, content, mode))
	require.NoError(t, os.Chmod(to, mode))
}

// store is an HTTP key/value store as the examples expect it: values below
// /environment/, and /healthz. Commands of tests tell it below /command/ what they
// do, so that the requests show what happened in which order.
type store struct {
	server *httptest.Server

	mu     sync.Mutex
	values map[string]string
	seen   []string
	ill    bool
}

func startStore(t *testing.T) *store {
	t.Helper()
	s := &store{values: map[string]string{}}
	s.server = httptest.NewServer(s)
	t.Cleanup(s.server.Close)
	return s
}

func (s *store) address() string {
	return strings.TrimPrefix(s.server.URL, "http://")
}

func (s *store) set(name, value string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.values[name] = value
}

func (s *store) remove(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.values, name)
}

func (s *store) value(name string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.values[name]
}

// makeIll lets /healthz answer with an error that is not worth a second try.
func (s *store) makeIll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ill = true
}

func (s *store) requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.seen...)
}

func (s *store) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen = append(s.seen, r.Method+" "+r.URL.Path)

	name, isValue := strings.CutPrefix(r.URL.Path, "/environment/")
	switch {
	case isValue && r.Method == http.MethodPost:
		body, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, "", http.StatusBadRequest)
			return
		}
		s.values[name] = string(body)
	case isValue && r.Method == http.MethodDelete:
		delete(s.values, name)
	case isValue:
		value, known := s.values[name]
		if !known {
			http.Error(w, "", http.StatusNotFound)
			return
		}
		io.WriteString(w, value)
	case strings.HasPrefix(r.URL.Path, "/command/"):
	case r.URL.Path != "/healthz" || s.ill:
		http.Error(w, "", http.StatusNotFound)
	}
}
