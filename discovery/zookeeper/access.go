package zookeeper

import (
	"context"
	"path"

	"github.com/go-zookeeper/zk"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/discovery/driver"
	"github.com/envharness/envharness/discovery/zookeeper/internal/ensemble"
)

// MayWrite asks for a node together with a condition that never holds: the server looks at the rights of the one
// above before. Where that is missing, it asks for that.
func (b *backend) MayWrite(ctx context.Context, key string) error {
	never := &zk.CheckVersionRequest{Path: "/", Version: 1 << 30}
	return ensemble.Do(ctx, b.Ensemble, b.Shared, func(ctx context.Context, s *ensemble.Session) error {
		for at := key; at != "/"; at = path.Dir(at) {
			_, failed, err := s.Together(ctx, s.Creation(at, nil, zk.FlagPersistent), never)
			switch {
			case failed == 1, failed == 0 && ensemble.Changed(err) && !ensemble.Missing(err): // it is there, or could be
				return nil
			case !ensemble.Missing(err):
				return err
			}
		}
		return nil
	})
}

var _ driver.WriteChecker = (*backend)(nil)

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
