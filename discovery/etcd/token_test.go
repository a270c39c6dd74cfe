package etcd

import (
	"context"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/discovery/registrytest"
	"github.com/envharness/envharness/internal/testservers"
)

// A token that expires while its user is cut off is replaced: registrations, watches and values go on, and a
// login that is refused is not repeated over and over.
func TestTokenExpires(t *testing.T) {
	t.Parallel()
	const life = time.Second
	for name, start := range map[string]func(*testing.T) *testservers.Etcd{
		"3.4":      func(t *testing.T) *testservers.Etcd { return testservers.DebianEtcd(t, "--auth-token-ttl", "1") },
		"embedded": func(t *testing.T) *testservers.Etcd { return testservers.EmbeddedEtcd(t) }, // whose tokens last 5 minutes
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := start(t)
			guardEtcd(t, server)
			link := testservers.NewLink(t, server.Address)
			registry := openForTest(t, "etcd://root:rootpw@"+link.Address+"/x")
			registration, err := registry.Register(t.Context(), instance(), time.Second)
			require.NoError(t, err)
			require.NoError(t, registration.WaitReady(t.Context()))
			snapshots, err := registry.Watch(t.Context(), "web", discovery.Query{})
			require.NoError(t, err)
			values, err := registry.(discovery.Values).WatchValue(t.Context(), "NAME")
			require.NoError(t, err)
			registrytest.Await(t, snapshots, func(s discovery.Snapshot) bool { return len(s.Instances) == 1 })
			require.Equal(t, 1, logins(t, server), "one for all calls and watches")

			link.Cut(t)
			registrytest.Await(t, snapshots, func(s discovery.Snapshot) bool { return s.Stale })
			time.Sleep(3 * life)
			link.Mend(t)
			registrytest.Await(t, snapshots, func(s discovery.Snapshot) bool { return len(s.Instances) == 1 && !s.Stale })
			require.NoError(t, registry.(discovery.Values).Put(t.Context(), "NAME", []byte("new"), 0))
			for value := range values {
				if string(value.Data) == "new" && !value.Stale {
					break
				}
			}
			require.NoError(t, registration.Err())
			require.LessOrEqual(t, logins(t, server), 4)
		})
	}
}

// Forty watches log in once, though etcd takes longer for it than any of their calls has time: as a busy one does.
func TestSlowLogin(t *testing.T) {
	t.Parallel()
	server := testservers.DebianEtcd(t, "--bcrypt-cost", "13")
	guardEtcd(t, server)
	registry := openForTest(t, "etcd://root:rootpw@"+server.Address+"/x?timeout=100ms")
	_, err := registry.Services(t.Context())
	require.ErrorIs(t, err, discovery.ErrUnavailable)
	var watches sync.WaitGroup
	for i := range 40 {
		watches.Go(func() {
			assert.NoError(t, discovery.Retry(t.Context(), func(ctx context.Context) error {
				_, err := registry.Watch(ctx, "service-"+strconv.Itoa(i), discovery.Query{})
				return err
			}))
		})
	}
	watches.Wait()
	require.Equal(t, 1, logins(t, server))
}

// Who is refused logs in no more often than its back-off says, whatever calls and watches want.
func TestRefusedLogins(t *testing.T) {
	t.Parallel()
	server := testservers.EmbeddedEtcd(t)
	guardEtcd(t, server)
	registry := openForTest(t, "etcd://root:wrong@"+server.Address+"/x")
	for begun := time.Now(); time.Since(begun) < time.Second; {
		_, err := registry.Services(t.Context())
		require.ErrorIs(t, err, discovery.ErrDenied)
	}
	require.LessOrEqual(t, logins(t, server), 20)
}

// guardEtcd gives a server one user, root.
func guardEtcd(t testing.TB, server *testservers.Etcd) {
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{server.Address}, Context: context.Background(), Logger: zap.NewNop()})
	require.NoError(t, err)
	defer client.Close()
	ctx := t.Context()
	_, err = client.RoleAdd(ctx, "root")
	require.NoError(t, err)
	_, err = client.UserAdd(ctx, "root", "rootpw")
	require.NoError(t, err)
	_, err = client.UserGrantRole(ctx, "root", "root")
	require.NoError(t, err)
	_, err = client.AuthEnable(ctx)
	require.NoError(t, err)
}

// logins gives how often somebody has tried to log in.
func logins(t testing.TB, server *testservers.Etcd) int {
	return metric(t, server, `grpc_server_started_total{grpc_method="Authenticate"`)
}

// metric gives the count that etcd tells behind a name with its first labels.
func metric(t testing.TB, server *testservers.Etcd, name string) int {
	response, err := http.Get("http://" + server.Address + "/metrics")
	require.NoError(t, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	match := regexp.MustCompile("(?m)^" + regexp.QuoteMeta(name) + `[^}]*\} (\d+)`).FindSubmatch(text)
	require.NotNil(t, match, "etcd counts its calls")
	n, err := strconv.Atoi(string(match[1]))
	require.NoError(t, err)
	return n
}
