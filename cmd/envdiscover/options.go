package main

import (
	"slices"
	"time"

	urfave "github.com/urfave/cli/v2"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/internal/cli"
)

// inVariables are the options that have a variable ENVDISCOVER_… too. The others have none on purpose: USER,
// PASSWORD and TOKEN are the credentials for the registry, and Kubernetes puts variables such as
// ENVDISCOVER_PORT into every container beside a service called envdiscover.
func inVariables() []string {
	return []string{
		"url", "wait", "log-level", "log-format",
		"host", "private-host", "interface", "ttl", "shard", "interval", "rise", "fall", "eventually",
	}
}

// variable looks up the variable of an option.
func (p *program) variable(name string) (string, bool) {
	for _, option := range inVariables() {
		if cli.Variable("ENVDISCOVER", option) == name {
			value := p.getenv(name)
			return value, value != ""
		}
	}
	return "", false
}

// The groups that the help shows options in.
const (
	topicRegistry = "registry"
	topicService  = "service"
	topicAddress  = "address"
	topicCheck    = "check"
	topicHold     = "hold"
)

// commonFlags are the options of every command.
func commonFlags() []urfave.Flag {
	return []urfave.Flag{
		&urfave.StringFlag{Name: "url", Category: topicRegistry, Usage: "`URL` of the registry, else what DOCKERD names"},
		&urfave.StringFlag{Name: "log-level", Category: topicRegistry, Usage: "`debug|info|warn|error`", Value: "warn"},
		&urfave.StringFlag{Name: "log-format", Category: topicRegistry, Usage: "`text|json`", Value: cli.LogText},
		&urfave.BoolFlag{Name: "help", Aliases: []string{"h"}, Category: topicRegistry, Usage: "show this"},
		&urfave.BoolFlag{Name: "version", Category: topicRegistry, Usage: "show version, commit and Go version"},
	}
}

// waitFlag is for commands that ask once.
func waitFlag() urfave.Flag {
	return &urfave.DurationFlag{Name: "wait", Usage: "`D` for a registry that is away"}
}

func jsonFlag() urfave.Flag {
	return &urfave.BoolFlag{Name: "json", Usage: "print JSON"}
}

// queryFlags choose among a service's instances.
func queryFlags() []urfave.Flag {
	return []urfave.Flag{
		&urfave.StringFlag{Name: "shard", Usage: "only those of shard `NAME`"},
		&urfave.StringSliceFlag{Name: "tag", Usage: "only those with tag `NAME`; repeatable"},
	}
}

// allFlag asks for those that do not pass, too.
func allFlag() urfave.Flag {
	return &urfave.BoolFlag{Name: "all", Usage: "those that do not pass, too"}
}

func (c *call) query() discovery.Query {
	return discovery.Query{Shard: c.String("shard"), Tags: slices.Clone(c.StringSlice("tag")), All: c.Bool("all")}
}

// bounded is a duration option with a default.
func bounded(name, usage string, value time.Duration) urfave.Flag {
	return &urfave.DurationFlag{Name: name, Usage: usage, Value: value}
}
