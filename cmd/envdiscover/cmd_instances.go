package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/internal/cli"
)

func (p *program) instancesCommand() cli.Command {
	l, s := &lister{}, &selection{}
	return cli.Command{
		Name:      "instances",
		Arguments: "SERVICE",
		Least:     1,
		Most:      1,
		Summary:   "list the instances of a service that pass",
		Example:   "envdiscover instances web --all",
		Options:   slices.Concat(s.options(), []cli.Option{s.allOption()}, l.options()),
		Run:       p.runs(func(ctx context.Context, c *call) error { return c.instances(ctx, l, s.query()) }),
	}
}

func (c *call) instances(ctx context.Context, l *lister, query discovery.Query) error {
	registry, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer registry.Close()
	var snapshot discovery.Snapshot
	err = patiently(ctx, l.wait, func(ctx context.Context) error {
		snapshot, err = registry.Instances(ctx, c.Args[0], query)
		return err
	})
	if err != nil {
		return err
	}
	if err := c.printInstances(snapshot, l.json); err != nil {
		return err
	}
	if len(snapshot.Instances) == 0 {
		_, err = snapshot.First()
	}
	return err
}

// printInstances writes JSON with all there is, or a table, which has no credentials.
func (c *call) printInstances(s discovery.Snapshot, asJSON bool) error {
	if asJSON {
		c.warnOfHosts(s.Instances)
		return c.printJSON(s)
	}
	if len(s.Instances) == 0 {
		return nil
	}
	rows := [][]string{{"ID", "STATE", "HOST", "PORTS", "PRIVATE", "SHARD", "TAGS", "NOTE"}}
	for _, in := range s.Instances {
		rows = append(rows, []string{
			in.ID, string(in.State), in.Host, ports(in.Ports), private(in), in.Shard, strings.Join(in.Tags, ","), note(in),
		})
	}
	return c.printTable(rows)
}

// note is what people should know of an instance: why it fails, and that nothing can connect to it.
func note(in discovery.Instance) string {
	var notes []string
	if in.Host == "" {
		notes = append(notes, "no host")
	}
	for _, host := range badHosts(in) {
		notes = append(notes, fmt.Sprintf("host %q is neither a name nor an address", host))
	}
	if in.Reason != "" {
		notes = append(notes, in.Reason)
	}
	return strings.Join(notes, "; ")
}

// warnOfHosts tells beside JSON, which has no place for it, what note tells in a table.
func (c *call) warnOfHosts(instances []discovery.Instance) {
	for _, in := range instances {
		for _, host := range badHosts(in) {
			c.Log.Warn("no URL can be made of a host that is neither a name nor an address", "id", in.ID, "host", host)
		}
	}
}

// badHosts are those that another client wrote and no URL can be made of.
func badHosts(in discovery.Instance) (bad []string) {
	for _, host := range []string{in.Host, in.PrivateHost} {
		if host != "" && !discovery.IsHost(strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")) {
			bad = append(bad, host)
		}
	}
	return bad
}

func ports(all map[string]discovery.Port) string {
	var texts []string
	for _, name := range slices.Sorted(maps.Keys(all)) {
		text := fmt.Sprintf("%s=%d", name, all[name].Number)
		if protocol := cmp.Or(all[name].Protocol, "tcp"); protocol != "tcp" {
			text += "/" + protocol
		}
		texts = append(texts, text)
	}
	return strings.Join(texts, ",")
}

func private(in discovery.Instance) string {
	return strings.TrimSpace(in.PrivateHost + " " + ports(in.PrivatePorts))
}
