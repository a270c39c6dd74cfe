package docker

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	apicontainer "github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/stretchr/testify/require"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/internal/safebuffer"
)

// fakeEngine answers as an engine with one container, and misbehaves as a test says.
type fakeEngine struct {
	*httptest.Server
	endEvents bool                    // close the stream of events at once
	answers   map[string]http.Handler // in place of its own, by the end of the path
	asked     atomic.Int32            // for events
}

func newFakeEngine(t *testing.T) *fakeEngine {
	f := &fakeEngine{answers: map[string]http.Handler{}}
	f.Server = httptest.NewServer(f)
	t.Cleanup(func() { f.CloseClientConnections(); f.Close() })
	return f
}

// url is as people write it.
func (f *fakeEngine) url() string { return "tcp://" + f.Listener.Addr().String() }

func (f *fakeEngine) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := r.URL.Path[strings.LastIndex(r.URL.Path[1:], "/v1.")+1:]
	for suffix, answer := range f.answers {
		if strings.HasSuffix(path, suffix) {
			answer.ServeHTTP(w, r)
			return
		}
	}
	w.Header().Set("Api-Version", "1.47")
	w.Header().Set("Content-Type", "application/json")
	switch {
	case strings.HasSuffix(path, "/_ping"):
	case strings.HasSuffix(path, "/info"):
		io.WriteString(w, `{"SystemTime":"2026-01-01T00:00:00Z"}`)
	case strings.HasSuffix(path, "/events"):
		f.asked.Add(1)
		http.NewResponseController(w).Flush()
		if !f.endEvents {
			<-r.Context().Done()
		}
	case strings.HasSuffix(path, "/containers/json"):
		fmt.Fprintf(w, `[{"Id":%q}]`, testID)
	default:
		_ = json.NewEncoder(w).Encode(fakeContainer())
	}
}

func fakeContainer() apicontainer.InspectResponse {
	return apicontainer.InspectResponse{
		ID:              testID,
		Name:            "/shop",
		State:           &apicontainer.State{Running: true},
		HostConfig:      &apicontainer.HostConfig{NetworkMode: network.NetworkHost},
		Config:          &apicontainer.Config{Env: []string{"DISCOVER=web:80"}},
		NetworkSettings: &apicontainer.NetworkSettings{},
	}
}

// export runs an exporter of a fake engine. It needs no Docker.
func (f *fakeEngine) export(t *testing.T, change ...func(*Config)) (*running, discovery.Registry) {
	l := &lab{T: t, url: f.url(), id: strings.ToLower(rand.Text()[:8]), variable: DefaultVariable, ctx: t.Context()}
	registry := l.memory()
	return l.export(registry, change...), registry
}

// TestAChangedHostAddressIsAnnounced, without an event of the engine's.
func TestAChangedHostAddressIsAnnounced(t *testing.T) {
	t.Parallel()
	var ip atomic.Pointer[netip.Addr]
	set := func(text string) { one := netip.MustParseAddr(text); ip.Store(&one) }
	set("10.0.0.5")
	exporter, registry := newFakeEngine(t).export(t, func(c *Config) {
		c.HostIP, c.addressEvery, c.reconcileEvery = "", 10*time.Millisecond, long
		c.findAddresses = func() ([]netip.Addr, error) { return []netip.Addr{*ip.Load()}, nil }
	})
	id := exporter.lab.instanceID(testID)
	exporter.lab.announced(registry, "web", id+" tcp://10.0.0.5:80")
	set("10.0.0.6")
	exporter.lab.announced(registry, "web", id+" tcp://10.0.0.6:80")
	exporter.says("level=WARN", "address has changed", "old=10.0.0.5", "new=10.0.0.6")
}

// TestAnEngineThatEndsItsEvents is asked less and less often.
func TestAnEngineThatEndsItsEvents(t *testing.T) {
	t.Parallel()
	f := newFakeEngine(t)
	f.endEvents = true
	began := time.Now()
	exporter, _ := f.export(t)
	exporter.lab.eventually(func() error {
		if n := f.asked.Load(); n < 4 {
			return fmt.Errorf("asked %d times", n)
		}
		return nil
	})
	require.Greater(t, time.Since(began), 500*time.Millisecond) // at least 0.08, 0.16, 0.32 s of waiting
}

// endless is an answer that does not end.
func endless(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	io.WriteString(w, `[{"Id":"`)
	block := strings.Repeat("a", 100_000)
	for r.Context().Err() == nil {
		if _, err := io.WriteString(w, block); err != nil {
			return
		}
	}
}

// TestEndlessAnswers: what an engine sends is read up to a bound, as an answer and as an event.
func TestEndlessAnswers(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{
		"/info":                           "cannot follow",
		"/events":                         "cannot follow",
		"/containers/json":                "cannot follow",
		"/containers/" + testID + "/json": "cannot be read",
	} {
		t.Run(path[1:], func(t *testing.T) {
			t.Parallel()
			f := newFakeEngine(t)
			f.answers[path] = http.HandlerFunc(endless)
			exporter, _ := f.export(t)
			exporter.says("level=WARN", want, "more than 32 MiB")
		})
	}
}

// TestNoPasswordOfTheEngine: it is in no log, and in no error.
func TestNoPasswordOfTheEngine(t *testing.T) {
	f := newFakeEngine(t)
	exporter, _ := f.export(t, func(c *Config) { c.DockerURL = "tcp://user:canary-77@" + f.Listener.Addr().String() })
	exporter.follows()
	f.CloseClientConnections()
	f.Close()
	for _, url := range []string{"user:canary-77@h", "tcp://user:canary-77/@h:x", "tcp://user:canary-%zz77@h:1", "tcp://u:canary-77@"} {
		for _, set := range []func(*Config){
			func(c *Config) { c.DockerURL = url },
			func(*Config) { t.Setenv("DOCKER_HOST", url) },
		} {
			var log safebuffer.Buffer
			config := Config{HostIP: "10.0.0.5", RegistryURL: "memory://password", Log: slog.New(slog.NewTextHandler(&log, nil))}
			set(&config)
			if _, err := New(config); err != nil {
				require.NotContains(t, err.Error(), "canary")
			}
		}
	}
	exporter.stop()
	require.NotContains(t, exporter.logs.String(), "canary")
}
