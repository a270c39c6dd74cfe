package registryd

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"

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
		return h.putValue(w, r, name, key)
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
	_ = control.SetWriteDeadline(time.Now().Add(wait + bodyTime))
	ctx, cancel := h.untilClosed(r.Context())
	defer cancel()
	value, found, err := h.store.getValue(ctx, key, wait)
	if err != nil {
		return err
	}
	if !found {
		return problem(http.StatusNotFound, "there is no such value")
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Content-Length", fmt.Sprint(len(value)))
	_, err = w.Write(value)
	return err
}

// untilClosed gives a context that also ends when the server stops.
func (h *handler) untilClosed(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(h.life, cancel)
	return ctx, func() { stop(); cancel() }
}

func (h *handler) putValue(w http.ResponseWriter, r *http.Request, name, key string) error {
	query, err := queryOf(r, "ttl")
	if err != nil {
		return err
	}
	ttl, err := queryDuration(query, "ttl", longestTTL)
	if err != nil {
		return err
	}
	value, err := readBody(r)
	if err != nil {
		return err
	}
	if len(value) > discovery.MaxValue {
		return problem(http.StatusRequestEntityTooLarge, "the value has %d bytes, %d is the most a variable holds", len(value), discovery.MaxValue)
	}
	if err := h.store.putValue(r.Context(), key, value, ttl); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (h *handler) deleteValue(w http.ResponseWriter, r *http.Request, key string) error {
	if _, err := queryOf(r); err != nil {
		return err
	}
	if found, err := h.store.delete(r.Context(), key); err != nil {
		return err
	} else if !found {
		return problem(http.StatusNotFound, "there is no such value")
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (h *handler) listValues(w http.ResponseWriter, r *http.Request) error {
	if _, err := queryOf(r); err != nil {
		return err
	}
	names, err := h.store.listValues(r.Context())
	if err != nil {
		return err
	}
	return writeJSON(w, names)
}

func writeJSON(w http.ResponseWriter, answer any) error {
	data, err := json.Marshal(answer)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	_, err = w.Write(append(data, '\n'))
	return err
}

// getValue reads a value, and waits for it if it is not there.
func (s *store) getValue(ctx context.Context, key string, wait time.Duration) (value []byte, found bool, err error) {
	response, err := call(ctx, s, func(ctx context.Context) (*clientv3.GetResponse, error) {
		return s.client.Get(ctx, key)
	})
	if err != nil {
		return nil, false, err
	}
	if len(response.Kvs) > 0 {
		return response.Kvs[0].Value, true, nil
	}
	if wait == 0 {
		return nil, false, nil
	}
	waiting, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	value, err = asCaller(waiting, s, func(ctx context.Context) ([]byte, error) {
		return s.awaitPut(ctx, key, response.Header.Revision+1)
	})
	if waiting.Err() != nil {
		return nil, false, ctx.Err()
	}
	return value, err == nil, err
}

// awaitPut blocks until somebody writes key.
func (s *store) awaitPut(ctx context.Context, key string, revision int64) ([]byte, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	changes := s.client.Watch(clientv3.WithRequireLeader(ctx), key, clientv3.WithRev(revision), clientv3.WithFilterDelete())
	for response := range changes {
		if err := response.Err(); err != nil {
			return nil, err
		}
		if len(response.Events) > 0 {
			return response.Events[len(response.Events)-1].Kv.Value, nil
		}
	}
	return nil, context.DeadlineExceeded
}

func (s *store) putValue(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	_, err := call(ctx, s, func(ctx context.Context) (any, error) {
		if ttl == 0 {
			return s.client.Put(ctx, key, string(value))
		}
		lease, err := s.client.Grant(ctx, wholeSeconds(ttl))
		if err != nil {
			return nil, err
		}
		_, err = s.client.Put(ctx, key, string(value), clientv3.WithLease(lease.ID))
		return nil, err
	})
	return err
}

// wholeSeconds is a TTL as etcd takes it, never less than asked.
func wholeSeconds(ttl time.Duration) int64 { return int64((ttl + time.Second - 1) / time.Second) }

func (s *store) delete(ctx context.Context, key string) (found bool, err error) {
	return call(ctx, s, func(ctx context.Context) (bool, error) {
		response, err := s.client.Delete(ctx, key)
		return err == nil && response.Deleted > 0, err
	})
}

func (s *store) listValues(ctx context.Context) ([]string, error) {
	response, err := s.readAll(ctx, s.keys.ValuesPrefix(), clientv3.WithKeysOnly())
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
