package consul

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/envharness/envharness/discovery/consul/internal/agent"
)

// The bounds of a session's TTL. A session ends at its TTL at the earliest, and at twice that at the latest.
const (
	leastSession = 10 * time.Second // unless the agents' session_ttl_min is another
	maxSession   = 24 * time.Hour
)

// minSession is leastSession; tests, whose agents grant less, have no time for it.
var minSession = leastSession

// serfCheck is the check by which the agents tell that one of them is gone.
const serfCheck = "serfHealth"

// newSession is one that ends unless it is renewed, and then deletes what it holds, or earlier, when one of these
// checks is critical. Its name is what it is for.
func newSession(name string, ttl time.Duration, checks ...string) *api.SessionEntry {
	session := &api.SessionEntry{
		Name:       name,
		TTL:        wholeSeconds(min(max(ttl, minSession), maxSession)),
		Behavior:   api.SessionBehaviorDelete,
		LockDelay:  time.Millisecond, // the least there is: our writes are fenced
		NodeChecks: []string{serfCheck},
	}
	for _, check := range checks {
		session.ServiceChecks = append(session.ServiceChecks, api.ServiceCheck{ID: check})
	}
	return session
}

// wholeSeconds is a duration as Consul takes it, never less.
func wholeSeconds(d time.Duration) string {
	return fmt.Sprintf("%ds", (d+time.Second-1)/time.Second)
}

// renewSession reports whether there is such a session.
func renewSession(ctx context.Context, client *agent.Client, id string) (bool, error) {
	session, _, err := client.Session().Renew(id, agent.Writing(ctx))
	return session != nil, err
}

// endSession deletes a session with what it holds. That there is none is no error.
func endSession(ctx context.Context, client *agent.Client, id string) error {
	if id == "" {
		return nil
	}
	_, err := client.Session().Destroy(id, agent.Writing(ctx))
	if agent.IsStatus(err, http.StatusNotFound, "") {
		return nil
	}
	return err
}

// endFormerSession is endSession for one that another made, if it was for the same.
func endFormerSession(ctx context.Context, client *agent.Client, id, name string) error {
	session, _, err := client.Session().Info(id, agent.Strong(ctx))
	if err != nil || session == nil || session.Name != name {
		return err
	}
	return endSession(ctx, client, id)
}
