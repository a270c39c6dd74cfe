package discovery

import "context"

// SubscribeNew gives the instances of a service that begin to pass after the call, one by one. It
// blocks as Watch does, and the channel is closed when ctx ends or the Registry is closed. One that
// came and went while nobody read from the channel may be left out.
func SubscribeNew(ctx context.Context, registry Registry, service string) (<-chan Instance, error) {
	return subscribe(ctx, registry, service, func(before, after []Instance) []Instance {
		return missing(after, before)
	})
}

// SubscribeDown gives the instances of a service, as last seen, that cease to pass or are gone.
// Otherwise it is as SubscribeNew. An outage of the registry takes nobody down.
func SubscribeDown(ctx context.Context, registry Registry, service string) (<-chan Instance, error) {
	return subscribe(ctx, registry, service, func(before, after []Instance) []Instance {
		return missing(before, after)
	})
}

func subscribe(ctx context.Context, registry Registry, service string, difference func(before, after []Instance) []Instance) (<-chan Instance, error) {
	snapshots, err := registry.Watch(ctx, service, Query{})
	if err != nil {
		return nil, err
	}
	before := (<-snapshots).Instances // at once: what comes after the call is not in it
	out := make(chan Instance)
	go func() {
		defer close(out)
		for snapshot := range snapshots {
			if snapshot.Stale {
				continue
			}
			after := snapshot.Instances
			for _, in := range difference(before, after) {
				select {
				case out <- in:
				case <-ctx.Done():
					return
				}
			}
			before = after
		}
	}()
	return out, nil
}

// missing gives those of some that are not among others. Both are sorted by ID, and so is what it gives.
func missing(some, others []Instance) (gone []Instance) {
	at := 0
	for i := range some {
		for at < len(others) && others[at].ID < some[i].ID {
			at++
		}
		if at == len(others) || others[at].ID != some[i].ID {
			gone = append(gone, some[i])
		}
	}
	return gone
}
