package registryd

import (
	"context"
	"encoding/json"
	"net/http"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/discovery/layout"
)

func (h *handler) listServices(w http.ResponseWriter, r *http.Request) error {
	if _, err := queryOf(r); err != nil {
		return err
	}
	names, err := h.store.services(r.Context())
	if err != nil {
		return err
	}
	return h.sendJSON(w, r, names)
}

func (h *handler) getService(w http.ResponseWriter, r *http.Request, service string) error {
	query, err := queryOf(r, "all", "shard", "tag+", "credentials")
	if err != nil {
		return err
	}
	all, err := queryBool(query, "all")
	if err != nil {
		return err
	}
	credentials, err := queryBool(query, "credentials")
	if err != nil {
		return err
	}
	answer, err := h.snapshots.read(r.Context(), snapshotKey{
		service: service, all: all, shard: query.Get("shard"), tags: joinSorted(query["tag"]), credentials: credentials,
	})
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	return h.sendShared(w, r, answer)
}

// withoutCredentials is an instance for everyone to see. Fields that this version does not know may be secrets.
func withoutCredentials(in discovery.Instance) discovery.Instance {
	in.User, in.Password, in.Unknown = "", "", nil
	return in
}

// instance answers /services/NAME/ID.
func (h *handler) instance(w http.ResponseWriter, r *http.Request, service, id string) error {
	switch r.Method {
	case http.MethodPut:
		return h.putInstance(w, r, service, id)
	case http.MethodDelete:
		return h.deleteInstance(w, r, service, id)
	}
	return notAllowed("PUT", "DELETE")
}

func (h *handler) putInstance(w http.ResponseWriter, r *http.Request, service, id string) error {
	query, err := queryOf(r, "ttl")
	if err != nil {
		return err
	}
	ttl, err := queryDuration(query, "ttl", longestTTL)
	if err == nil && ttl == 0 {
		ttl = discovery.DefaultTTL
	}
	if err != nil {
		return err
	}
	body, done, err := h.readBody(r)
	if err != nil {
		return err
	}
	defer done()
	in, err := readInstance(body, service, id)
	if err != nil {
		return err
	}
	records, err := h.store.keys.Encode(in)
	if err != nil {
		return err
	}
	stands, err := h.store.write(r.Context(), records[0].Key, records[0].Value, ttl, readCondition(r))
	if err != nil {
		return err
	}
	w.Header().Set("Etag", etag(stands.revision))
	return h.sendJSON(w, r, map[string]string{"service": service, "id": id, "ttl": stands.ttl.String()})
}

// readInstance reads the body; the path says which instance it is.
func readInstance(body []byte, service, id string) (discovery.Instance, error) {
	var in discovery.Instance
	if err := json.Unmarshal(body, &in); err != nil {
		return in, discovery.Mark(discovery.ErrInvalid, err)
	}
	if in.Service != "" && in.Service != service || in.ID != "" && in.ID != id {
		return in, problem(http.StatusBadRequest, "service and id of the body are not those of the path")
	}
	if in.Host == "" && in.PrivateHost == "" {
		return in, problem(http.StatusBadRequest, "the instance has no host, so nobody can reach it")
	}
	in.Service, in.ID = service, id
	return in.Normalize()
}

func (h *handler) deleteInstance(w http.ResponseWriter, r *http.Request, service, id string) error {
	if _, err := queryOf(r, "ttl"); err != nil {
		return err
	}
	records, err := h.store.keys.Encode(discovery.Instance{Service: service, ID: id})
	if err != nil {
		return err
	}
	if found, err := h.store.delete(r.Context(), records[0].Key, readCondition(r)); err != nil {
		return err
	} else if !found {
		return problem(http.StatusNotFound, "there is no such instance")
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (s *store) services(ctx context.Context) ([]string, error) {
	response, err := s.get(ctx, s.keys.ServicesPrefix(), clientv3.WithPrefix(), clientv3.WithKeysOnly())
	if err != nil {
		return nil, err
	}
	found := records(response.Kvs)
	for i := range found {
		found[i].Value = []byte("{}") // the key says which service it is
	}
	return layout.Services(s.keys, s.log, found), nil
}

func records(kvs []*mvccpb.KeyValue) []layout.Record {
	all := make([]layout.Record, len(kvs))
	for i, kv := range kvs {
		all[i] = layout.Record{Key: string(kv.Key), Value: kv.Value}
	}
	return all
}
