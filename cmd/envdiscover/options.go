package main

import (
	"slices"
	"time"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/internal/cli"
)

// hasVariable tells whether an option has a variable ENVDISCOVER_… too. The others have none on purpose: USER,
// PASSWORD and TOKEN are the credentials for the registry, and Kubernetes puts variables such as
// ENVDISCOVER_PORT into every container beside a service called envdiscover.
func hasVariable(option string) bool {
	return slices.Contains([]string{
		"url", "wait", "log-level", "log-format",
		"host", "private-host", "interface", "ttl", "shard", "interval", "rise", "fall", "eventually",
	}, option)
}

// The groups that the help shows options in.
const (
	topicService  = "service"
	topicAddress  = "address"
	topicCheck    = "check"
	topicHold     = "hold"
	topicRegistry = "registry"
)

func topics() []cli.Topic {
	return []cli.Topic{
		{Name: topicService, Title: "what is announced"},
		{Name: topicAddress, Title: "where it can be reached"},
		{Name: topicCheck, Title: "how it is"},
		{Name: topicHold, Title: "how long it is announced"},
		{Name: topicRegistry, Title: "which registry, log"},
	}
}

// urlOption is for every command that asks a registry.
func (p *program) urlOption() cli.Option {
	return cli.Option{Name: "url", Argument: "URL", Topic: topicRegistry, Usage: "ask the registry at URL", Target: &p.url, Default: "what DOCKERD names, else this machine's"}
}

// waitOption is for commands that ask once.
func waitOption(wait *time.Duration) cli.Option {
	return cli.Option{Name: "wait", Argument: "D", Usage: "wait up to D for a registry that is away", Target: wait}
}

func jsonOption(json *bool) cli.Option {
	return cli.Option{Name: "json", Usage: "print JSON", Target: json}
}

// selection chooses among a service's instances.
type selection struct {
	shard string
	tags  []string
	all   bool
}

func (s *selection) options() []cli.Option {
	return []cli.Option{
		{Name: "shard", Argument: "NAME", Usage: "take only instances of shard NAME", Target: &s.shard},
		{Name: "tag", Argument: "NAME", Usage: "take only instances with tag NAME; repeatable", Target: &s.tags},
	}
}

// allOption asks for those that do not pass, too.
func (s *selection) allOption() cli.Option {
	return cli.Option{Name: "all", Usage: "take those that do not pass, too", Target: &s.all}
}

func (s *selection) query() discovery.Query {
	return discovery.Query{Shard: s.shard, Tags: slices.Clone(s.tags), All: s.all}
}
