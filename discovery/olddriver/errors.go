package driver

import (
	"errors"
	"reflect"

	"github.com/envharness/envharness/discovery"
)

// ErrLost is Renew's answer when the announcement is gone and must be made again.
var ErrLost = errors.New("the lease was lost")

// ErrGap is Next's answer when changes may have been missed and the registry is otherwise well, as after
// a compaction.
var ErrGap = errors.New("changes may have been missed")

// IsGap reports whether a watch broke by a gap alone.
func IsGap(err error) bool { return errors.Is(err, ErrGap) }

// permanent reports whether trying again cannot help a registration.
func permanent(err error) bool {
	for _, kind := range []error{discovery.ErrConflict, discovery.ErrDenied, discovery.ErrInvalid, discovery.ErrUnsupported} {
		if errors.Is(err, kind) {
			return true
		}
	}
	return false
}

// SameInstances reports whether the reader of a watch sees no difference.
func SameInstances(a, b discovery.Snapshot) bool {
	return reflect.DeepEqual(a.Instances, b.Instances) && reflect.DeepEqual(a.Public, b.Public)
}
