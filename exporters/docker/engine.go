package docker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	apicontainer "github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/events"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"

	"github.com/envharness/envharness/internal/failure"
)

// answerTimeout bounds what is asked of an engine that may be busy with hundreds of containers.
const answerTimeout = 30 * time.Second

// container is what is read of a running one.
type container struct {
	id          string // all of it: a name may look like the beginning of another's ID
	name        string
	image       string
	env         []string
	labels      map[string]string
	exposed     network.PortSet // by its own configuration
	hostNetwork bool
	joins       bool                  // it has another container's network: its ports and networks are that one's
	ports       network.PortMap       // what is published
	networks    map[string]netip.Addr // its address in each; the zero one where it has none
	paused      bool
	health      apicontainer.HealthStatus // of its HEALTHCHECK; none without
	lastWords   string                    // of its HEALTHCHECK
}

// publishes reports whether a port can be reached at the host.
func (c container) publishes(private network.Port) bool {
	return slices.ContainsFunc(c.ports[private], func(binding network.PortBinding) bool {
		return binding.HostPort != "" && binding.HostPort != "0"
	})
}

// short is the ID as people know it.
func (c container) short() string { return shorten(c.id) }

func shorten(id string) string { return id[:min(12, len(id))] }

// engine is a Docker engine that is only ever read. Events come by a client of their own, because what an engine
// may send is counted from one event to the next there, and by answer here.
type engine struct {
	asked, events *client.Client
	eventBudget   *budget
}

// openEngine does not connect yet. An empty URL is that of DOCKER_HOST, or the usual socket. Engines know no users:
// a user and a password in the URL are left out, so that neither logs nor errors have them.
func openEngine(url string) (engine, error) {
	url = withoutUser(cmp.Or(url, os.Getenv(client.EnvOverrideHost), client.DefaultDockerHost))
	asked, err := openClient(url, new(budget))
	if err != nil {
		return engine{}, badEngineURL(url, err)
	}
	e := engine{asked: asked, eventBudget: new(budget)}
	e.events, err = openClient(url, e.eventBudget)
	return e, err
}

// badEngineURL is about a URL that names no engine.
func badEngineURL(url string, err error) error {
	return failure.Misuse("write the URL as unix:///var/run/docker.sock or tcp://HOST:2376: --docker-url, or DOCKER_HOST",
		"cannot use the Docker engine at %q: %v", withoutUser(url), err)
}

func openClient(url string, b *budget) (*client.Client, error) {
	parsed, err := client.ParseHostURL(url)
	if err != nil {
		return nil, err
	}
	return client.New(client.WithTLSClientConfigFromEnv(), client.WithHost(url), client.WithDialContext(b.dial(parsed)),
		client.WithAPIVersionFromEnv(), client.WithHTTPRequestHook(readOnly), client.WithHTTPRequestHook(b.ask))
}

// withoutUser cuts user and password out of a URL, which need not be well formed. Paths of sockets have none.
func withoutUser(url string) string {
	scheme, rest := "", url
	if i := strings.Index(url, "://"); i >= 0 {
		scheme, rest = url[:i+len("://")], url[i+len("://"):]
	}
	if scheme == "unix://" || scheme == "npipe://" {
		return url
	}
	return scheme + rest[strings.LastIndexByte(rest, '@')+1:]
}

// readOnly keeps a mistake in this package from changing anything.
func readOnly(request *http.Request) error {
	if request.Method != http.MethodGet && request.Method != http.MethodHead {
		return fmt.Errorf("the exporter only reads the engine, and this is a %s", request.Method)
	}
	return nil
}

func (e engine) url() string { return e.asked.DaemonHost() }

// clock gives the engine's time, from which on to ask for events.
func (e engine) clock(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	answer, err := e.asked.Info(ctx, client.InfoOptions{})
	return answer.Info.SystemTime, err
}

// follow calls changed with the ID of every container that may not be what it was, from the time given on,
// until the stream ends. Events are read as fast as they come: an engine drops those of a slow reader.
func (e engine) follow(ctx context.Context, since string, changed func(id string)) error {
	stream := e.events.Events(ctx, client.EventsListOptions{Since: since, Filters: client.Filters{}.
		Add("type", string(events.ContainerEventType), string(events.NetworkEventType)).
		Add("event", "start", "die", "pause", "unpause", "rename", "destroy", "health_status", "connect", "disconnect")})
	for {
		select {
		case message := <-stream.Messages:
			e.eventBudget.renew()
			if message.Type == events.NetworkEventType {
				changed(message.Actor.Attributes["container"])
			} else {
				changed(message.Actor.ID)
			}
		case err := <-stream.Err:
			return err
		}
	}
}

// running lists the IDs of all containers that run.
func (e engine) running(ctx context.Context) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	answer, err := e.asked.ContainerList(ctx, client.ContainerListOptions{})
	var ids []string
	for _, summary := range answer.Items {
		ids = append(ids, summary.ID)
	}
	return ids, err
}

// read gives a container; not ok when it is gone or does not run.
func (e engine) read(ctx context.Context, id string) (c container, ok bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	own, err := e.inspect(ctx, id)
	switch {
	case errdefs.IsNotFound(err):
		return c, false, nil
	case err != nil:
		return c, false, err
	case !own.State.Running || own.State.Restarting:
		return c, false, nil
	}
	joined := own // whose network it has
	if mode := own.HostConfig.NetworkMode; mode.IsContainer() {
		if joined, err = e.inspect(ctx, mode.ConnectedContainer()); err != nil {
			return c, false, err
		}
	}
	return container{
		id:          own.ID,
		name:        strings.TrimPrefix(own.Name, "/"),
		image:       own.Config.Image,
		env:         own.Config.Env,
		labels:      own.Config.Labels,
		exposed:     own.Config.ExposedPorts,
		hostNetwork: joined.HostConfig.NetworkMode.IsHost(),
		joins:       own.HostConfig.NetworkMode.IsContainer(),
		ports:       joined.NetworkSettings.Ports,
		networks:    addressesIn(joined.NetworkSettings.Networks),
		paused:      own.State.Paused,
		health:      healthOf(own.State),
		lastWords:   lastWords(own.State),
	}, true, nil
}

// addressesIn gives the container's address in each network: the IPv4 one, where it has it.
func addressesIn(networks map[string]*network.EndpointSettings) map[string]netip.Addr {
	found := map[string]netip.Addr{}
	for name, endpoint := range networks {
		switch {
		case endpoint == nil:
		case endpoint.IPAddress.IsValid():
			found[name] = endpoint.IPAddress
		default:
			found[name] = endpoint.GlobalIPv6Address
		}
	}
	return found
}

// inspect asks for a container, and leaves no part of the answer nil.
func (e engine) inspect(ctx context.Context, id string) (apicontainer.InspectResponse, error) {
	answer, err := e.asked.ContainerInspect(ctx, id, client.ContainerInspectOptions{})
	c := answer.Container
	if err == nil && (c.State == nil || c.HostConfig == nil || c.Config == nil || c.NetworkSettings == nil) {
		err = fmt.Errorf("the engine's answer about container %s is not whole", shorten(id))
	}
	return c, err
}

func healthOf(state *apicontainer.State) apicontainer.HealthStatus {
	if state.Health == nil {
		return apicontainer.NoHealthcheck
	}
	return state.Health.Status
}

// lastWords are what the HEALTHCHECK's last run printed, of which the engine keeps 4 KiB, or how it ended.
func lastWords(state *apicontainer.State) string {
	if state.Health == nil || len(state.Health.Log) == 0 || state.Health.Log[len(state.Health.Log)-1] == nil {
		return ""
	}
	last := state.Health.Log[len(state.Health.Log)-1]
	return cmp.Or(strings.TrimSpace(last.Output), fmt.Sprintf("the HEALTHCHECK ended with exit code %d", last.ExitCode))
}

func (e engine) close() {
	_ = e.asked.Close()
	_ = e.events.Close()
}

// lost reports whether an error means that the engine cannot be asked for anything now.
func (e engine) lost(ctx context.Context, err error) bool {
	return err != nil && (ctx.Err() != nil || errors.Is(err, context.DeadlineExceeded) || client.IsErrConnectionFailed(err))
}
