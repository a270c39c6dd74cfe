package main

import (
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/envharness/envharness/internal/safebuffer"
	"github.com/envharness/envharness/internal/testservers"
)

// TestManyLogIn: forty processes that follow a service begin at once at an etcd with users. Each logs in once, however
// many calls and watches it has, none gives up, and each learns of a change.
func TestManyLogIn(t *testing.T) {
	const many = 40
	server := testservers.EmbeddedEtcd(t)
	require.NoError(t, enableAuth(server.Address))
	before := logins(t, server.Address)
	url := "etcd://root:root-password@" + server.Address + "/many?timeout=1m" // a call's own time, on a busy machine
	var outputs, errors [many]safebuffer.Buffer
	ended := make(chan error, many)
	var end []func() error
	for i := range many {
		cmd := envdiscover(url, "watch", "web")
		cmd.Stdout, cmd.Stderr = &outputs[i], &errors[i]
		require.NoError(t, cmd.Start())
		t.Cleanup(func() { _ = cmd.Process.Kill() })
		go func() { ended <- cmd.Wait() }()
		end = append(end, func() error { return cmd.Process.Signal(unix.SIGTERM) })
	}
	all := func(text string) func() bool {
		return func() bool {
			for i := range many {
				if !strings.Contains(outputs[i].String(), text) {
					return false
				}
			}
			return true
		}
	}
	require.Eventually(t, all(`"instances":[]`), 2*patience, 50*time.Millisecond)
	require.Equal(t, before+many, logins(t, server.Address), "one log-in a process")
	registered, _ := held(t, url, "", "register", "web", "--port", "80", "--id", "web-1")
	require.Eventually(t, all(`"id":"web-1"`), 2*patience, 50*time.Millisecond)
	require.Equal(t, before+many+1, logins(t, server.Address))

	require.NoError(t, registered.Process.Signal(unix.SIGTERM))
	for i := range many {
		require.NoError(t, end[i]())
	}
	for range many {
		require.NoError(t, <-ended)
	}
	for i := range many {
		require.Empty(t, errors[i].String())
	}
}

// logins is how often an etcd was asked for a token.
func logins(t *testing.T, address string) int {
	t.Helper()
	response, err := http.Get("http://" + address + "/metrics")
	require.NoError(t, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	match := regexp.MustCompile(`(?m)^grpc_server_started_total\{grpc_method="Authenticate"[^}]*\} (\d+)`).FindSubmatch(text)
	require.NotNil(t, match)
	n, err := strconv.Atoi(string(match[1]))
	require.NoError(t, err)
	return n
}
