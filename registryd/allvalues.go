package registryd

import (
	"context"
	"encoding/json"
	"net/http"
	"time"
	"unicode/utf8"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/envharness/envharness/registryd/listen"
)

// valuesOnce is how many values are read at a time: with the longest ones 8 MiB are on their way.
const valuesOnce = 64

// allValues answers /environment?values=1: one JSON object of all values by name, as they were at one moment. A
// value that is no UTF-8, which JSON cannot hold, is {"base64": "…"}.
func (h *handler) allValues(w http.ResponseWriter, r *http.Request) error {
	ctx, cancel := h.untilClosed(r.Context())
	defer cancel()
	page, err := h.store.valuesFrom(ctx, h.store.keys.ValuesPrefix(), 0)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	comma := byte('{')
	for revision := page.Header.Revision; ; {
		if comma, err = h.sendValues(ctx, w, page.Kvs, comma); err != nil {
			return err
		}
		if !page.More {
			break
		}
		after := string(page.Kvs[len(page.Kvs)-1].Key) + "\x00"
		if page, err = h.store.valuesFrom(ctx, after, revision); err != nil {
			return err
		}
	}
	end := "}\n"
	if comma == '{' {
		end = "{}\n"
	}
	_, err = w.Write([]byte(end))
	return err
}

// valuesFrom reads some values from a key on, as they were at a revision; 0 is now.
func (s *store) valuesFrom(ctx context.Context, key string, revision int64) (*clientv3.GetResponse, error) {
	return s.get(ctx, key, clientv3.WithRange(clientv3.GetPrefixRangeEnd(s.keys.ValuesPrefix())),
		clientv3.WithLimit(valuesOnce), clientv3.WithRev(revision))
}

// sendValues writes members of the object, each after a comma, or the brace before the first one. It gives what
// the next one goes after.
func (h *handler) sendValues(ctx context.Context, w http.ResponseWriter, kvs []*mvccpb.KeyValue, comma byte) (byte, error) {
	var members []byte
	for _, kv := range kvs {
		name, err := h.store.keys.ValueName(string(kv.Key))
		if err != nil { // somebody else's key, as in the list of names
			continue
		}
		members = appendMember(append(members, comma), name, kv.Value)
		comma = ','
	}
	done, err := h.room.take(ctx, listen.ClientOf(ctx), int64(len(members)))
	if err != nil {
		return comma, err
	}
	defer done()
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(stuckTime))
	_, err = w.Write(members)
	return comma, err
}

// appendMember writes "NAME":VALUE.
func appendMember(to []byte, name string, value []byte) []byte {
	var member any = string(value)
	if !utf8.Valid(value) {
		member = map[string][]byte{"base64": value}
	}
	quoted, _ := json.Marshal(name) // neither can fail
	encoded, _ := json.Marshal(member)
	return append(append(append(to, quoted...), ':'), encoded...)
}
