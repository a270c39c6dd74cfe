package docker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	apicontainer "github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/events"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"

	"github.com/envharness/envharness/discovery"
)

// answerTimeout bounds what is asked of an engine that may be busy with hundreds of containers.
const answerTimeout = 30 * time.Second

// container is what is read of a running one.
type container struct {
	id          string // all of it: a name may look like the beginning of another's ID
	name        string
	env         []string
	labels      map[string]string
	hostNetwork bool
	ports       network.PortMap
}

// short is the ID as people know it.
func (c container) short() string { return shorten(c.id) }

func shorten(id string) string { return id[:min(12, len(id))] }

// engine is a Docker engine that is only ever read.
type engine struct{ client *client.Client }

// openEngine does not connect yet. An empty URL is that of DOCKER_HOST, or the usual socket.
func openEngine(url string) (engine, error) {
	options := []client.Opt{client.FromEnv, client.WithHTTPRequestHook(readOnly)}
	if url != "" {
		options = append(options, client.WithHost(url))
	}
	if host := cmp.Or(url, os.Getenv(client.EnvOverrideHost)); host != "" && !strings.HasPrefix(host, "unix:") {
		options = append(options, client.WithDialContext(discovery.Dial)) // every address of a name
	}
	c, err := client.New(options...)
	if err != nil {
		return engine{}, fmt.Errorf("cannot use the Docker engine at %q: %w", url, err)
	}
	return engine{c}, nil
}

// readOnly keeps a mistake in this package from changing anything.
func readOnly(request *http.Request) error {
	if request.Method != http.MethodGet && request.Method != http.MethodHead {
		return fmt.Errorf("the exporter only reads the engine, and this is a %s", request.Method)
	}
	return nil
}

func (e engine) url() string { return e.client.DaemonHost() }

// clock gives the engine's time, from which on to ask for events.
func (e engine) clock(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	answer, err := e.client.Info(ctx, client.InfoOptions{})
	return answer.Info.SystemTime, err
}

// follow calls changed with the ID of every container that may not be what it was, from the time given on,
// until the stream ends. Events are read as fast as they come: an engine drops those of a slow reader.
func (e engine) follow(ctx context.Context, since string, changed func(id string)) error {
	stream := e.client.Events(ctx, client.EventsListOptions{Since: since, Filters: client.Filters{}.
		Add("type", string(events.ContainerEventType), string(events.NetworkEventType)).
		Add("event", "start", "die", "pause", "unpause", "rename", "destroy", "connect", "disconnect")})
	for {
		select {
		case message := <-stream.Messages:
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
	answer, err := e.client.ContainerList(ctx, client.ContainerListOptions{})
	var ids []string
	for _, summary := range answer.Items {
		ids = append(ids, summary.ID)
	}
	return ids, err
}

// read gives a container; not ok when it is gone or does not serve, as a paused one.
func (e engine) read(ctx context.Context, id string) (c container, ok bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	own, err := e.inspect(ctx, id)
	switch {
	case errdefs.IsNotFound(err):
		return c, false, nil
	case err != nil:
		return c, false, err
	case !serves(own.State):
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
		env:         own.Config.Env,
		labels:      own.Config.Labels,
		hostNetwork: joined.HostConfig.NetworkMode.IsHost(),
		ports:       joined.NetworkSettings.Ports,
	}, true, nil
}

// inspect asks for a container, and leaves no part of the answer nil.
func (e engine) inspect(ctx context.Context, id string) (apicontainer.InspectResponse, error) {
	answer, err := e.client.ContainerInspect(ctx, id, client.ContainerInspectOptions{})
	c := answer.Container
	if err == nil && (c.State == nil || c.HostConfig == nil || c.Config == nil || c.NetworkSettings == nil) {
		err = fmt.Errorf("the engine's answer about container %s is not whole", shorten(id))
	}
	return c, err
}

func serves(state *apicontainer.State) bool {
	return state.Running && !state.Paused && !state.Restarting
}

func (e engine) close() { _ = e.client.Close() }

// lost reports whether an error means that the engine cannot be asked for anything now.
func (e engine) lost(ctx context.Context, err error) bool {
	return err != nil && (ctx.Err() != nil || errors.Is(err, context.DeadlineExceeded) || client.IsErrConnectionFailed(err))
}
