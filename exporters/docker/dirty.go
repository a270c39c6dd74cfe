package docker

import (
	"maps"
	"slices"
	"sync"
)

// dirty are the containers to look at. However often one changes meanwhile, it is looked at once, so no
// burst of events is too many.
type dirty struct {
	wake chan struct{} // gets one after an add

	lock sync.Mutex
	ids  map[string]bool
}

func newDirty() *dirty {
	return &dirty{wake: make(chan struct{}, 1), ids: map[string]bool{}}
}

// add never blocks.
func (d *dirty) add(ids ...string) {
	d.lock.Lock()
	for _, id := range ids {
		if id != "" {
			d.ids[id] = true
		}
	}
	d.lock.Unlock()
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// take gives them and forgets them.
func (d *dirty) take() []string {
	d.lock.Lock()
	defer d.lock.Unlock()
	ids := slices.Sorted(maps.Keys(d.ids))
	clear(d.ids)
	return ids
}
