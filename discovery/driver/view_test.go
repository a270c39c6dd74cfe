package driver

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/envharness/envharness/discovery"
)

// viewed is a shared watch without a source, beside what it should know.
type viewed struct {
	*sharedWatch
	truth    map[string]Item
	version  int64
	decoded  atomic.Int64
	versions map[Version]discovery.Instance
}

func newViewed() *viewed {
	v := &viewed{truth: map[string]Item{}, versions: map[Version]discovery.Instance{}}
	hub := &Hub{decode: func(in *discovery.Instance, item Item) (ok bool) {
		v.decoded.Add(1)
		*in, ok = v.versions[item.Version]
		return ok
	}}
	v.sharedWatch = &sharedWatch{hub: hub, key: "/", items: map[string]*known{}, views: map[string]*view{}}
	return v
}

// put gives a change of the truth.
func (v *viewed) put(key string, in discovery.Instance, ok bool) Item {
	v.version++
	item := Item{Key: key, Version: Version{v.version}}
	if ok {
		v.versions[item.Version] = in
	}
	v.truth[key] = item
	return item
}

func (v *viewed) remove(key string) Item {
	delete(v.truth, key)
	return Item{Key: key, Gone: true}
}

// want makes from scratch what a view shows.
func (v *viewed) want(q discovery.Query) []discovery.Instance {
	type at struct {
		key string
		in  discovery.Instance
	}
	all := []at{}
	for key, item := range v.truth {
		if in, ok := v.versions[item.Version]; ok && q.Matches(in) {
			all = append(all, at{key, in})
		}
	}
	slices.SortFunc(all, func(a, b at) int { return strings.Compare(a.in.ID+"\x00"+a.key, b.in.ID+"\x00"+b.key) })
	instances := make([]discovery.Instance, len(all))
	for i, one := range all {
		instances[i] = one.in
	}
	return instances
}

func (v *viewed) randomInstance(keys int) (key string, in discovery.Instance, ok bool) {
	n := rand.IntN(keys)
	key = fmt.Sprintf("/%d", n)
	in = discovery.Instance{ID: fmt.Sprint(n), State: discovery.Passing, Shard: fmt.Sprint(rand.IntN(3)), Host: fmt.Sprint(v.version)}
	if rand.IntN(20) == 0 {
		in.ID = fmt.Sprint(rand.IntN(keys)) // of another key, too, or of this one before
	}
	if rand.IntN(4) == 0 {
		in.State = discovery.Failing
	}
	if rand.IntN(3) == 0 {
		in.Tags = []string{"blue"}
	}
	return key, in, rand.IntN(20) > 0
}

// randomChanges changes the truth, by one item, by some, or by a whole read of what it is then.
func (v *viewed) randomChanges(keys int) (c Changes) {
	count := []int{1, 1, 1, 3, 20, keys / 2}[rand.IntN(6)]
	for range count {
		key, in, ok := v.randomInstance(keys)
		if rand.IntN(3) == 0 {
			c.Items = append(c.Items, v.remove(key))
		} else {
			c.Items = append(c.Items, v.put(key, in, ok))
		}
	}
	if rand.IntN(10) > 0 {
		return c
	}
	c = Changes{Whole: true}
	for _, item := range v.truth {
		c.Items = append(c.Items, item)
	}
	if rand.IntN(2) == 0 {
		slices.SortFunc(c.Items, func(a, b Item) int { return strings.Compare(a.Key, b.Key) })
	}
	return c
}

// However it came about, a snapshot is what decoding, filtering and sorting all gives, and none that was handed out
// changes, whatever its reader appends to it.
func TestViewsAgainstSorting(t *testing.T) {
	for keys, rounds := range map[int]int{40: 300, 3 * spareFrom: 50} {
		v := newViewed()
		queries := []discovery.Query{{}, {All: true}, {Shard: "1"}, {Tags: []string{"blue"}, All: true}, {Shard: "none"}}
		type given struct{ got, want []discovery.Instance }
		var all []given
		open := map[int]*view{}
		for range rounds {
			v.apply(v.randomChanges(keys))
			n := rand.IntN(len(queries))
			seen := open[n]
			switch {
			case seen == nil:
				seen = v.see(queries[n])
				open[n] = seen
			case rand.IntN(20) == 0:
				v.leave(seen)
				delete(open, n)
				continue
			}
			got := v.snapshot(seen, "").Instances
			want := v.want(queries[n])
			require.Equal(t, want, got)
			_ = append(got, discovery.Instance{ID: "a reader's own"})
			if all = append(all, given{got, want}); rand.IntN(4) == 0 {
				time.Sleep(time.Millisecond) // some spares are ready, and some are not
			}
		}
		for _, one := range all {
			require.Equal(t, one.want, one.got)
		}
	}
}

// A change of one among many decodes one record, and edits one instance of one list, which all who ask the same share.
func TestWorkOfAChange(t *testing.T) {
	const many, changes = 10_000, 50
	v := newViewed()
	whole := Changes{Whole: true}
	for n := range many {
		in := discovery.Instance{ID: fmt.Sprintf("%05d", n), State: discovery.Passing, Shard: fmt.Sprint(n % 2)}
		whole.Items = append(whole.Items, v.put("/"+in.ID, in, true))
	}
	odd, even := v.see(discovery.Query{Shard: "1"}), v.see(discovery.Query{Shard: "0"})
	v.apply(whole)
	v.apply(whole)
	first, untouched := v.snapshot(odd, "").Instances, v.snapshot(even, "").Instances
	require.EqualValues(t, many, v.decoded.Load(), "what is known is not decoded again")
	require.Equal(t, work{fills: 1}, odd.work)

	for n := range changes {
		id := fmt.Sprintf("%05d", 2*n+1)
		v.apply(Changes{Items: []Item{v.put("/"+id, discovery.Instance{ID: id, State: discovery.Passing, Shard: "1", Host: "new"}, true)}})
		require.Same(t, odd, v.see(discovery.Query{Shard: "1"}))
		one, two := v.snapshot(odd, "").Instances, v.snapshot(odd, "").Instances
		require.Same(t, &one[0], &two[0])
		require.Equal(t, "new", one[n].Host)
		require.Empty(t, first[n].Host)
		require.Same(t, &untouched[0], &v.snapshot(even, "").Instances[0])
	}
	v.lock.Lock()
	defer v.lock.Unlock()
	require.EqualValues(t, many+changes, v.decoded.Load())
	require.Equal(t, work{fills: 1}, even.work)
	require.Equal(t, changes, odd.work.edits)
	require.Zero(t, odd.work.merges)
	require.LessOrEqual(t, odd.work.copied, 2*(changes+1)*many/2, "one list a change, and at most one that was prepared in vain")
}

// Many changes that come together cost one list.
func TestWorkOfManyChanges(t *testing.T) {
	const many = 2_000
	v := newViewed()
	seen := v.see(discovery.Query{})
	require.Empty(t, v.snapshot(seen, "").Instances)
	for n := range many {
		id := fmt.Sprintf("%05d", n)
		v.apply(Changes{Items: []Item{v.put("/"+id, discovery.Instance{ID: id, State: discovery.Passing}, true)}})
	}
	require.Len(t, v.snapshot(seen, "").Instances, many)
	v.lock.Lock()
	defer v.lock.Unlock()
	seen.work.copied = 0 // one list, and perhaps its spare
	require.Equal(t, work{fills: 1, merges: 1}, seen.work)
}
