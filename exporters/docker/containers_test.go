package docker

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	apicontainer "github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
	"github.com/stretchr/testify/require"

	"github.com/envharness/envharness/discovery"
)

// TestLife follows one container from its start to its removal.
func TestLife(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	registry := l.memory()
	exporter := l.export(registry, func(c *Config) { c.HostIP = l.gateway() }).follows()
	timeout := 0

	id := l.run("web:8080, gone", publish("8080/tcp", ""), func(o *client.ContainerCreateOptions) {
		o.Config.Env = append(o.Config.Env, "PASSWORD=canary-77") // nobody's business
		o.Config.Labels["password"] = "canary-77"
	})
	entry := func() string { return fmt.Sprintf("%s tcp://%s:%d", l.instanceID(id), l.gateway(), l.port(id)) }
	l.announced(registry, "web", entry())
	name := exporter.Exported()[0].Name
	require.Equal(t, []Exported{{Container: id[:12], Name: name, Service: "web", Port: "default", Address: fmt.Sprintf("tcp://%s:%d", l.gateway(), l.port(id))}}, exporter.Exported())
	exporter.says(`level=WARN`, name, `\"gone\"`)
	l.eventually(func() error { // somebody serves there
		conn, err := net.Dial("tcp", strings.TrimPrefix(exporter.Exported()[0].Address, "tcp://"))
		if err == nil {
			conn.Close()
		}
		return err
	})

	watching := l.watch(registry, "web")
	_, err := l.engine.ContainerRename(l.ctx, id, client.ContainerRenameOptions{NewName: "renamed-" + l.id})
	require.NoError(t, err)
	l.eventually(func() error {
		if exported := exporter.Exported(); len(exported) != 1 || exported[0].Name != "renamed-"+l.id {
			return fmt.Errorf("exported are %v", exported)
		}
		snapshot, err := registry.Instances(l.ctx, "web", discovery.Query{})
		if err == nil && (len(snapshot.Instances) != 1 || snapshot.Instances[0].Metadata["container"] != "renamed-"+l.id) {
			err = fmt.Errorf("announced are %v", snapshot.Instances)
		}
		return err
	})
	watching.noGap(t)

	_, err = l.engine.ContainerPause(l.ctx, id, client.ContainerPauseOptions{})
	require.NoError(t, err)
	l.becomes(registry, "web", discovery.Failing)
	_, err = l.engine.ContainerUnpause(l.ctx, id, client.ContainerUnpauseOptions{})
	require.NoError(t, err)
	l.becomes(registry, "web", discovery.Passing)
	l.announced(registry, "web", entry())

	_, err = l.engine.ContainerRestart(l.ctx, id, client.ContainerRestartOptions{Timeout: &timeout})
	require.NoError(t, err)
	l.announced(registry, "web", entry())

	l.kill(id)
	l.announced(registry, "web")
	l.start(id)
	l.announced(registry, "web", entry())
	l.remove(id)
	l.announced(registry, "web")
	require.NotContains(t, exporter.logs.String(), "canary-77")
}

// TestHealth: a HEALTHCHECK is the state, and its changes are seen as they come.
func TestHealth(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	registry, ignored := l.memory(), l.open("memory://ignored-"+l.id)
	l.export(registry, func(c *Config) { c.reconcileEvery = long }).follows()
	l.export(ignored, func(c *Config) { c.DockerHealth = HealthIgnore }).follows()
	id := l.run("web:8080", publish("8080/tcp", ""), func(o *client.ContainerCreateOptions) {
		o.Config.Healthcheck = &apicontainer.HealthConfig{
			Test: []string{"CMD", "/bin/busybox", "ls", "/well"}, Interval: 200 * time.Millisecond, Retries: 1,
		}
	})
	l.becomes(registry, "web", discovery.Failing)
	snapshot, err := registry.Instances(l.ctx, "web", discovery.Query{All: true})
	require.NoError(t, err)
	require.Equal(t, "ls: /well: No such file or directory", snapshot.Instances[0].Reason)
	l.becomes(ignored, "web", discovery.Passing)
	l.exec(id, "/bin/busybox", "touch", "/well")
	l.becomes(registry, "web", discovery.Passing)
	l.exec(id, "/bin/busybox", "rm", "/well")
	l.becomes(registry, "web", discovery.Failing)
}

// exec runs a program in a container.
func (l *lab) exec(id string, words ...string) {
	l.Helper()
	made, err := l.engine.ExecCreate(l.ctx, id, client.ExecCreateOptions{Cmd: words})
	require.NoError(l, err)
	_, err = l.engine.ExecStart(l.ctx, made.ID, client.ExecStartOptions{Detach: true})
	require.NoError(l, err)
}

// becomes waits until a service's only instance is in a state.
func (l *lab) becomes(registry discovery.Registry, service string, want discovery.State) {
	l.Helper()
	l.eventually(func() error {
		snapshot, err := registry.Instances(l.ctx, service, discovery.Query{All: true})
		if err == nil && (len(snapshot.Instances) != 1 || snapshot.Instances[0].State != want) {
			err = fmt.Errorf("announced are %v, the state should be %s", snapshot.Instances, want)
		}
		return err
	})
}

// TestPublished: every way of being reached, and of not being.
func TestPublished(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	registry := l.memory()
	all := l.run("all:8080", publish("8080/tcp", "0.0.0.0"))
	one := l.run("one:8080", publish("8080/tcp", l.gateway()))
	udp := l.run("udp:8125/udp udp:8080", publish("8125/udp", "0.0.0.0"), publish("8080/tcp", ""))
	host := l.run("hosted:70/sctp", inNetwork("host"), idle)
	joined := l.run("joined:8080", inNetwork("container:"+all), idle)
	label := l.run("", publish("8080/tcp", ""), labelled("envharness.service.label-"+l.id, "8080"))
	loopback := l.run("loopback:8080", publish("8080/tcp", "127.0.0.1"))
	closed := l.run("closed:8080")
	none := l.run("none:8080", inNetwork("none"))
	other := l.run("other:8081", publish("8080/tcp", ""))
	created := l.create("created:8080", inNetwork("host"))

	six := ""
	if _, err := os.Stat("/proc/net/if_inet6"); err == nil {
		six = l.run("six:8080", publish("8080/tcp", "::"))
	}

	exporter := l.export(registry, func(c *Config) { c.HostIP += ",2001:db8::5" }).follows()
	at := func(id string, address string, port int) string {
		return fmt.Sprintf("%s tcp://%s:%d", l.instanceID(id), address, port)
	}
	l.announced(registry, "all", at(all, "10.0.0.5", l.port(all)))
	l.announced(registry, "one", at(one, l.gateway(), l.port(one)))
	if six != "" {
		l.announced(registry, "six", at(six, "[2001:db8::5]", l.portBy(six, netip.Addr.Is6)))
	}
	l.announced(registry, "hosted", l.instanceID(host)+" sctp://10.0.0.5:70")
	l.announced(registry, "joined", at(joined, "10.0.0.5", l.port(all)))
	l.announced(registry, "label-"+l.id, at(label, "10.0.0.5", l.port(label)))
	l.eventually(func() error {
		snapshot, err := registry.Instances(l.ctx, "udp", discovery.Query{})
		if err == nil && (len(snapshot.Instances) != 2 || snapshot.Instances[0].ID != l.instanceID(udp) || snapshot.Instances[1].ID != l.instanceID(udp)+"-8080") {
			err = fmt.Errorf("announced are %v", snapshot.Instances)
		}
		return err
	})
	for service, id := range map[string]string{"loopback": loopback, "closed": closed, "none": none, "other": other, "created": created} {
		snapshot, err := registry.Instances(l.ctx, service, discovery.Query{All: true})
		require.NoError(t, err)
		require.Empty(t, snapshot.Instances, service)
		if service != "created" {
			answer, err := l.engine.ContainerInspect(l.ctx, id, client.ContainerInspectOptions{})
			require.NoError(t, err)
			exporter.says("level=WARN", `\"`+service+":", strings.TrimPrefix(answer.Container.Name, "/"))
		}
	}
	exporter.says("loopback only")
}

// TestWarnsOnce: the next look at everything does not repeat what was said.
func TestWarnsOnce(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	exporter := l.export(l.memory(), func(c *Config) { c.DockerAllow = []string{"web"} }).follows()
	id := l.run("evil:8080 web:8080", publish("8080/tcp", ""))
	exporter.says("evil:8080", "--docker-allow")
	exporter.dirty.add(id)
	marker := l.run("marker:x")
	exporter.says("marker:x")
	require.Equal(t, 1, strings.Count(exporter.logs.String(), "evil:8080"))
	require.Len(t, exporter.Exported(), 1)
	l.kill(marker)
}

// TestBurst: 100 containers start and die at once, and none is missed.
func TestBurst(t *testing.T) {
	l := newLab(t)
	registry := l.memory()
	exporter := l.export(registry).follows()
	const count = 100
	ids, want := make([]string, count), make([]string, count)
	l.each(count, func(i int) {
		ids[i] = l.create(fmt.Sprintf("burst:%d", 1000+i), inNetwork("host"), idle)
		want[i] = fmt.Sprintf("%s tcp://10.0.0.5:%d", l.instanceID(ids[i]), 1000+i)
	})
	last := want[count-1]
	l.each(count, func(i int) { l.start(ids[i]) })
	l.announced(registry, "burst", want...)
	require.Len(t, exporter.Exported(), count)

	l.each(count-1, func(i int) { l.kill(ids[i]) })
	l.announced(registry, "burst", last)
	require.Len(t, exporter.Exported(), 1)
	l.each(count, func(i int) { l.remove(ids[i]) })
}

// idle is a container that does nothing.
func idle(o *client.ContainerCreateOptions) { o.Config.Cmd = []string{"/bin/busybox", "sleep", "3600"} }

// each does something for every number below count, some at a time.
func (l *lab) each(count int, do func(int)) {
	numbers := make(chan int, count)
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() {
			for i := range numbers {
				do(i)
			}
		})
	}
	for i := range count {
		numbers <- i
	}
	close(numbers)
	wait.Wait()
}

// TestReadOnly: all that the exporter asks of an engine in a container's life is a GET or a HEAD, and nothing else
// would go out.
func TestReadOnly(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	requests := l.recorded()
	registry := l.memory()
	exporter := l.export(registry, func(c *Config) { c.DockerAddress, c.DockerRegistrator = "container", true }).follows()
	id := l.run("web:8080")
	l.becomes(registry, "web", discovery.Passing)
	_, err := l.engine.ContainerPause(l.ctx, id, client.ContainerPauseOptions{})
	require.NoError(t, err)
	l.becomes(registry, "web", discovery.Failing)
	l.remove(id)
	l.announced(registry, "web")
	_, err = exporter.engine.asked.ContainerKill(l.ctx, id, client.ContainerKillOptions{})
	require.ErrorContains(t, err, "only reads")
	_, err = exporter.engine.events.ContainerKill(l.ctx, id, client.ContainerKillOptions{})
	require.ErrorContains(t, err, "only reads")
	exporter.stop()
	seen := requests()
	require.Greater(t, len(seen), 5)
	for _, request := range seen {
		require.Regexp(t, "^(GET|HEAD) ", request)
	}
}

// recorded puts a proxy before the engine for exporters; what it gives lists what they asked.
func (l *lab) recorded() func() []string {
	l.Helper()
	var lock sync.Mutex
	var requests []string
	socket := strings.TrimPrefix(l.url, "unix://")
	proxy := &httputil.ReverseProxy{
		FlushInterval: -1,
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(&url.URL{Scheme: "http", Host: "engine"}) },
		Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		}},
		ErrorLog: log.New(io.Discard, "", 0),
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		lock.Lock()
		requests = append(requests, r.Method+" "+r.URL.Path)
		lock.Unlock()
		proxy.ServeHTTP(w, r)
	}))
	l.Cleanup(func() { server.CloseClientConnections(); server.Close() })
	l.url = "tcp://" + server.Listener.Addr().String()
	return func() []string {
		lock.Lock()
		defer lock.Unlock()
		return slices.Clone(requests)
	}
}
