package examples_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/envharness/envharness/harness"
)

// served is a command that tells the store when it starts, with which value, and
// when it is told to stop.
var served = []string{"sh", "-c", `
	tell() { curl --silent --show-error "http://$DOCKERD/command/$1"; }
	trap 'tell stopped; exit 0' TERM
	tell "started/$DATABASE_URL"
	while :; do sleep 1 & wait $!; done`}

// What the requests are called that show what happened.
const (
	announced    = "POST /environment/WEB_URL"
	withdrawn    = "DELETE /environment/WEB_URL"
	asked        = "GET /environment/DATABASE_URL"
	startedFirst = "GET /command/started/first"
	stopped      = "GET /command/stopped"
)

// startHeld starts served under the harness with both held examples, its database
// known to the store as first.
func startHeld(t *testing.T) (*pidOne, *store) {
	t.Helper()
	needProgram(t, "curl")
	needProgram(t, "socat")
	store := startStore(t)
	store.set("DATABASE_URL", "first")
	args := append([]string{"--export", "held/export", "--environment", "held/environment", "--"}, served...)
	p := startPidOne(t, []string{"DOCKERD=" + store.address(), "CONTAINER_HOST=172.17.0.9", "LINGER=0"}, args...)
	store.await(t, startedFirst)
	return p, store
}

// await waits until the store has seen a request.
func (s *store) await(t *testing.T, request string) {
	t.Helper()
	eventually(t, request, func() bool { return s.count(request) > 0 })
}

func (s *store) count(request string) int {
	n := 0
	for _, r := range s.requests() {
		if r == request {
			n++
		}
	}
	return n
}

// requireOrder finds each of the requests after the one before it.
func (s *store) requireOrder(t *testing.T, requests ...string) {
	t.Helper()
	rest := s.requests()
	for _, request := range requests {
		at := slices.Index(rest, request)
		require.GreaterOrEqual(t, at, 0, "%s is not where it belongs in %q", request, s.requests())
		rest = rest[at+1:]
	}
}

func TestHeldServiceIsWithdrawnBeforeItsCommandIsStopped(t *testing.T) {
	t.Parallel()
	p, store := startHeld(t)
	require.Equal(t, "http://172.17.0.9:8080", store.value("WEB_URL"))

	p.stop()
	require.Equal(t, 0, p.exitCode())
	store.requireOrder(t, announced, startedFirst, withdrawn, stopped)
	require.NotContains(t, store.requests()[slices.Index(store.requests(), withdrawn):], announced, "nothing is announced again")
	require.Contains(t, p.output.String(), "withdrawn; the command serves for 0 s more\n", "teardown ran")
}

func TestHeldServiceIsWithdrawnWhenItsCommandEnds(t *testing.T) {
	t.Parallel()
	needProgram(t, "curl")
	needProgram(t, "socat")
	store := startStore(t)
	p := startPidOne(t, []string{"DOCKERD=" + store.address(), "LINGER=0"},
		"--export", "held/export", "--environment", t.TempDir(), "--", "sh", "-c", "exit 3")
	require.Equal(t, 3, p.exitCode())
	store.requireOrder(t, announced, withdrawn)
}

func TestHeldDiscovererRestartsTheCommandOnceForANewValue(t *testing.T) {
	t.Parallel()
	p, store := startHeld(t)

	store.remove("DATABASE_URL")
	asks := store.count(asked)
	eventually(t, "the store is asked in vain", func() bool { return store.count(asked) >= asks+2 })

	store.set("DATABASE_URL", "second")
	store.await(t, "GET /command/started/second")
	asks = store.count(asked)
	eventually(t, "the store is asked again", func() bool { return store.count(asked) >= asks+3 })

	p.stop()
	require.Equal(t, 0, p.exitCode())
	store.requireOrder(t, startedFirst, stopped, "GET /command/started/second", withdrawn, stopped)
	var starts []string
	for _, request := range store.requests() {
		if strings.HasPrefix(request, "GET /command/started/") {
			starts = append(starts, request)
		}
	}
	require.Equal(t, []string{startedFirst, "GET /command/started/second"}, starts)
	require.Equal(t, 1, store.count(withdrawn), "a restart does not withdraw")
	require.Equal(t, 1, strings.Count(p.output.String(), "the last one stays"))
}

func TestHeldServiceIsDrainedAndResumed(t *testing.T) {
	t.Parallel()
	p, store := startHeld(t)
	eventually(t, "ready", func() bool { return p.ask("ready").exitCode == 0 })

	status := func() (s harness.Status) {
		t.Helper()
		got := p.ask("status")
		require.Equal(t, 0, got.exitCode, got.stderr)
		require.NoError(t, json.Unmarshal([]byte(got.stdout), &s), got.stdout)
		return s
	}
	before := status()
	require.Equal(t, harness.PhaseRunning, before.Phase)
	require.Len(t, before.Exporters, 1)
	require.Equal(t, "held/export/web", before.Exporters[0].Path)

	require.Equal(t, result{}, p.ask("drain"))
	require.Equal(t, 1, store.count(withdrawn), "drain answers when the service is withdrawn")
	require.Empty(t, store.value("WEB_URL"))
	got := p.ask("ready")
	require.Equal(t, 1, got.exitCode)
	require.Contains(t, got.stderr, "it is drained")
	require.Equal(t, harness.PhaseDrained, status().Phase)
	require.Equal(t, before.PID, status().PID, "the command runs on")

	require.Equal(t, result{}, p.ask("resume"))
	require.Equal(t, "http://172.17.0.9:8080", store.value("WEB_URL"), "resume answers when the service is announced")
	require.Equal(t, 0, p.ask("ready").exitCode)
	require.True(t, status().Announced)

	p.stop()
	require.Equal(t, 0, p.exitCode())
	require.Equal(t, 2, store.count(withdrawn))
	require.Equal(t, 125, p.ask("ready").exitCode, "nobody is there any more")
}

// Without --init the command is there instead of the harness: nobody would take
// another value, and nobody could keep an exporter alive, but it can live beside it.
func TestHeldExamplesWithoutInit(t *testing.T) {
	t.Parallel()
	needProgram(t, "curl")
	needProgram(t, "socat")
	store := startStore(t)
	store.set("DATABASE_URL", "first")
	words := append(unshare(t, "--pid", "--fork", "--kill-child", "--mount-proc"), envharness,
		"--export", "held/export", "--environment", "held/environment", "--", "sh", "-c", `
		echo "PID $$ has $DATABASE_URL"
		for process in /proc/[0-9]*; do tr '\0' ' ' <"$process/cmdline"; echo; done`)
	got := run(t, []string{"DOCKERD=" + store.address(), "CONTAINER_HOST=172.17.0.9"}, words[0], words[1:]...)
	require.Equal(t, 0, got.exitCode, got.stderr)
	require.Contains(t, got.stdout, "PID 1 has first\n")
	require.Contains(t, got.stdout, "held/export/web")
	require.NotContains(t, got.stdout, "held/environment/DATABASE_URL")
	require.Contains(t, got.stderr, "held/export/teardown", "that it is never run is told")
}

func TestHeldScriptsByHand(t *testing.T) {
	t.Parallel()
	needProgram(t, "curl")
	got := run(t, nil, "held/export/web")
	require.Equal(t, 1, got.exitCode)
	require.Contains(t, got.stderr, "set DOCKERD")

	store := startStore(t)
	got = run(t, []string{"DOCKERD=" + store.address()}, "held/environment/DATABASE_URL")
	require.NotEqual(t, 0, got.exitCode)
	require.Contains(t, got.stderr, "has the database announced itself?")

	store.set("DATABASE_URL", "first")
	got = run(t, []string{"DOCKERD=" + store.address()}, "held/environment/DATABASE_URL")
	require.Equal(t, result{stdout: "first\n"}, got)
}
