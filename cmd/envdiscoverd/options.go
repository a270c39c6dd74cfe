package main

import (
	"cmp"
	"log/slog"
	"os"

	"github.com/envharness/envharness/internal/cli"
	"github.com/envharness/envharness/registryd"
)

// dataDirectory is where data are kept unless --data or systemd's StateDirectory= says otherwise.
const dataDirectory = "/var/lib/envdiscoverd"

// The groups of options that --help shows apart.
const (
	topicDocker = "docker"
	topicLog    = "log"
)

func topics() []cli.Topic {
	return []cli.Topic{
		{Name: topicDocker, Title: "announcing the services of this machine's containers"},
		{Name: topicLog, Title: "log, help, version"},
	}
}

// registryOptions are the options of the registry itself.
func registryOptions(o *registryd.Options) []cli.Option {
	return []cli.Option{
		{Name: "data", Argument: "DIR", Usage: "of the embedded etcd", Target: &o.Data, Default: dataDirectory},
		{Name: "etcd", Argument: "URL", Usage: "of an etcd of yours to stand in front of", Target: &o.Etcd},
		{Name: "listen", Argument: "ADDRESS", Usage: "as HOST:PORT or unix:PATH; repeatable", Target: &o.Listen, Default: "127.0.0.1:7171"},
		{Name: "containers", Usage: "serve this machine's containers too, on Docker bridges", Target: &o.Containers},
		{Name: "bridge", Argument: "NAME", Usage: "of one that is not docker0 or br-…; repeatable", Target: &o.Bridges},
		{Name: "auth", Usage: "ask everyone for a user of etcd", Target: &o.Auth},
		{Name: "cert", Argument: "FILE", Usage: "of the certificate, PEM; --listen then speaks TLS", Target: &o.Cert},
		{Name: "key", Argument: "FILE", Usage: "of its key, PEM", Target: &o.Key},
		{Name: "ca", Argument: "FILE", Usage: "of the authority, PEM, whose certificates clients need", Target: &o.CA},
		{Name: "insecure", Usage: "allow addresses off loopback without --auth or TLS", Target: &o.Insecure},
		{Name: "host", Argument: "NAME", Usage: "that browsers may know this by; repeatable", Target: &o.Hosts},
	}
}

// complete adds what options leave to the environment.
func complete(o registryd.Options, log *slog.Logger) registryd.Options {
	o.Log = log
	if o.Data == "" && o.Etcd == "" {
		o.Data = cmp.Or(os.Getenv("STATE_DIRECTORY"), dataDirectory)
	}
	return o
}
