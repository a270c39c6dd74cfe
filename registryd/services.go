package registryd

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
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
	return writeJSON(w, names)
}

func (h *handler) getService(w http.ResponseWriter, r *http.Request, service string) error {
	query, err := queryOf(r, "all", "shard", "tag", "credentials")
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
	q := discovery.Query{All: all, Shard: query.Get("shard"), Tags: query["tag"]}
	snapshot, err := h.store.service(r.Context(), service, q)
	if err != nil {
		return err
	}
	if !credentials {
		for i, in := range snapshot.Instances {
			snapshot.Instances[i] = withoutCredentials(in)
		}
	}
	return writeJSON(w, snapshot)
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
	body, err := readBody(r)
	if err != nil {
		return err
	}
	in, err := readInstance(body, service, id)
	if err != nil {
		return err
	}
	granted, err := h.store.announce(r.Context(), in, ttl)
	if err != nil {
		return err
	}
	return writeJSON(w, map[string]string{"service": service, "id": id, "ttl": granted.String()})
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
	if found, err := h.store.delete(r.Context(), records[0].Key); err != nil {
		return err
	} else if !found {
		return problem(http.StatusNotFound, "there is no such instance")
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (s *store) services(ctx context.Context) ([]string, error) {
	response, err := s.readAll(ctx, s.keys.ServicesPrefix(), clientv3.WithKeysOnly())
	if err != nil {
		return nil, err
	}
	found := records(response.Kvs)
	for i := range found {
		found[i].Value = []byte("{}") // the key says which service it is
	}
	return layout.Services(s.keys, s.log, found), nil
}

func (s *store) service(ctx context.Context, service string, q discovery.Query) (discovery.Snapshot, error) {
	prefix, err := s.keys.ServicePrefix(service)
	if err != nil {
		return discovery.Snapshot{}, err
	}
	response, err := s.readAll(ctx, prefix)
	if err != nil {
		return discovery.Snapshot{}, err
	}
	all := layout.Decode(s.keys, s.log, records(response.Kvs))
	return discovery.NewSnapshot(service, strconv.FormatInt(response.Header.Revision, 10), q, all), nil
}

func (s *store) readAll(ctx context.Context, prefix string, options ...clientv3.OpOption) (*clientv3.GetResponse, error) {
	return call(ctx, s, func(ctx context.Context) (*clientv3.GetResponse, error) {
		return s.client.Get(ctx, prefix, append(options, clientv3.WithPrefix())...)
	})
}

func records(kvs []*mvccpb.KeyValue) []layout.Record {
	all := make([]layout.Record, len(kvs))
	for i, kv := range kvs {
		all[i] = layout.Record{Key: string(kv.Key), Value: kv.Value}
	}
	return all
}

// announce writes an instance's record on a lease, or renews it if it is there as it should be: then nobody who
// watches hears of it. It gives the TTL as granted.
//
// The lease's ID is made from the record's key and the TTL, so that a repeat finds it without any memory here,
// and every other registrant of that ID has another lease: the newest PUT wins, and a client's registration then
// ends with a conflict, as between clients.
func (s *store) announce(ctx context.Context, in discovery.Instance, ttl time.Duration) (time.Duration, error) {
	records, err := s.keys.Encode(in)
	if err != nil {
		return 0, err
	}
	key, value := records[0].Key, string(records[0].Value)
	lease := leaseOf(key, wholeSeconds(ttl))
	return call(ctx, s, func(ctx context.Context) (time.Duration, error) {
		granted, err := s.grant(ctx, lease, wholeSeconds(ttl))
		if err != nil {
			return 0, err
		}
		standing := s.client.Txn(ctx).
			If(clientv3.Compare(clientv3.LeaseValue(key), "=", lease), clientv3.Compare(clientv3.Value(key), "=", value)).
			Else(clientv3.OpPut(key, value, clientv3.WithLease(lease)))
		_, err = standing.Commit()
		return granted, err
	})
}

// grant renews a lease, or makes it.
func (s *store) grant(ctx context.Context, lease clientv3.LeaseID, seconds int64) (time.Duration, error) {
	for {
		renewed, err := s.client.KeepAliveOnce(ctx, lease)
		if err == nil {
			return time.Duration(renewed.TTL) * time.Second, nil
		}
		if !errors.Is(err, rpctypes.ErrLeaseNotFound) {
			return 0, err
		}
		made, err := etcdserverpb.NewLeaseClient(s.client.ActiveConnection()).
			LeaseGrant(ctx, &etcdserverpb.LeaseGrantRequest{ID: int64(lease), TTL: seconds})
		if err = rpctypes.Error(err); errors.Is(err, rpctypes.ErrLeaseExist) { // by another request, meanwhile
			continue
		}
		return time.Duration(made.GetTTL()) * time.Second, err
	}
}

func leaseOf(key string, seconds int64) clientv3.LeaseID {
	sum := sha256.Sum256([]byte(strconv.FormatInt(seconds, 10) + " " + key))
	return clientv3.LeaseID(binary.BigEndian.Uint64(sum[:])>>1 | 1)
}
