package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"sync"

	urfave "github.com/urfave/cli/v2"

	"github.com/envharness/envharness/exporters/docker"
	"github.com/envharness/envharness/internal/cli"
	"github.com/envharness/envharness/registryd"
)

// exporterFlags are the options of --docker.
func exporterFlags() []urfave.Flag {
	return []urfave.Flag{
		&urfave.BoolFlag{Name: "docker", Category: topicDocker, Usage: "announce the services of this machine's containers"},
		&urfave.StringFlag{Name: "registry", Category: topicDocker, Usage: "`URL` of the registry to announce them in (this one)"},
		&urfave.StringFlag{Name: "variable", Category: topicDocker, Usage: "`NAME` of the variable that says what a container serves", Value: docker.DefaultVariable},
		&urfave.StringFlag{Name: "host-ip", Category: topicDocker, Usage: "`ADDRESS` of this machine for others, or IPv4,IPv6 (the default route's)"},
		&urfave.StringFlag{Name: "host-id", Category: topicDocker, Usage: "`NAME` of this machine in IDs (its host name)"},
		&urfave.StringFlag{Name: "realm", Category: topicDocker, Usage: "`NAME` of the part of the fleet", Value: docker.DefaultRealm},
		&urfave.StringFlag{Name: "prefix", Category: topicDocker, Usage: "`NAME` of the namespace in the registry (its layout's)"},
		&urfave.StringFlag{Name: "docker-url", Category: topicDocker, Usage: "`URL` of the engine (DOCKER_HOST, else its usual socket)"},
		&urfave.StringFlag{Name: "docker-health", Category: topicDocker, Usage: "`MODE` state or ignore: whether a HEALTHCHECK is the state", Value: docker.HealthState},
		&urfave.StringSliceFlag{Name: "docker-allow", Category: topicDocker, Usage: "`GLOB` of names that containers may publish; repeatable (all)"},
	}
}

// newExporter makes the exporter that --docker asks for; nil without.
func newExporter(c *urfave.Context, log *slog.Logger, registry string) (*docker.Exporter, error) {
	if !c.Bool("docker") {
		return nil, nil
	}
	if c.String("registry") != "" {
		registry = c.String("registry")
	}
	if registry == "" {
		return nil, &registryd.Error{
			Problem: "--docker cannot announce in this registry by itself, which has no plain TCP address on loopback",
			Next:    "add --listen 127.0.0.1:7171, or give --registry etcds://HOST:7171?ca=FILE with the login in ENVDISCOVER_USER and ENVDISCOVER_PASSWORD",
		}
	}
	return docker.New(docker.Config{
		Variable:     c.String("variable"),
		HostIP:       c.String("host-ip"),
		HostID:       c.String("host-id"),
		Realm:        c.String("realm"),
		Prefix:       c.String("prefix"),
		DockerURL:    c.String("docker-url"),
		DockerHealth: c.String("docker-health"),
		DockerAllow:  c.StringSlice("docker-allow"),
		RegistryURL:  registry,
		Log:          log,
	})
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

// checkExporter refuses options of --docker without it.
func checkExporter(c *urfave.Context) error {
	for _, flag := range exporterFlags() {
		if name := flag.Names()[0]; c.IsSet(name) && !c.Bool("docker") {
			return &cli.UsageError{Problem: fmt.Sprintf("--%s is for --docker, which is not there", name), Usage: usage}
		}
	}
	return nil
}
