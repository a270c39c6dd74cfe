package docker

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	apicontainer "github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"
	"github.com/stretchr/testify/require"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/discovery/engines"
	"github.com/envharness/envharness/internal/safebuffer"
	"github.com/envharness/envharness/internal/testservers"
	"github.com/envharness/envharness/internal/testservers/parallel"
)

// patience is how long a thing that must come may take on a busy machine.
const patience = 90 * time.Second

// exporterVariable makes this test binary an exporter, which can be killed.
const exporterVariable = "ENVHARNESS_TEST_EXPORTER"

func TestMain(m *testing.M) {
	if text := os.Getenv(exporterVariable); text != "" {
		if err := beExporter(text); err != nil {
			fmt.Fprintln(os.Stderr, "error:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(parallel.Tests{M: m}.Run())
}

// process is what an exporter in a process of its own is told.
type process struct {
	RegistryURL, DockerURL, Variable, HostID, HostIP string
	TTL                                              time.Duration
}

func beExporter(text string) error {
	var p process
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	registry, err := engines.Open(ctx, p.RegistryURL)
	if err != nil {
		return err
	}
	exporter, err := New(Config{Registry: registry, DockerURL: p.DockerURL, Variable: p.Variable, HostID: p.HostID, HostIP: p.HostIP, TTL: p.TTL})
	if err != nil {
		return err
	}
	return errors.Join(exporter.Run(ctx), registry.Close())
}

// lab is a Docker engine with an image of busybox, and what a test started there.
type lab struct {
	*testing.T
	url      string
	engine   *client.Client
	image    string
	variable string // where this test's containers declare services, and nobody else's
	id       string // for names that nobody else has
	ctx      context.Context
	made     sync.Map // the containers of this test, by the first 12 characters of their IDs
}

// newLab uses the engine that answers.
func newLab(t *testing.T) *lab {
	t.Helper()
	engine, err := client.New(client.FromEnv)
	require.NoError(t, err)
	t.Cleanup(func() { engine.Close() })
	if _, err := engine.Ping(t.Context(), client.PingOptions{}); err != nil {
		testservers.Missing(t, "a Docker engine", "apt-get install docker.io, then scripts/with-docker go test ./exporters/docker")
	}
	return newLabAt(t, engine)
}

func newLabAt(t *testing.T, engine *client.Client) *lab {
	t.Helper()
	id := strings.ToLower(rand.Text()[:8])
	l := &lab{T: t, url: engine.DaemonHost(), engine: engine, variable: "DISCOVER_" + id, id: id, ctx: context.WithoutCancel(t.Context())}
	l.image = "envharness-exporter-test:" + id
	answer, err := engine.ImageImport(l.ctx, client.ImageImportSource{Source: bytes.NewReader(busybox(t)), SourceName: "-"}, l.image, client.ImageImportOptions{})
	require.NoError(t, err)
	_, err = io.Copy(io.Discard, answer)
	require.NoError(t, err)
	require.NoError(t, answer.Close())
	t.Cleanup(func() { _, _ = engine.ImageRemove(l.ctx, l.image, client.ImageRemoveOptions{Force: true}) })
	return l
}

// busybox is an archive with it in /bin.
func busybox(t *testing.T) []byte {
	t.Helper()
	path, err := exec.LookPath("busybox")
	if err != nil {
		testservers.Missing(t, "busybox", "apt-get install busybox-static")
	}
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	require.NoError(t, w.WriteHeader(&tar.Header{Name: "bin/busybox", Mode: 0o755, Size: int64(len(content))}))
	_, err = w.Write(content)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return archive.Bytes()
}

// containerOption says what is special about a container.
type containerOption func(*client.ContainerCreateOptions)

// publish publishes a port at an address, on a port that the engine chooses.
func publish(port, hostIP string) containerOption {
	return func(o *client.ContainerCreateOptions) {
		private := network.MustParsePort(port)
		o.Config.ExposedPorts[private] = struct{}{}
		binding := network.PortBinding{}
		if hostIP != "" {
			if err := binding.HostIP.UnmarshalText([]byte(hostIP)); err != nil {
				panic(err)
			}
		}
		o.HostConfig.PortBindings[private] = append(o.HostConfig.PortBindings[private], binding)
	}
}

// inNetwork is host, none, or container:ID.
func inNetwork(mode string) containerOption {
	return func(o *client.ContainerCreateOptions) { o.HostConfig.NetworkMode = apicontainer.NetworkMode(mode) }
}

func labelled(name, value string) containerOption {
	return func(o *client.ContainerCreateOptions) { o.Config.Labels[name] = value }
}

func restarting(o *client.ContainerCreateOptions) {
	o.HostConfig.RestartPolicy = apicontainer.RestartPolicy{Name: apicontainer.RestartPolicyAlways}
}

// create makes a container that declares services. It is removed at the end of the test.
func (l *lab) create(declaration string, options ...containerOption) string {
	l.Helper()
	o := client.ContainerCreateOptions{
		Config: &apicontainer.Config{
			Image:        l.image,
			Cmd:          []string{"/bin/busybox", "httpd", "-f", "-p", "8080", "-h", "/bin"},
			Labels:       map[string]string{"test.envharness": l.id},
			ExposedPorts: network.PortSet{},
			StopSignal:   "SIGKILL", // it is PID 1 and knows no other
		},
		HostConfig: &apicontainer.HostConfig{PortBindings: network.PortMap{}},
	}
	if declaration != "" {
		o.Config.Env = []string{l.variable + "=" + declaration}
	}
	for _, set := range options {
		set(&o)
	}
	made, err := l.engine.ContainerCreate(l.ctx, o)
	require.NoError(l, err)
	l.made.Store(made.ID[:12], nil)
	l.Cleanup(func() { l.remove(made.ID) })
	return made.ID
}

// run creates and starts one.
func (l *lab) run(declaration string, options ...containerOption) string {
	l.Helper()
	id := l.create(declaration, options...)
	l.start(id)
	return id
}

func (l *lab) start(id string) {
	l.Helper()
	_, err := l.engine.ContainerStart(l.ctx, id, client.ContainerStartOptions{})
	require.NoError(l, err)
}

func (l *lab) kill(id string) {
	l.Helper()
	_, err := l.engine.ContainerKill(l.ctx, id, client.ContainerKillOptions{Signal: "KILL"})
	require.NoError(l, err)
}

func (l *lab) remove(id string) {
	_, _ = l.engine.ContainerRemove(l.ctx, id, client.ContainerRemoveOptions{Force: true})
}

// port gives the host's port that the container's 8080/tcp has by IPv4.
func (l *lab) port(id string) int {
	l.Helper()
	return l.portBy(id, netip.Addr.Is4)
}

// portBy gives the host's port that the container's 8080/tcp has at an address of a kind.
func (l *lab) portBy(id string, kind func(netip.Addr) bool) int {
	l.Helper()
	answer, err := l.engine.ContainerInspect(l.ctx, id, client.ContainerInspectOptions{})
	require.NoError(l, err)
	for _, binding := range answer.Container.NetworkSettings.Ports[network.MustParsePort("8080/tcp")] {
		if kind(binding.HostIP) {
			port, err := strconv.Atoi(binding.HostPort)
			require.NoError(l, err)
			return port
		}
	}
	l.Fatalf("container %s has no such port", id)
	return 0
}

// gateway is this machine's address on the engine's bridge, which must be an engine of this machine.
func (l *lab) gateway() string {
	l.Helper()
	answer, err := l.engine.NetworkInspect(l.ctx, "bridge", client.NetworkInspectOptions{})
	require.NoError(l, err)
	bridge, err := net.InterfaceByName(answer.Network.Options["com.docker.network.bridge.name"])
	require.NoError(l, err)
	addresses, err := bridge.Addrs()
	require.NoError(l, err)
	for _, address := range addresses {
		if ip := address.(*net.IPNet).IP; ip.To4() != nil {
			return ip.String()
		}
	}
	l.Fatalf("the bridge %s has no IPv4 address", bridge.Name)
	return ""
}

// instanceID is what a container's first service is called.
func (l *lab) instanceID(id string) string { return "host-" + l.id + ":" + id[:12] }

// open opens a registry until the end of the test.
func (l *lab) open(url string) discovery.Registry {
	l.Helper()
	registry, err := engines.Open(l.ctx, url, discovery.WithLog(slog.New(slog.DiscardHandler)))
	require.NoError(l, err)
	l.Cleanup(func() { registry.Close() })
	return registry
}

// memory is a registry of this test alone.
func (l *lab) memory() discovery.Registry {
	l.Helper()
	return l.open("memory://" + l.id)
}

// running is an exporter that runs.
type running struct {
	*Exporter
	lab  *lab
	logs *safebuffer.Buffer
	stop func() // a clean stop; it may be called twice
}

// Exported leaves out the containers of tests that run meanwhile: labels are the same for all.
func (r *running) Exported() []Exported {
	return slices.DeleteFunc(r.Exporter.Exported(), func(e Exported) bool {
		_, own := r.lab.made.Load(e.Container)
		return !own
	})
}

// export runs an exporter until the end of the test.
func (l *lab) export(registry discovery.Registry, change ...func(*Config)) *running {
	l.Helper()
	output := &safebuffer.Buffer{}
	config := Config{
		Variable:  l.variable,
		HostIP:    "10.0.0.5",
		HostID:    "host-" + l.id,
		DockerURL: l.url,
		Registry:  registry,
		Log:       slog.New(slog.NewTextHandler(output, nil)),
	}
	for _, set := range change {
		set(&config)
	}
	exporter, err := New(config)
	require.NoError(l, err)
	ctx, cancel := context.WithCancel(l.ctx)
	done := make(chan error, 1)
	go func() { done <- exporter.Run(ctx) }()
	stop := sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-done:
			require.NoError(l, err)
		case <-time.After(patience):
			l.Error("the exporter does not stop")
		}
	})
	l.Cleanup(func() {
		stop()
		if l.Failed() {
			l.Logf("the exporter said:\n%s", output)
		}
	})
	return &running{exporter, l, output, stop}
}

// follows waits until the exporter has looked at everything once.
func (r *running) follows() *running {
	r.lab.Helper()
	r.says("following the Docker engine")
	return r
}

// says waits until all the parts are in one line of the log.
func (r *running) says(parts ...string) {
	r.lab.Helper()
	r.lab.eventually(func() error {
		for line := range strings.Lines(r.logs.String()) {
			if !slices.ContainsFunc(parts, func(part string) bool { return !strings.Contains(line, part) }) {
				return nil
			}
		}
		return fmt.Errorf("the log has no line with %q", parts)
	})
}

// announced waits until a service has these instances, as ID and address.
func (l *lab) announced(registry discovery.Registry, service string, want ...string) {
	l.Helper()
	slices.Sort(want)
	l.eventually(func() error {
		snapshot, err := registry.Instances(l.ctx, service, discovery.Query{All: true})
		if err != nil {
			return err
		}
		got := []string{}
		for _, in := range snapshot.Instances {
			url, err := in.URL(in.Ports[discovery.DefaultPort].Protocol, "")
			if err != nil {
				return err
			}
			got = append(got, in.ID+" "+url)
		}
		if !slices.Equal(got, append([]string{}, want...)) {
			return fmt.Errorf("service %s has %q, it should have %q", service, got, want)
		}
		return nil
	})
}

// eventually waits until check gives no error.
func (l *lab) eventually(check func() error) {
	l.Helper()
	deadline := time.Now().Add(patience)
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			l.Fatalf("still after %s: %v", patience, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// watcher counts the snapshots of a service that were empty.
type watcher struct {
	lock  sync.Mutex
	seen  int
	empty int
}

func (l *lab) watch(registry discovery.Registry, service string) *watcher {
	l.Helper()
	ctx, cancel := context.WithCancel(l.ctx)
	snapshots, err := registry.Watch(ctx, service, discovery.Query{})
	require.NoError(l, err)
	w, done := &watcher{}, make(chan struct{})
	go func() {
		defer close(done)
		for snapshot := range snapshots {
			w.lock.Lock()
			w.seen++
			if len(snapshot.Instances) == 0 {
				w.empty++
			}
			w.lock.Unlock()
		}
	}()
	l.Cleanup(func() { cancel(); <-done })
	return w
}

// noGap fails the test if the service was ever seen empty.
func (w *watcher) noGap(t testing.TB) {
	t.Helper()
	w.lock.Lock()
	defer w.lock.Unlock()
	require.Positive(t, w.seen)
	require.Zero(t, w.empty)
}
