package zookeeper

import (
	"context"
	"path"

	"github.com/go-zookeeper/zk"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/discovery/driver"
)

// MayWrite asks for a node together with a condition that never holds: the server looks at the rights of the one
// above before. Where that is missing, it asks for that.
func (b *backend) MayWrite(ctx context.Context, key string) error {
	never := &zk.CheckVersionRequest{Path: "/", Version: 1 << 30}
	return do(ctx, b.ensemble, b.shared, func(ctx context.Context, s *session) error {
		for at := key; at != "/"; at = path.Dir(at) {
			_, failed, err := s.together(ctx, s.creation(at, nil, zk.FlagPersistent), never)
			switch {
			case failed == 1, failed == 0 && changed(err) && !missing(err): // it is there, or could be
				return nil
			case !missing(err):
				return err
			}
		}
		return nil
	})
}

var _ driver.WriteChecker = (*backend)(nil)

// maxRequest is what a server takes in one request, with some room for what is around the data: its
// jute.maxbuffer is a megabyte, and a longer request costs the connection.
const maxRequest = 1_000_000

func validSize(key string, data []byte) error {
	if len(key)+len(data) > maxRequest {
		return discovery.Invalidf("the record has %d bytes, ZooKeeper takes %d at most", len(key)+len(data), maxRequest)
	}
	return nil
}

// access says who may use what is written; the empty word decides by whether there is a user.
type access func() []zk.ACL

var accesses = map[string]access{
	"":        nil,
	"creator": func() []zk.ACL { return zk.AuthACL(zk.PermAll) },
	"read":    func() []zk.ACL { return append(zk.AuthACL(zk.PermAll), zk.WorldACL(zk.PermRead)...) },
	"open":    func() []zk.ACL { return zk.WorldACL(zk.PermAll) },
}

func accessFor(word string, login discovery.Credentials) (access, error) {
	switch {
	case word == "" && login.IsZero():
		word = "open"
	case word == "":
		word = "creator"
	case word != "open" && login.IsZero():
		return nil, discovery.Invalidf("acl=%s needs a user", word)
	}
	return accesses[word], nil
}
