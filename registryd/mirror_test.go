package registryd

import (
	"maps"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestPace: the first change of a service is told at once and those after it together, and only who reads the service
// is woken.
func TestPace(t *testing.T) {
	m := newMirror(&mirrors{behind: newBehind()}, func() {})
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
