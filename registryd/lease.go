package registryd

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// mostRecord bounds what is written at one key: etcd takes a request of 1.5 MiB.
const mostRecord = 1 << 20

// writeAttempts is how often a write begins anew because another one came between.
const writeAttempts = 10

var errTooLarge = errors.New("the record has more than 1048576 bytes")

// written is what a write has left.
type written struct {
	ttl      time.Duration // as granted; 0 without a lease
	revision int64         // of the key
}

// write puts a value at a key, if the condition holds. With a TTL it stands on a lease of its own, and a repeat
// renews it: nobody who watches hears of that. Without one it stays.
//
// A repeat finds the lease at the key, so this needs no memory. It is taken over only if it was made here for that
// key and has the TTL that is asked for. IDs of leases are told to whoever asks etcd, so none is ever used again:
// somebody else could have made the next one before.
func (s *store) write(ctx context.Context, key string, value []byte, ttl time.Duration, holds condition) (written, error) {
	if len(value) > mostRecord {
		return written{}, errTooLarge
	}
	return call(ctx, s, func(ctx context.Context) (written, error) {
		for range writeAttempts {
			current, err := s.client.Get(ctx, key)
			if errors.Is(err, rpctypes.ErrPermissionDenied) && holds.always() { // may write and not read
				return s.writeBlindly(ctx, key, value, ttl)
			}
			if err != nil {
				return written{}, err
			}
			done, again, err := s.replace(ctx, key, only(current.Kvs), value, ttl, holds)
			if !again || err != nil {
				return done, err
			}
		}
		return written{}, context.DeadlineExceeded
	})
}

func only(kvs []*mvccpb.KeyValue) *mvccpb.KeyValue {
	if len(kvs) == 0 {
		return new(mvccpb.KeyValue) // as etcd has it: a revision of 0
	}
	return kvs[0]
}

// replace writes if the key is as it was read, else again is set.
func (s *store) replace(ctx context.Context, key string, current *mvccpb.KeyValue, value []byte, ttl time.Duration, holds condition) (done written, again bool, err error) {
	if !holds.of(current.ModRevision) {
		return done, false, errCondition
	}
	old := clientv3.LeaseID(current.Lease)
	lease, granted, err := s.leaseFor(ctx, key, old, ttl)
	if err != nil {
		return done, false, err
	}
	then := []clientv3.Op{clientv3.OpPut(key, string(value), clientv3.WithLease(lease))}
	done = written{granted, current.ModRevision}
	renewed := current.ModRevision > 0 && lease == old && bytes.Equal(current.Value, value) && ttl > 0
	if renewed {
		then = nil
	}
	answer, err := s.client.Txn(ctx).If(clientv3.Compare(clientv3.ModRevision(key), "=", current.ModRevision)).Then(then...).Commit()
	if err != nil || !answer.Succeeded {
		if lease != old {
			s.drop(ctx, lease)
		}
		return done, true, err
	}
	if !renewed {
		done.revision = answer.Header.Revision
	}
	if lease != old && isOwnLease(old, key) {
		s.drop(ctx, old)
	}
	return done, false, nil
}

// writeBlindly leaves the lease that may be at the key to its TTL.
func (s *store) writeBlindly(ctx context.Context, key string, value []byte, ttl time.Duration) (written, error) {
	lease, granted, err := s.leaseFor(ctx, key, clientv3.NoLease, ttl)
	if err != nil {
		return written{}, err
	}
	answer, err := s.client.Put(ctx, key, string(value), clientv3.WithLease(lease))
	if err != nil {
		s.drop(ctx, lease)
		return written{}, err
	}
	return written{granted, answer.Header.Revision}, nil
}

// leaseFor renews the lease at a key if it is what is asked for, else makes one.
func (s *store) leaseFor(ctx context.Context, key string, old clientv3.LeaseID, ttl time.Duration) (clientv3.LeaseID, time.Duration, error) {
	if ttl == 0 {
		return clientv3.NoLease, 0, nil
	}
	seconds := wholeSeconds(ttl)
	if isOwnLease(old, key) {
		renewed, err := s.client.KeepAliveOnce(ctx, old)
		if err == nil && renewed.TTL == max(seconds, s.shortest.Load()) {
			return old, time.Duration(renewed.TTL) * time.Second, nil
		}
		if err != nil && !errors.Is(err, rpctypes.ErrLeaseNotFound) {
			return 0, 0, err
		}
	}
	return s.grant(ctx, key, seconds)
}

func (s *store) grant(ctx context.Context, key string, seconds int64) (clientv3.LeaseID, time.Duration, error) {
	for {
		lease := newLease(key)
		made, err := etcdserverpb.NewLeaseClient(s.client.ActiveConnection()).
			LeaseGrant(ctx, &etcdserverpb.LeaseGrantRequest{ID: int64(lease), TTL: seconds})
		if err = rpctypes.Error(err); errors.Is(err, rpctypes.ErrLeaseExist) {
			continue
		}
		if err != nil {
			return 0, 0, err
		}
		if made.TTL > seconds {
			s.shortest.Store(made.TTL)
		}
		return lease, time.Duration(made.TTL) * time.Second, nil
	}
}

// drop revokes a lease of nothing, or of what was replaced. One that stays runs out.
func (s *store) drop(ctx context.Context, lease clientv3.LeaseID) {
	if lease == clientv3.NoLease {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.answerTime)
	defer cancel()
	_, _ = s.client.Revoke(ctx, lease)
}

// delete removes a key if the condition holds, and its lease.
func (s *store) delete(ctx context.Context, key string, holds condition) (found bool, err error) {
	return call(ctx, s, func(ctx context.Context) (bool, error) {
		for range writeAttempts {
			read, err := s.client.Get(ctx, key)
			if errors.Is(err, rpctypes.ErrPermissionDenied) && holds.always() {
				response, err := s.client.Delete(ctx, key)
				return err == nil && response.Deleted > 0, err
			}
			if err != nil {
				return false, err
			}
			current := only(read.Kvs)
			if !holds.of(current.ModRevision) {
				return false, errCondition
			}
			answer, err := s.client.Txn(ctx).If(clientv3.Compare(clientv3.ModRevision(key), "=", current.ModRevision)).
				Then(clientv3.OpDelete(key)).Commit()
			if err != nil || !answer.Succeeded {
				if err != nil {
					return false, err
				}
				continue
			}
			if lease := clientv3.LeaseID(current.Lease); isOwnLease(lease, key) {
				s.drop(ctx, lease)
			}
			return current.ModRevision > 0, nil
		}
		return false, context.DeadlineExceeded
	})
}

// newLease makes an ID of which half is random, so that nobody knows it before, and half tells that it was made
// here for a key.
func newLease(key string) clientv3.LeaseID {
	var random [4]byte
	for binary.BigEndian.Uint32(random[:])>>1 == 0 {
		_, _ = rand.Read(random[:]) // it never fails
	}
	nonce := binary.BigEndian.Uint32(random[:]) >> 1
	return clientv3.LeaseID(int64(nonce)<<32 | int64(leaseMark(key, nonce)))
}

func leaseMark(key string, nonce uint32) uint32 {
	sum := sha256.Sum256(append(binary.BigEndian.AppendUint32([]byte("envdiscoverd"), nonce), key...))
	return binary.BigEndian.Uint32(sum[:])
}

func isOwnLease(lease clientv3.LeaseID, key string) bool {
	return lease > 0 && lease>>32 != 0 && uint32(lease) == leaseMark(key, uint32(lease>>32))
}

// wholeSeconds is a TTL as etcd takes it, never less than asked.
func wholeSeconds(ttl time.Duration) int64 { return int64((ttl + time.Second - 1) / time.Second) }
