package docker

import (
	"context"
	"encoding/hex"
	"strings"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/internal/failure"
)

// deregisterLeftovers removes what an exporter of this host left in the registry for containers that are no
// more: those of totem's discover, which have no TTL, would stay for ever. It tries until it has read the
// registry once or ctx ends. All that is wanted must be known to the publisher already.
func (e *Exporter) deregisterLeftovers(ctx context.Context) {
	err := discovery.Retry(ctx, func(ctx context.Context) error {
		leftovers, err := e.leftovers(ctx)
		for _, in := range leftovers {
			e.publisher.deregister(in)
		}
		return err
	})
	if err != nil && ctx.Err() == nil {
		e.log.Warn("cannot look for what an exporter left before", "error", err, "hint", failure.Hint(err))
	}
}

// leftovers gives every entry of this host; those that are wanted too.
func (e *Exporter) leftovers(ctx context.Context) ([]discovery.Instance, error) {
	services, err := e.registry.Services(ctx)
	if err != nil {
		return nil, err
	}
	var all []discovery.Instance
	for _, service := range services {
		snapshot, err := e.registry.Instances(ctx, service, discovery.Query{All: true})
		if err != nil {
			return all, err
		}
		for _, in := range snapshot.Instances {
			if e.host.made(in) {
				all = append(all, in)
			}
		}
	}
	return all, nil
}

// made reports whether an exporter of this host and realm announced the instance.
func (h host) made(in discovery.Instance) bool {
	rest, ours := strings.CutPrefix(in.ID, h.id+h.join)
	if !ours || in.Metadata[realmKey] != h.realm {
		return false
	}
	container, _, _ := strings.Cut(rest, "-")
	id, err := hex.DecodeString(container)
	return err == nil && len(id) == 6
}
