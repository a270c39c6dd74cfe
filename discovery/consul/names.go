package consul

import (
	"fmt"
	"strings"

	"github.com/envharness/envharness/discovery/layout"
)

// keys are where things stand in the KV store, whose keys begin with no slash.
type keys struct {
	layout.Keys
	prefix   string
	services string // what the keys of all records of instances begin with
	values   string // what the keys of all values begin with
}

func newKeys(prefix string) keys {
	k := keys{Keys: layout.NewKeys(prefix), services: plain(layout.Native(prefix).ServicesPrefix())}
	k.prefix = strings.TrimSuffix(k.services, "/services/")
	k.values = plain(k.ValuesPrefix())
	return k
}

// plain is a key of a layout as the KV store has it.
func plain(key string) string { return strings.TrimPrefix(key, "/") }

// listed is what to list for a key or prefix: what there is before its first %. Agents from 1.13 on unescape
// it once more than older ones, so that no escape reaches both. Transactions name keys in their body.
func listed(prefix string) string {
	before, _, _ := strings.Cut(prefix, "%")
	return before
}

// What the catalogue takes for one name is more than one here: it ignores case, and it has no namespaces. So a
// service of ours has the ID of its instance only where nothing else can have it; else its ID is whole, which
// is to say, the key of its record, written with what all versions take in a path and in no two ways.

// wholeID is the ID of an instance's service with its prefix and the name of its service.
func wholeID(k keys, service, id string) string {
	return k.services + fold(service) + "/" + fold(id)
}

// shortID is the ID of an instance's service when it is the instance's own; "" when it cannot be.
func shortID(k keys, id string) string {
	if k.prefix != layout.DefaultPrefix || id == "" || id[0] == '.' || strings.ContainsFunc(id, notShort) {
		return ""
	}
	return id
}

func notShort(c rune) bool { return c != '_' && notFolded(c) }

func notFolded(c rune) bool {
	return (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '.' && c != '-'
}

// fold writes any text in lower case, without slashes and such: all but [a-z0-9.-], and a leading dot, as _xx.
func fold(name string) string {
	var b strings.Builder
	for i, c := range []byte(name) {
		if notFolded(rune(c)) || c == '.' && i == 0 {
			fmt.Fprintf(&b, "_%02x", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// catalogueName is what a service is called in the catalogue: its name, where that can be part of a path.
// Others need not be unique, since instances are known by their ID.
func catalogueName(service string) string {
	odd := func(c rune) bool { return c != '_' && notFolded(c) && (c < 'A' || c > 'Z') }
	if service[0] == '.' || strings.ContainsFunc(service, odd) {
		return fold(service)
	}
	return service
}
