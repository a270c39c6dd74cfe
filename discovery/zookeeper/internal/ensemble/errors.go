package ensemble

import (
	"errors"
	"fmt"
	"net"

	"github.com/go-zookeeper/zk"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/discovery/driver"
)

// Broken reports whether the connection was lost, and nothing else is wrong.
func Broken(err error) bool {
	return driver.IsAny(err, zk.ErrConnectionClosed, zk.ErrNoServer, zk.ErrClosing, zk.ErrSessionExpired, zk.ErrSessionMoved, ErrEnded)
}

// Missing reports whether there is no such node.
func Missing(err error) bool { return errors.Is(err, zk.ErrNoNode) }

// Denied reports whether this user may not do it.
func Denied(err error) bool { return errors.Is(err, zk.ErrNoAuth) }

// Changed reports whether what an operation was meant for is no longer what it was.
func Changed(err error) bool {
	return driver.IsAny(err, zk.ErrBadVersion, zk.ErrNodeExists, zk.ErrNoNode)
}

// IgnoreMissing is nil when there is no such node.
func IgnoreMissing(err error) error {
	if Missing(err) {
		return nil
	}
	return err
}

// inTheWay gives its kind to the error of a node that cannot be made or removed because of what others have put there.
func inTheWay(err error) error {
	if driver.IsAny(err, zk.ErrNotEmpty, zk.ErrNoChildrenForEphemerals) {
		return discovery.Mark(discovery.ErrConflict, fmt.Errorf("nodes of others are in the way: %w", err))
	}
	return err
}

// KindOf is that of driver.Client.
func (e *Ensemble) KindOf(err error) error {
	switch {
	case driver.IsAny(err, zk.ErrNoAuth, zk.ErrAuthFailed, zk.ErrInvalidACL):
		return discovery.ErrDenied
	case driver.IsAny(err, zk.ErrInvalidPath, zk.ErrShortBuffer):
		return discovery.ErrInvalid
	}
	return discovery.ErrUnavailable
}

// Report is that of driver.Client.
func (e *Ensemble) Report() string { return e.hosts.Report() }

// Hint says what people can do about an error; "" if nothing is known.
func (e *Ensemble) Hint(err error) string {
	switch {
	case errors.Is(err, discovery.ErrDenied):
		return driver.LoginHint + "; zkCli's getAcl shows whom a node lets in"
	case errors.Is(err, discovery.ErrUnavailable) && e.hosts.Hint() != "":
		return e.hosts.Hint()
	case errors.Is(err, discovery.ErrUnavailable):
		host, port, _ := net.SplitHostPort(e.hosts.addresses[0])
		return "see whether ZooKeeper runs there and has a quorum: echo srvr | nc " + host + " " + port +
			"; if it does, whether maxClientCnxns lets this machine connect once more"
	}
	return ""
}
