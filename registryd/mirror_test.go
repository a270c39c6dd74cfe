package registryd

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/envharness/envharness/discovery/driver"
	"github.com/envharness/envharness/discovery/layout"
	"github.com/envharness/envharness/registryd/node"
)

// fakeSource gives what a test says: at each read what stands there or an error, and then changes until it is broken.
type fakeSource struct {
	changes chan driver.Changes
	broken  chan error

	lock  sync.Mutex
	items []driver.Item
	err   error
	reads int
}

// answer is what reads get from now on.
func (s *fakeSource) answer(err error, items ...driver.Item) {
	s.lock.Lock()
	defer s.lock.Unlock()
	s.err, s.items = err, items
}

func (s *fakeSource) count() int {
	s.lock.Lock()
	defer s.lock.Unlock()
	return s.reads
}

func (s *fakeSource) Read(context.Context) (driver.Changes, error) {
	s.lock.Lock()
	defer s.lock.Unlock()
	s.reads++
	return driver.Changes{Whole: true, Items: s.items}, s.err
}

func (s *fakeSource) Next(ctx context.Context) (driver.Changes, error) {
	select {
	case c := <-s.changes:
		return c, nil
	case err := <-s.broken:
		return driver.Changes{}, err
	case <-ctx.Done():
		return driver.Changes{}, ctx.Err()
	}
}

func (s *fakeSource) Close() {}

var itemA = driver.Item{Key: "/envharness/environment/A"}

func webItem(id string) driver.Item {
	return driver.Item{Key: "/envharness/services/web/" + id, Value: []byte(`{"host":"h"}`)}
}

// followFake gives a mirror that follows a fake, which has web's instance a and the value A, and what its readers are
// told since the last call.
func followFake(t *testing.T) (s *fakeSource, m *mirror, told func() string) {
	s = &fakeSource{items: []driver.Item{webItem("a"), itemA}, changes: make(chan driver.Changes, 9), broken: make(chan error, 9)}
	m = newMirror(&store{keys: layout.Native(layout.DefaultPrefix), log: slog.New(slog.DiscardHandler)}, newBehind())
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	m.follower = driver.NewFollower(s, func(c driver.Changes) { m.apply(c, true) }, m.outage)
	go m.follower.Run(ctx)
	reader := &stream{mirror: m, readers: m.everything, all: true, changes: true}
	return s, m, func() string {
		synctest.Wait()
		reader.gather()
		require.False(t, reader.missed)
		var text strings.Builder
		for _, event := range reader.events {
			text.Write(event.data)
		}
		text.WriteString(reader.buffer.String())
		reader.events = nil
		reader.buffer.Reset()
		return text.String()
	}
}

const (
	toldWeb     = `{"service":"web","instances":[{"id":"a","service":"web","host":"h","state":"passing"}]}`
	toldCurrent = `{"current":true,"writable":true}`
)

// TestMirrorGap: after a gap all is read at once, and nobody hears of more than what has changed.
func TestMirrorGap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _, told := followFake(t)
		first := told()
		require.Contains(t, first, toldWeb)
		require.Contains(t, first, `["A"]`)
		require.Contains(t, first, toldCurrent)
		s.answer(nil, webItem("b"), itemA)
		begin := time.Now()
		s.broken <- driver.ErrGap
		second := told()
		require.Zero(t, time.Since(begin))
		require.Equal(t, 2, s.count())
		require.Contains(t, second, `"put":[{"id":"b","service":"web","host":"h","state":"passing"}],"gone":["a"]`)
		require.NotContains(t, second, "current")
	})
}

// TestMirrorOutage: an outage is told once, and the last known stays.
func TestMirrorOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _, told := followFake(t)
		told()
		away := errors.New("away")
		s.answer(away)
		s.broken <- away
		require.Equal(t, "event: current\ndata: {\"current\":false,\"reason\":\"etcd cannot be asked; this is the last known\"}\n\n", told())
		time.Sleep(time.Minute)
		require.Empty(t, told())
		require.Greater(t, s.count(), 5)
		s.answer(nil, webItem("a"), itemA)
		time.Sleep(13 * time.Second) // the longest back-off
		again := told()
		require.Contains(t, again, toldCurrent)
		require.NotContains(t, again, "service", "nothing has changed")
	})
}

// awayNode is an etcd whose users cannot be asked for.
type awayNode struct {
	node.Node
	code codes.Code
}

func (n awayNode) AuthRevision(context.Context) (uint64, error) {
	return 0, status.Error(n.code, "away")
}

// TestMirrorUnreachable: that there is no connection to etcd is told, though a watch waits for one. One that knows no
// users, as etcd 3.4, is there.
func TestMirrorUnreachable(t *testing.T) {
	for code, want := range map[codes.Code]string{codes.Unavailable: "last known", codes.Unimplemented: ""} {
		synctest.Test(t, func(t *testing.T) {
			s, m, told := followFake(t)
			told()
			s.answer(errors.New("away"))
			ms := &mirrors{byCaller: map[caller]*mirror{{}: m}}
			go newRights().follow(t.Context(), awayNode{code: code}, ms.disrupt)
			time.Sleep(2 * rightsTime)
			if text := told(); want == "" {
				require.Empty(t, text)
			} else {
				require.Contains(t, text, want)
			}
		})
	}
}

// TestMirrorDenied: what a caller may not see any more is forgotten, and told anew when it may again.
func TestMirrorDenied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _, told := followFake(t)
		told()
		s.answer(rpctypes.ErrPermissionDenied)
		s.broken <- driver.ErrGap
		require.Equal(t, "event: current\ndata: {\"current\":false,\"denied\":true,\"reason\":\"this user may not do that\"}\n\n", told())
		time.Sleep(time.Minute)
		require.Empty(t, told())
		s.answer(nil, webItem("a"), itemA)
		time.Sleep(13 * time.Second)
		again := told()
		require.Contains(t, again, `"put":[{"id":"a"`)
		require.Contains(t, again, `["A"]`)
		require.Contains(t, again, toldCurrent)
	})
}

// TestMirrorPace: what changes again within gatherTime is told by a timer, though nothing else happens.
func TestMirrorPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _, told := followFake(t)
		told()
		time.Sleep(gatherTime)
		change := func(id string) string {
			s.changes <- driver.Changes{Items: []driver.Item{webItem(id)}}
			return told()
		}
		require.Contains(t, change("b"), `"put":[{"id":"b"`)
		time.Sleep(gatherTime / 5)
		require.Empty(t, change("c"))
		require.Empty(t, change("d"))
		time.Sleep(gatherTime - gatherTime/5 - 1)
		require.Empty(t, told())
		time.Sleep(time.Nanosecond)
		both := told()
		require.Contains(t, both, `"id":"c"`)
		require.Contains(t, both, `"id":"d"`)
		time.Sleep(gatherTime)
		require.Empty(t, told())
	})
}

// TestPace: the first change of a service is told at once and those after it together, and only who reads the service
// is woken.
func TestPace(t *testing.T) {
	m := newMirror(nil, newBehind())
	for _, name := range []string{"web", "db"} {
		m.services[name] = &mirrored{instances: map[string]mirroredInstance{}}
	}
	web, leaveWeb := m.attend("web")
	db, leaveDB := m.attend("db")
	now := time.Now()
	woken := func(change func()) map[string]bool {
		t.Helper()
		before := map[string]<-chan struct{}{"web": web.changed, "db": db.changed, "all": m.everything.changed}
		change()
		maps.DeleteFunc(before, func(_ string, changed <-chan struct{}) bool {
			select {
			case <-changed:
				return false
			default:
				return true
			}
		})
		names := map[string]bool{}
		for name := range before {
			names[name] = true
		}
		return names
	}

	require.Equal(t, map[string]bool{"web": true, "all": true}, woken(func() {
		m.touch("web", "a")
		require.Zero(t, m.tell(now))
	}))
	require.Equal(t, map[string]bool{"db": true, "all": true}, woken(func() {
		m.touch("web", "b")
		m.touch("db", "a")
		require.Equal(t, gatherTime-time.Millisecond, m.tell(now.Add(time.Millisecond)), "until web is due")
	}))
	require.Empty(t, woken(func() { m.tell(now.Add(2 * time.Millisecond)) }))
	require.Equal(t, map[string]bool{"web": true, "all": true}, woken(func() {
		m.touch("web", "c")
		require.Zero(t, m.tell(now.Add(gatherTime)))
	}))
	require.Equal(t, []string{"b", "c"}, m.services["web"].changed)

	m.tell(now.Add(2 * rememberedTime)) // it has nothing to tell
	require.Len(t, m.services, 2)
	m.touch("db", "a")
	m.tell(now.Add(2 * rememberedTime))
	require.Contains(t, m.services, "db")
	require.NotContains(t, m.services, "web", "it has had no instances for long")

	leaveWeb()
	leaveDB()
	require.Empty(t, m.byService)
}
