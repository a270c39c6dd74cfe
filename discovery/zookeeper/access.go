package zookeeper

import (
	"context"
	"path"

	"github.com/go-zookeeper/zk"

	"github.com/envharness/envharness/discovery/driver"
)

// MayWrite asks for a node together with a condition that never holds: the server looks at the rights of the one
// above before. Where that is missing, it asks for that.
func (b *backend) MayWrite(ctx context.Context, key string) error {
	never := &zk.CheckVersionRequest{Path: "/", Version: 1 << 30}
	return do(ctx, b, b.connection.get, func(ctx context.Context, s *session) error {
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
