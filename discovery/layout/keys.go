package layout

import (
	"strings"

	"github.com/envharness/envharness/discovery"
)

// DefaultPrefix is the namespace of keys when the URL names none.
const DefaultPrefix = "envharness"

// Keys are where values, shared credentials, elections and locks stand. They are the same in every layout, which
// embeds Keys.
type Keys struct {
	prefix string
	hides  bool // a key whose last segment begins with _ is hidden, as in etcd v2
}

// NewKeys gives the keys under a prefix, which may be empty for the default.
func NewKeys(prefix string) Keys {
	if prefix == "" {
		prefix = DefaultPrefix
	}
	return Keys{prefix: "/" + strings.Trim(prefix, "/")}
}

// ValuesPrefix is what the keys of all values begin with.
func (k Keys) ValuesPrefix() string { return k.prefix + "/environment/" }

// ValueKey is where a value stands.
func (k Keys) ValueKey(name string) (string, error) {
	if err := discovery.ValidValueName(name); err != nil {
		return "", err
	}
	return k.ValuesPrefix() + k.escape(name), nil
}

// ValueName is the name of the value that stands at key.
func (k Keys) ValueName(key string) (string, error) {
	segments := cut(key, k.ValuesPrefix())
	if len(segments) != 1 {
		return "", discovery.Invalidf("%q is no key of a value", key)
	}
	name, err := k.unescape(segments[0])
	if err != nil {
		return "", err
	}
	return name, discovery.ValidValueName(name)
}

// CredentialsKey is where the instances of a service share credentials, as JSON of discovery.Credentials.
func (k Keys) CredentialsKey(service string) (string, error) {
	if service == "" {
		return "", discovery.Invalidf("the service has no name")
	}
	return k.prefix + "/credentials/" + k.escape(service), nil
}

// ElectionKey is where the leaders for a value are chosen.
func (k Keys) ElectionKey(name string) (string, error) {
	if err := discovery.ValidValueName(name); err != nil {
		return "", err
	}
	return k.prefix + "/director/" + k.escape(name), nil
}

// LockKey is where a lock is held.
func (k Keys) LockKey(name string) (string, error) {
	if err := discovery.ValidLockName(name); err != nil {
		return "", err
	}
	return k.prefix + "/lock/" + k.escape(name), nil
}

// reserved reports whether what Keys names stands where a service would, in a layout whose services stand
// right below root.
func (k Keys) reserved(root, service string) bool {
	if root != k.prefix+"/" {
		return false
	}
	return service == "environment" || service == "credentials" || service == "director" || service == "lock"
}
