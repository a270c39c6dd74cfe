package etcd2

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/envharness/envharness/internal/testservers"
)

// patience is how long a thing that must come may take on a busy machine.
const patience = time.Minute

// oldClient speaks the v2 keys API as any HTTP client does. It has nothing from the code under test.
type oldClient struct{ address string }

// answer is the server's, as its documentation has it.
type answer struct {
	Action    string
	Node      *node
	PrevNode  *node
	ErrorCode int
	Index     uint64 `json:"-"` // X-Etcd-Index
}

type node struct {
	Key           string
	Value         string
	Dir           bool
	TTL           int
	Expiration    *time.Time
	ModifiedIndex uint64
	CreatedIndex  uint64
	Nodes         []*node
}

// plainHTTP leaves no connection behind.
var plainHTTP = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

func (c oldClient) do(ctx context.Context, method, path string, form url.Values) (answer, error) {
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	request, err := http.NewRequestWithContext(ctx, method, "http://"+c.address+"/v2/keys"+path, body)
	if err != nil {
		return answer{}, err
	}
	if form != nil {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	response, err := plainHTTP.Do(request)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	var a answer
	if err := json.NewDecoder(response.Body).Decode(&a); err != nil {
		return answer{}, fmt.Errorf("%s %s: %s: %w", method, path, response.Status, err)
	}
	_, err = fmt.Sscan(response.Header.Get("X-Etcd-Index"), &a.Index)
	return a, err
}

// escape is a key as it stands in a URL.
func escape(key string) string { return (&url.URL{Path: key}).EscapedPath() }

func (c oldClient) get(t testing.TB, key string) answer {
	t.Helper()
	a, err := c.do(t.Context(), http.MethodGet, escape(key)+"?recursive=true&quorum=true", nil)
	require.NoError(t, err)
	return a
}

func (c oldClient) put(t testing.TB, key string, form url.Values) answer {
	t.Helper()
	a, err := c.do(t.Context(), http.MethodPut, escape(key), form)
	require.NoError(t, err)
	return a
}

func (c oldClient) delete(t testing.TB, key string) answer {
	t.Helper()
	a, err := c.do(t.Context(), http.MethodDelete, escape(key)+"?recursive=true", nil)
	require.NoError(t, err)
	return a
}

// waitFor polls until check gives no error.
func waitFor(t testing.TB, check func() error) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("still after %s: %v", patience, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// events watches a key with all below it from now on, as the old libraries do.
func (c oldClient) events(t testing.TB, key string) <-chan answer {
	t.Helper()
	next := c.get(t, key).Index + 1
	events := make(chan answer)
	ctx, cancel := context.WithCancel(context.Background())
	var wait sync.WaitGroup
	wait.Go(func() {
		for {
			a, err := c.do(ctx, http.MethodGet, fmt.Sprintf("%s?wait=true&recursive=true&waitIndex=%d", escape(key), next), nil)
			if err != nil {
				return
			}
			next = a.Node.ModifiedIndex + 1
			select {
			case events <- a:
			case <-ctx.Done():
				return
			}
		}
	})
	t.Cleanup(func() {
		cancel()
		wait.Wait()
	})
	return events
}

// event waits for the next one.
func event(t testing.TB, events <-chan answer) answer {
	t.Helper()
	select {
	case a := <-events:
		return a
	case <-time.After(patience):
		t.Fatalf("no event after %s", patience)
		panic("unreachable")
	}
}

// walk visits a node and all below it.
func (n *node) walk(visit func(*node)) {
	if n == nil {
		return
	}
	visit(n)
	for _, child := range n.Nodes {
		child.walk(visit)
	}
}

// revoke removes all below a key that has a TTL.
func (c oldClient) revoke(t testing.TB, key string) {
	t.Helper()
	c.get(t, key).Node.walk(func(n *node) {
		if n.Expiration != nil {
			c.delete(t, n.Key)
		}
	})
}

// forgetHistory makes more events than the server remembers.
func (c oldClient) forgetHistory(t testing.TB) {
	t.Helper()
	var workers sync.WaitGroup
	for worker := range 16 {
		workers.Go(func() {
			for n := range 70 {
				key := fmt.Sprintf("/noise/%d", worker)
				if _, err := c.do(t.Context(), http.MethodPut, key, url.Values{"value": {fmt.Sprint(n)}}); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	workers.Wait()
}

// guardedEtcd has users: root, and web, who may touch the prefix web only. Without a user nobody gets in.
func guardedEtcd(t *testing.T) *testservers.Etcd {
	server := testservers.DebianEtcd(t, "--enable-v2")
	for _, step := range []struct{ method, path, body string }{
		{http.MethodPut, "/users/root", `{"user":"root","password":"rootpw"}`},
		{http.MethodPut, "/roles/web", `{"role":"web","permissions":{"kv":{"read":["/web/*"],"write":["/web/*"]}}}`},
		{http.MethodPut, "/users/web", `{"user":"web","password":"webpw","roles":["web"]}`},
		{http.MethodPut, "/enable", ""},
		{http.MethodDelete, "/roles/guest", ""},
	} {
		request, err := http.NewRequestWithContext(t.Context(), step.method, "http://"+server.Address+"/v2/auth"+step.path, bytes.NewBufferString(step.body))
		require.NoError(t, err)
		request.SetBasicAuth("root", "rootpw")
		response, err := plainHTTP.Do(request)
		require.NoError(t, err)
		response.Body.Close()
		require.Less(t, response.StatusCode, 300, "%s %s", step.method, step.path)
	}
	return server
}
