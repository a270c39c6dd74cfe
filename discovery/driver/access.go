package driver

import (
	"context"

	"github.com/envharness/envharness/discovery"
)

// accessName is the value that MayWrite asks about. Nothing is ever written there.
const accessName = "ENVDISCOVER_CHECK"

// WriteChecker is a Backend that can find out whether it may write a key, without writing it. The error is
// ErrDenied if it may not.
type WriteChecker interface {
	MayWrite(ctx context.Context, key string) error
}

// MayWrite is that of discovery.AccessChecker.
func (r *Registry) MayWrite(ctx context.Context) error {
	key, err := r.Layout.ValueKey(accessName)
	if err != nil {
		return r.Fail("ask for access to write value", accessName, err)
	}
	checker, can := r.backend.(WriteChecker)
	if !can {
		err = discovery.ErrUnsupported
	} else {
		err = checker.MayWrite(ctx, key)
	}
	return r.Fail("ask for access to write value", accessName, err)
}
