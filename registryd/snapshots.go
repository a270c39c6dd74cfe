package registryd

import (
	"context"
	"encoding/json"
	"strconv"
	"sync"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/discovery/layout"
)

// mostEncoded is what is kept of encoded snapshots, in bytes.
const mostEncoded = 16 << 20

// snapshotKey is one question about a service. Tags are sorted, with NULs between them.
type snapshotKey struct {
	service     string
	all         bool
	shard, tags string
	credentials bool
}

func (k snapshotKey) query() discovery.Query {
	return discovery.Query{All: k.all, Shard: k.shard, Tags: splitJoined(k.tags)}
}

// snapshots answers /services/NAME. A service that is large is encoded once for each of its states, however many
// ask for it, and however long they take to read it.
type snapshots struct {
	store   *store
	batches batches[snapshotCall, *sharedAnswer]

	lock    sync.Mutex
	encoded map[snapshotKey]encodedSnapshot
	size    int
}

// snapshotCall is a question and who asks it.
type snapshotCall struct {
	caller caller
	key    snapshotKey
}

// encodedSnapshot is an answer and the state that it is of.
type encodedSnapshot struct {
	of     stateOfRange
	answer *sharedAnswer
}

// size is what it takes in memory, roughly.
func (e encodedSnapshot) size(key snapshotKey) int {
	return len(e.answer.data) + len(key.service) + len(key.shard) + len(key.tags) + 256
}

func newSnapshots(s *store) *snapshots {
	return &snapshots{store: s, encoded: map[snapshotKey]encodedSnapshot{}}
}

// read answers as etcd has it now, with the rights of the caller.
func (s *snapshots) read(ctx context.Context, key snapshotKey) (*sharedAnswer, error) {
	prefix, err := s.store.keys.ServicePrefix(key.service)
	if err != nil {
		return nil, err
	}
	who := callerOf(ctx)
	who.peer = ""
	return s.batches.join(ctx, snapshotCall{who, key}, func(ctx context.Context) (*sharedAnswer, error) {
		if kept, ok := s.kept(key); ok {
			state, err := s.store.stateOf(ctx, prefix)
			if err != nil {
				return nil, err
			}
			if state == kept.of {
				return kept.answer, nil
			}
		}
		return s.encode(ctx, prefix, key)
	})
}

func (s *snapshots) encode(ctx context.Context, prefix string, key snapshotKey) (*sharedAnswer, error) {
	response, err := s.store.get(ctx, prefix, clientv3.WithPrefix())
	if err != nil {
		return nil, err
	}
	all := layout.Decode(s.store.keys, s.store.log, records(response.Kvs))
	snapshot := discovery.NewSnapshot(key.service, strconv.FormatInt(response.Header.Revision, 10), key.query(), all)
	if !key.credentials {
		for i, in := range snapshot.Instances {
			snapshot.Instances[i] = withoutCredentials(in)
		}
	}
	data, err := json.Marshal(snapshot)
	if err != nil {
		return nil, err
	}
	made := encodedSnapshot{of: stateOfKeys(response), answer: &sharedAnswer{data: append(data, '\n')}}
	s.keep(key, made)
	return made.answer, nil
}

func (s *snapshots) kept(key snapshotKey) (encodedSnapshot, bool) {
	s.lock.Lock()
	defer s.lock.Unlock()
	kept, ok := s.encoded[key]
	return kept, ok
}

// keep makes room for an answer by forgetting others, whichever they are.
func (s *snapshots) keep(key snapshotKey, made encodedSnapshot) {
	s.lock.Lock()
	defer s.lock.Unlock()
	if old, ok := s.encoded[key]; ok {
		s.forget(key, old)
	}
	size := made.size(key)
	if size > mostEncoded/2 {
		return
	}
	for key, other := range s.encoded {
		if s.size+size <= mostEncoded {
			break
		}
		s.forget(key, other)
	}
	s.encoded[key] = made
	s.size += size
}

func (s *snapshots) forget(key snapshotKey, old encodedSnapshot) {
	delete(s.encoded, key)
	s.size -= old.size(key)
}
