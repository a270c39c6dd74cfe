package layout

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"net"
	"strconv"
	"strings"

	"github.com/envharness/envharness/discovery"
)

// Totem is the layout of totem's discover: /discover/service/<name>/<realm>/<host id>/<container> holds an
// address as tcp://10.0.0.5:49157, and /discover/host/<host id>/<container> says which services a container
// has. An instance's ID is <host id>:<container>, or <host id>:<container>-<port> for a second service of
// one name in one container; its realm is in its metadata.
type Totem struct {
	Keys
	root     string
	hostname string
}

// The realm of totem's instances.
const (
	TotemRealm        = "realm" // the name in the metadata
	totemDefaultRealm = "default"
)

// containerName is how long Docker's short names of containers are.
const containerName = 12

// NewTotem gives the layout over a prefix, empty for discover. hostname is the host id of an instance
// whose ID names none.
func NewTotem(prefix, hostname string) Totem {
	return Totem{NewKeys(prefix), underPrefix(prefix, "discover"), hostname}
}

func (t Totem) ServicesPrefix() string { return t.root + "service/" }

func (t Totem) ServicePrefix(service string) (string, error) {
	if err := plainSegments(service); err != nil {
		return "", err
	}
	return t.ServicesPrefix() + service + "/", nil
}

func (t Totem) Identify(in discovery.Instance) (discovery.Instance, error) {
	if in.ID == "" && t.hostname != "" {
		in.ID = t.hostname[:min(len(t.hostname), containerName)] // which is Docker's name for a container
	}
	if in.ID == "" {
		var container [6]byte
		_, _ = rand.Read(container[:]) // never fails
		in.ID = hex.EncodeToString(container[:])
	}
	if !strings.Contains(in.ID, ":") {
		host := t.hostname
		if host == "" {
			host = in.Host
		}
		in.ID = host + ":" + in.ID
	}
	return in, nil
}

// place are the segments of an instance's key after the service: realm, host and container.
func (t Totem) place(in discovery.Instance) (realm, host, container string, err error) {
	realm = in.Metadata[TotemRealm]
	if realm == "" {
		realm = totemDefaultRealm
	}
	colon := strings.LastIndex(in.ID, ":")
	if colon < 0 {
		return "", "", "", discovery.Invalidf("the ID %q is not HOST:CONTAINER", in.ID)
	}
	host, container = in.ID[:colon], in.ID[colon+1:]
	return realm, host, container, plainSegments(realm, host, container)
}

// key is where an instance stands.
func (t Totem) key(in discovery.Instance) (string, error) {
	prefix, err := t.ServicePrefix(in.Service)
	if err != nil {
		return "", err
	}
	realm, host, container, err := t.place(in)
	return prefix + realm + "/" + host + "/" + container, err
}

func (t Totem) Encode(in discovery.Instance) ([]Record, error) {
	key, err := t.key(in)
	if err != nil {
		return nil, err
	}
	port, err := onlyPort(in)
	if err != nil {
		return nil, err
	}
	if in.State != discovery.Passing {
		return nil, nil
	}
	value := port.Protocol + "://" + net.JoinHostPort(in.Host, strconv.Itoa(port.Number))
	if _, _, err := parseLocation(value); err != nil {
		return nil, err
	}
	return []Record{{Key: key, Value: []byte(value)}}, nil
}

func (t Totem) Decode(key string, value []byte) (discovery.Instance, error) {
	segments := cut(key, t.ServicesPrefix())
	if len(segments) != 4 {
		return discovery.Instance{}, discovery.Invalidf("not NAME/REALM/HOST/CONTAINER")
	}
	if strings.Contains(segments[3], ":") {
		return discovery.Instance{}, discovery.Invalidf("a container has no : in its name")
	}
	host, port, err := parseLocation(string(value))
	if err != nil {
		return discovery.Instance{}, err
	}
	return discovery.Instance{
		ID:       segments[2] + ":" + segments[3],
		Service:  segments[0],
		Host:     host,
		Ports:    onlyPortRead(port),
		Metadata: map[string]string{TotemRealm: segments[1]},
		State:    discovery.Passing,
	}, nil
}

// parseLocation reads protocol://host:port; the protocol may be missing, and blanks and slashes may follow.
func parseLocation(text string) (host string, port discovery.Port, err error) {
	protocol, address, found := strings.Cut(strings.TrimSpace(text), "://")
	if !found {
		protocol, address = "tcp", protocol
	}
	host, number, err := net.SplitHostPort(strings.TrimRight(address, "/"))
	if err != nil || host == "" || protocol == "" || strings.ContainsAny(host+protocol, " \t\r\n/@\x00") {
		return "", port, discovery.Invalidf("not an address as tcp://10.0.0.5:80")
	}
	if port.Number, err = strconv.Atoi(number); err != nil {
		return "", port, discovery.Invalidf("the address has no number for its port")
	}
	port.Protocol = protocol
	return host, port, nil
}

// HostKey is where it is written which services the instance's container has. Every one of them has its
// part in that record.
func (t Totem) HostKey(in discovery.Instance) (string, error) {
	_, host, container, err := t.place(in)
	container, _ = cutPort(container)
	return t.root + "host/" + host + "/" + container, err
}

// cutPort takes the port off the last segment of a key, which a second service of one name in one container
// has there.
func cutPort(segment string) (container, port string) {
	dash := strings.LastIndex(segment, "-")
	if dash < 1 {
		return segment, ""
	}
	if _, err := strconv.ParseUint(segment[dash+1:], 10, 16); err != nil {
		return segment, ""
	}
	return segment[:dash], segment[dash+1:]
}

// JoinHost gives the record at HostKey with the instance's service in it. was is the record as it stands,
// nil if it does not; what is malformed there is dropped.
func (t Totem) JoinHost(was []byte, in discovery.Instance) ([]byte, error) {
	key, err := t.key(in)
	if err != nil {
		return nil, err
	}
	published := readPublished(was)
	path, err := marshal(strings.TrimPrefix(key, "/"))
	if err != nil {
		return nil, err
	}
	name := t.publishedName(in)
	if bytes.Equal(published[name], path) {
		return was, nil
	}
	published[name] = path
	return marshal(published)
}

// LeaveHost gives the record without the instance's service; nil when none is left in it.
func (t Totem) LeaveHost(was []byte, in discovery.Instance) ([]byte, error) {
	published := readPublished(was)
	name := t.publishedName(in)
	if _, ok := published[name]; !ok {
		return was, nil
	}
	if delete(published, name); len(published) == 0 {
		return nil, nil
	}
	return marshal(published)
}

// publishedName is what a service is called in its container's record. The port tells a second one of the
// same name from the first.
func (t Totem) publishedName(in discovery.Instance) string {
	_, _, container, _ := t.place(in)
	if _, port := cutPort(container); port != "" {
		return in.Service + ":" + port
	}
	return in.Service
}

func readPublished(value []byte) map[string]json.RawMessage {
	var published map[string]json.RawMessage
	if json.Unmarshal(value, &published) != nil || published == nil {
		return map[string]json.RawMessage{}
	}
	return published
}
