package etcd2

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"go.etcd.io/etcd/client/v2"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/discovery/layout"
)

// entries are keys with what stands there, sorted by key.
type entries struct {
	layout layout.Layout // nil when they are no records of instances
	log    *slog.Logger
	list   []*entry

	// views are what those with one query see; they share it until the next change.
	views map[string][]discovery.Instance
}

// entry is one key and, if it is the record of an instance, that.
type entry struct {
	node     *client.Node
	instance discovery.Instance
	ok       bool
}

// find gives the place of a key in the list, and whether it is there.
func (e *entries) find(key string) (int, bool) {
	return slices.BinarySearchFunc(e.list, key, func(one *entry, key string) int { return strings.Compare(one.node.Key, key) })
}

// get gives what stands at a key, nil when it is not there.
func (e *entries) get(key string) *client.Node {
	if at, ok := e.find(key); ok {
		return e.list[at].node
	}
	return nil
}

// put takes over a key and reports whether its value is another than before. A malformed record is warned of
// once.
func (e *entries) put(node *client.Node) bool {
	at, had := e.find(node.Key)
	if had && e.list[at].node.Value == node.Value {
		return false
	}
	one := &entry{node: node}
	if e.layout != nil {
		record := layout.Record{Key: node.Key, Value: []byte(node.Value)}
		one.instance, one.ok = layout.DecodeOne(e.layout, e.log, record)
	}
	if had {
		e.list[at] = one
	} else {
		e.list = slices.Insert(e.list, at, one)
	}
	e.views = nil
	return true
}

// forget drops one key and reports whether it was there.
func (e *entries) forget(key string) bool {
	at, had := e.find(key)
	if had {
		e.list = slices.Delete(e.list, at, at+1)
		e.views = nil
	}
	return had
}

// forgetBelow drops all keys below one.
func (e *entries) forgetBelow(key string) bool {
	return e.forgetIf(func(one string) bool { return strings.HasPrefix(one, key+"/") })
}

func (e *entries) forgetIf(which func(key string) bool) bool {
	before := len(e.list)
	e.list = slices.DeleteFunc(e.list, func(one *entry) bool { return which(one.node.Key) })
	if len(e.list) == before {
		return false
	}
	e.views = nil
	return true
}

// replace takes over all that there is and reports whether that is another than before.
func (e *entries) replace(top *client.Node) bool {
	changed, now := false, map[string]bool{}
	if top != nil {
		leaves(top, func(leaf *client.Node) {
			now[leaf.Key] = true
			changed = e.put(leaf) || changed
		})
	}
	return e.forgetIf(func(key string) bool { return !now[key] }) || changed
}

// apply takes over an event and reports whether it made a change.
func (e *entries) apply(event *client.Response) bool {
	node := event.Node
	switch event.Action {
	case "delete", "expire", "compareAndDelete":
		changed := e.forget(node.Key)
		if node.Dir || event.PrevNode != nil && event.PrevNode.Dir {
			changed = e.forgetBelow(node.Key) || changed
		}
		return changed
	}
	if node.Dir {
		return e.forget(node.Key)
	}
	return e.put(node)
}

// instances gives those that a query asks for, sorted by ID.
func (e *entries) instances(q discovery.Query) []discovery.Instance {
	name := fmt.Sprintf("%q %q %t", q.Shard, q.Tags, q.All)
	if view, ok := e.views[name]; ok {
		return view
	}
	var all []discovery.Instance
	for _, one := range e.list {
		if one.ok {
			all = append(all, one.instance)
		}
	}
	if e.views == nil {
		e.views = map[string][]discovery.Instance{}
	}
	view := discovery.NewSnapshot("", "", q, all).Instances
	e.views[name] = view
	return view
}
