package main

import (
	"cmp"
	"context"
	"log/slog"
	"net"
	"sync"

	"github.com/envharness/envharness/exporters/docker"
	"github.com/envharness/envharness/internal/cli"
	"github.com/envharness/envharness/internal/failure"
	"github.com/envharness/envharness/registryd"
)

// exporting is what --docker is told.
type exporting struct {
	enabled bool
	docker.Config
}

func newExporting() *exporting {
	return &exporting{Config: docker.Config{Variable: docker.DefaultVariable, Realm: docker.DefaultRealm, DockerAddress: docker.AddressHost, DockerHealth: docker.HealthState}}
}

// options are those of --docker.
func (e *exporting) options() []cli.Option {
	return []cli.Option{
		{Name: "docker", Topic: topicDocker, Usage: "announce the services of this machine's containers", Target: &e.enabled},
		{Name: "registry", Argument: "URL", Topic: topicDocker, Usage: "register them in the registry at URL", Target: &e.RegistryURL, Default: "this one"},
		{Name: "variable", Argument: "NAME", Topic: topicDocker, Usage: "read from variable NAME what a container serves", Target: &e.Variable},
		{Name: "host-ip", Argument: "ADDRESS", Topic: topicDocker, Usage: "register this machine as ADDRESS, or as IPv4,IPv6", Target: &e.HostIP, Default: "by the default route"},
		{Name: "host-id", Argument: "NAME", Topic: topicDocker, Usage: "call this machine NAME in IDs", Target: &e.HostID, Default: "its host name"},
		{Name: "realm", Argument: "NAME", Topic: topicDocker, Usage: "say that this is the part NAME of the fleet", Target: &e.Realm},
		{Name: "prefix", Argument: "NAME", Topic: topicDocker, Usage: "write below NAME in the registry", Target: &e.Prefix, Default: "its layout's"},
		{Name: "docker-url", Argument: "URL", Topic: topicDocker, Usage: "ask the engine at URL", Target: &e.DockerURL, Default: "DOCKER_HOST, else its usual socket"},
		{Name: "docker-address", Argument: "MODE", Topic: topicDocker, Usage: "register the address of the host, the container or container:NETWORK", Target: &e.DockerAddress},
		{Name: "docker-health", Argument: "MODE", Topic: topicDocker, Usage: "take a HEALTHCHECK for the state (state), or ignore it", Target: &e.DockerHealth, Words: []string{docker.HealthState, docker.HealthIgnore}},
		{Name: "docker-registrator", Topic: topicDocker, Usage: "register published ports as registrator does, by its SERVICE_…", Target: &e.DockerRegistrator},
		{Name: "docker-allow", Argument: "GLOB", Topic: topicDocker, Usage: "let containers publish names like GLOB; repeatable", Target: &e.DockerAllow, Default: "all"},
	}
}

// exporter makes the exporter that --docker asks for; nil without. It announces in own unless an option says
// otherwise.
func (e *exporting) exporter(log *slog.Logger, own string) (*docker.Exporter, error) {
	if !e.enabled {
		return nil, nil
	}
	config := e.Config
	config.Log = log
	if config.RegistryURL = cmp.Or(config.RegistryURL, own); config.RegistryURL == "" {
		return nil, &failure.Error{
			Problem: "--docker cannot announce in this registry by itself, which has no plain TCP address on loopback",
			Next:    "add --listen 127.0.0.1:7171, or give --registry etcds://HOST:7171?ca=FILE with the login in ENVDISCOVER_USER and ENVDISCOVER_PASSWORD",
		}
	}
	return docker.New(config)
}

// check refuses options of --docker without it, and what they cannot be.
func (e *exporting) check(c *cli.Call) error {
	for _, o := range e.options() {
		if c.Given(o.Name) && !e.enabled {
			return c.Misuse("--%s is for --docker, which is not there", o.Name)
		}
	}
	if !e.enabled {
		return nil
	}
	return e.Check()
}

// ownURL is how the exporter reaches the registry that this process is; empty if it cannot.
func ownURL(server *registryd.Server, options registryd.Options) string {
	if options.Etcd != "" {
		return options.Etcd
	}
	for _, address := range server.Addresses() {
		host, _, err := net.SplitHostPort(address)
		if ip := net.ParseIP(host); err == nil && ip.IsLoopback() && options.Cert == "" {
			return "etcd://" + address
		}
	}
	return ""
}

// export runs an exporter beside the server; stop ends it before the server is closed.
func export(exporter *docker.Exporter) (stop func()) {
	if exporter == nil {
		return func() {}
	}
	ctx, end := context.WithCancel(context.Background())
	var wait sync.WaitGroup
	wait.Go(func() {
		if err := exporter.Run(ctx); err != nil {
			slog.Warn("the Docker exporter ended", "error", err)
		}
	})
	return func() { end(); wait.Wait() }
}
