package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	urfave "github.com/urfave/cli/v2"

	"github.com/envharness/envharness/discovery"
)

func instancesCommand() command {
	return command{
		name:      "instances",
		arguments: "SERVICE",
		least:     1,
		most:      1,
		summary:   "list the instances of a service that pass",
		flags: func() []urfave.Flag {
			return append(queryFlags(), allFlag(), jsonFlag(), waitFlag())
		},
		run: instances,
	}
}

func instances(ctx context.Context, c *call) error {
	registry, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer registry.Close()
	var snapshot discovery.Snapshot
	err = c.patiently(ctx, func(ctx context.Context) error {
		snapshot, err = registry.Instances(ctx, c.Args().First(), c.query())
		return err
	})
	if err != nil {
		return err
	}
	if err := c.printInstances(snapshot); err != nil {
		return err
	}
	if len(snapshot.Instances) == 0 {
		_, err = snapshot.First()
	}
	return err
}

// printInstances writes JSON with all there is, or a table, which has no credentials.
func (c *call) printInstances(s discovery.Snapshot) error {
	if c.Bool("json") {
		return c.printJSON(s)
	}
	if len(s.Instances) == 0 {
		return nil
	}
	rows := [][]string{{"ID", "STATE", "HOST", "PORTS", "PRIVATE", "SHARD", "TAGS"}}
	for _, in := range s.Instances {
		rows = append(rows, []string{
			in.ID, string(in.State), in.Host, ports(in.Ports), private(in), in.Shard, strings.Join(in.Tags, ","),
		})
	}
	return c.printTable(rows)
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
