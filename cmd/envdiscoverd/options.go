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
		{Name: "data", Argument: "DIR", Usage: "keep the data of the embedded etcd in DIR", Target: &o.Data, Default: dataDirectory},
		{Name: "etcd", Argument: "URL", Usage: "stand in front of the etcd at URL, and embed none", Target: &o.Etcd},
		{Name: "listen", Argument: "ADDRESS", Usage: "listen at HOST:PORT or unix:PATH; repeatable", Target: &o.Listen, Default: "127.0.0.1:7171"},
		{Name: "containers", Usage: "serve this machine's containers too, on Docker bridges", Target: &o.Containers},
		{Name: "bridge", Argument: "NAME", Usage: "take NAME for a Docker bridge, as docker0 and br-…; repeatable", Target: &o.Bridges},
		{Name: "auth", Usage: "ask everyone for a user of etcd", Target: &o.Auth},
		{Name: "cert", Argument: "FILE", Usage: "speak TLS, with the certificate in FILE, PEM", Target: &o.Cert},
		{Name: "key", Argument: "FILE", Usage: "use the certificate's key in FILE, PEM", Target: &o.Key},
		{Name: "ca", Argument: "FILE", Usage: "ask clients for a certificate of the authority in FILE, PEM", Target: &o.CA},
		{Name: "insecure", Usage: "allow addresses off loopback without --auth or TLS", Target: &o.Insecure},
		{Name: "host", Argument: "NAME", Usage: "let browsers know this server as NAME; repeatable", Target: &o.Hosts},
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
