package main

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/envharness/envharness/internal/testservers"
)

// TestTTLOfTheLayout: without --ttl an announcement has the TTL of its layout, which in scalingo is 5s.
func TestTTLOfTheLayout(t *testing.T) {
	server := testservers.DebianEtcd(t, "--enable-v2")
	for _, c := range []struct {
		service string
		args    []string
		ttl     int
	}{
		{"own", nil, 5},
		{"given", []string{"--ttl", "1h"}, 3600},
	} {
		socket, next := notifications(t)
		held(t, "etcd2://"+server.Address+"?layout=scalingo", socket,
			append([]string{"register", c.service, "--port", "http=80", "--wait", patience.String()}, c.args...)...)
		require.Equal(t, "READY=1", next())
		response, err := http.Get("http://" + server.Address + "/v2/keys/services/" + c.service)
		require.NoError(t, err)
		defer response.Body.Close()
		var directory struct {
			Node struct {
				Nodes []struct{ TTL int }
			}
		}
		require.NoError(t, json.NewDecoder(response.Body).Decode(&directory))
		require.Len(t, directory.Node.Nodes, 1)
		left := directory.Node.Nodes[0].TTL
		require.Positive(t, left)
		require.LessOrEqual(t, left, c.ttl)
		require.Greater(t, left, c.ttl/2-2)
	}
}
