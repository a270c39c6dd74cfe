package registryd

import (
	"bytes"
	"context"
	"net/http"
	"slices"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/envharness/envharness/discovery"
)

// The longest ?ttl= and ?wait=.
const (
	longestTTL  = 366 * 24 * time.Hour
	longestWait = time.Hour
)

// value answers /environment/NAME.
func (h *handler) value(w http.ResponseWriter, r *http.Request, name string) error {
	key, err := h.store.keys.ValueKey(name)
	if err != nil {
		return err
	}
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		return h.getValue(w, r, key)
	case http.MethodPost, http.MethodPut:
		return h.putValue(w, r, key)
	case http.MethodDelete:
		return h.deleteValue(w, r, key)
	}
	return notAllowed("GET", "POST", "PUT", "DELETE")
}

func (h *handler) getValue(w http.ResponseWriter, r *http.Request, key string) error {
	query, err := queryOf(r, "wait")
	if err != nil {
		return err
	}
	wait, err := queryDuration(query, "wait", longestWait)
	if err != nil {
		return err
	}
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Time{}) // it is read to see whether the client is there, for as long as it waits
	_ = control.SetWriteDeadline(time.Now().Add(wait + h.times.body))
	ctx, cancel := h.untilClosed(r.Context())
	defer cancel()
	if wait > 0 {
		h.metrics.waiters.Inc()
		defer h.metrics.waiters.Dec()
	}
	kv, err := h.store.getValue(ctx, key, wait)
	if err != nil {
		return err
	}
	if kv == nil {
		return problem(http.StatusNotFound, "there is no such value")
	}
	return h.sendValue(w, r, kv)
}

func (h *handler) sendValue(w http.ResponseWriter, r *http.Request, kv *mvccpb.KeyValue) error {
	w.Header().Set("Etag", etag(kv.ModRevision))
	switch c := readCondition(r); {
	case c.hasMatch && !c.of(kv.ModRevision):
		return errCondition
	case c.unchanged(kv.ModRevision):
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	return h.send(w, r, kv.Value)
}

// untilClosed gives a context that also ends when the server stops.
func (h *handler) untilClosed(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(h.life, cancel)
	return ctx, func() { stop(); cancel() }
}

func (h *handler) putValue(w http.ResponseWriter, r *http.Request, key string) error {
	query, err := queryOf(r, "ttl")
	if err != nil {
		return err
	}
	ttl, err := queryDuration(query, "ttl", longestTTL)
	if err != nil {
		return err
	}
	value, done, err := h.readBody(r)
	if err != nil {
		return err
	}
	defer done()
	if len(value) > discovery.MaxValue {
		return problem(http.StatusRequestEntityTooLarge, "the value has %d bytes, %d is the most a variable holds", len(value), discovery.MaxValue)
	}
	if bytes.IndexByte(value, 0) >= 0 {
		return problem(http.StatusBadRequest, "the value has a NUL byte, which no variable holds")
	}
	stands, err := h.store.write(r.Context(), key, value, ttl, readCondition(r))
	if err != nil {
		return err
	}
	w.Header().Set("Etag", etag(stands.revision))
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (h *handler) deleteValue(w http.ResponseWriter, r *http.Request, key string) error {
	if _, err := queryOf(r); err != nil {
		return err
	}
	if found, err := h.store.delete(r.Context(), key, readCondition(r)); err != nil {
		return err
	} else if !found {
		return problem(http.StatusNotFound, "there is no such value")
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// listValues answers /environment.
func (h *handler) listValues(w http.ResponseWriter, r *http.Request) error {
	query, err := queryOf(r, "values")
	if err != nil {
		return err
	}
	values, err := queryBool(query, "values")
	if err != nil {
		return err
	}
	if values {
		return h.allValues(w, r)
	}
	names, err := h.store.listValues(r.Context())
	if err != nil {
		return err
	}
	return h.sendJSON(w, r, names)
}

// getValue reads a value, and waits for it if it is not there; nil when it does not come.
func (s *store) getValue(ctx context.Context, key string, wait time.Duration) (*mvccpb.KeyValue, error) {
	response, err := s.getOne(ctx, key)
	if err != nil {
		return nil, err
	}
	if len(response.Kvs) > 0 {
		return response.Kvs[0], nil
	}
	if wait == 0 {
		return nil, nil
	}
	waiting, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	kv, err := asCaller(waiting, s, func(ctx context.Context) (*mvccpb.KeyValue, error) {
		return s.awaitPut(ctx, key, response.Header.Revision+1)
	})
	if waiting.Err() != nil {
		return nil, ctx.Err()
	}
	return kv, err
}

// awaitPut blocks until somebody writes key.
func (s *store) awaitPut(ctx context.Context, key string, revision int64) (*mvccpb.KeyValue, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	changes := s.client.Watch(clientv3.WithRequireLeader(ctx), key, clientv3.WithRev(revision), clientv3.WithFilterDelete())
	for response := range changes {
		if err := response.Err(); err != nil {
			return nil, err
		}
		if len(response.Events) > 0 {
			return response.Events[len(response.Events)-1].Kv, nil
		}
	}
	return nil, context.DeadlineExceeded
}

func (s *store) listValues(ctx context.Context) ([]string, error) {
	response, err := s.get(ctx, s.keys.ValuesPrefix(), clientv3.WithPrefix(), clientv3.WithKeysOnly())
	if err != nil {
		return nil, err
	}
	names := []string{}
	for _, kv := range response.Kvs {
		if name, err := s.keys.ValueName(string(kv.Key)); err == nil {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
}
