package docker

import (
	"log/slog"
	"net/netip"
	"strings"
	"testing"

	apicontainer "github.com/moby/moby/api/types/container"
	"github.com/stretchr/testify/require"

	"github.com/envharness/envharness/discovery"
)

const testID = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

var discardLog = slog.New(slog.DiscardHandler)

var testAddresses = addresses{own: netip.MustParseAddr("10.0.0.5")}

func testHost() host {
	return host{id: "h", join: ":", realm: "default", variable: "DISCOVER", health: true}
}

// TestInstances: one that is announced, field by field, and the IDs of several.
func TestInstances(t *testing.T) {
	c := container{id: testID, name: "shop", hostNetwork: true, env: []string{"DISCOVER=web:80 admin:81 web:82 dns:53 dns:53/udp dns:54 dns:54/udp"}}
	r := testHost().instances(c, testAddresses)
	instances := r.instances
	require.Empty(t, r.complaints)
	require.Equal(t, discovery.Instance{
		Service:  "web",
		ID:       "h:0123456789ab",
		Host:     "10.0.0.5",
		Ports:    map[string]discovery.Port{"default": {Number: 80, Protocol: "tcp"}},
		Metadata: map[string]string{"realm": "default", "host_id": "h", "container": "shop"},
		State:    discovery.Passing,
	}, instances[0])
	var ids []string
	for _, in := range instances {
		ids = append(ids, in.Service+" "+strings.TrimPrefix(in.ID, "h:0123456789ab"))
		require.True(t, testHost().made(in))
	}
	require.Equal(t, []string{"web ", "admin ", "web -82", "dns ", "dns -53", "dns -54", "dns -udp-54"}, ids)
}

// TestState: a HEALTHCHECK is the state unless it is ignored, and a paused container answers nobody.
func TestState(t *testing.T) {
	ignoring := testHost()
	ignoring.health = false
	is := func(h host, status apicontainer.HealthStatus, paused bool, want discovery.State, why string) {
		t.Helper()
		state, reason := h.state(container{health: status, paused: paused, lastWords: "no route"})
		require.Equal(t, want, state, status)
		require.Equal(t, why, reason, status)
	}
	for status, want := range map[apicontainer.HealthStatus]discovery.State{
		apicontainer.NoHealthcheck: discovery.Passing,
		apicontainer.Starting:      discovery.Starting,
		apicontainer.Healthy:       discovery.Passing,
		apicontainer.Unhealthy:     discovery.Failing,
		"":                         discovery.Passing,
	} {
		why := "no route"
		if want == discovery.Passing {
			why = ""
		}
		is(testHost(), status, false, want, why)
		is(ignoring, status, false, discovery.Passing, "")
		is(testHost(), status, true, discovery.Failing, "the container is paused")
		is(ignoring, status, true, discovery.Failing, "the container is paused")
	}
}

// TestLastWords are those of the last run, or its exit code.
func TestLastWords(t *testing.T) {
	state := func(log ...*apicontainer.HealthcheckResult) *apicontainer.State {
		return &apicontainer.State{Health: &apicontainer.Health{Log: log}}
	}
	require.Empty(t, lastWords(&apicontainer.State{}))
	require.Empty(t, lastWords(state()))
	require.Empty(t, lastWords(state(nil)))
	first := &apicontainer.HealthcheckResult{Output: "connection refused\n", ExitCode: 1}
	require.Equal(t, "connection refused", lastWords(state(first)))
	require.Equal(t, "the HEALTHCHECK ended with exit code 7", lastWords(state(first, &apicontainer.HealthcheckResult{ExitCode: 7})))
}

func TestAllowed(t *testing.T) {
	h := testHost()
	h.allow = []string{"web-*", "db"}
	c := container{id: testID, name: "shop", hostNetwork: true, env: []string{"DISCOVER=web-a:80 dbs:81 web:82 db:83"}}
	r := h.instances(c, testAddresses)
	instances, complaints := r.instances, r.complaints
	require.Len(t, instances, 2)
	require.Equal(t, "web-a", instances[0].Service)
	require.Equal(t, "db", instances[1].Service)
	require.Len(t, complaints, 2)
	require.ErrorContains(t, complaints[0], `"dbs:81/tcp"`)
	require.ErrorContains(t, complaints[0], "--docker-allow")
}

// TestMade: what is not of this host and realm, or no container's, is never withdrawn.
func TestMade(t *testing.T) {
	realm := map[string]string{"realm": "default"}
	for id, want := range map[string]bool{
		"h:0123456789ab":        true,
		"h:0123456789ab-80":     true,
		"h:0123456789ab-udp-80": true,
		"h:0123456789":          false,
		"h:0123456789xy":        false,
		"h:web":                 false,
		"h:":                    false,
		"g:0123456789ab":        false,
		"hh:0123456789ab":       false,
		"0123456789ab":          false,
	} {
		require.Equal(t, want, testHost().made(discovery.Instance{ID: id, Metadata: realm}), id)
	}
	require.False(t, testHost().made(discovery.Instance{ID: "h:0123456789ab", Metadata: map[string]string{"realm": "test"}}))
	require.False(t, testHost().made(discovery.Instance{ID: "h:0123456789ab"}))
}
