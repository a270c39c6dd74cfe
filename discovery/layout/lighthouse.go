package layout

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/envharness/envharness/discovery"
)

// Lighthouse is the layout of lighthouse on ZooKeeper: a node <path>/<service>/<fqdn>:<port> for each port of
// each instance. That is the instance's ID, too; it stays what it was when an Update changes the port.
type Lighthouse struct {
	Keys
	root     string
	hostname string
}

// peerPort is where the HAProxies beside lighthouse's instances know each other.
const peerPort = 1024

// NewLighthouse gives the layout over a prefix, empty for lighthouse. hostname is the fqdn of an instance
// that is known by its address only.
func NewLighthouse(prefix, hostname string) Lighthouse {
	return Lighthouse{NewKeys(prefix), underPrefix(prefix, "lighthouse"), hostname}
}

// ValidNode reports, as ErrInvalid, a name that no node of ZooKeeper can have.
func ValidNode(name string) error {
	if name == "" || name == "." || name == ".." || !utf8.ValidString(name) || strings.ContainsFunc(name, notOfNode) {
		return discovery.Invalidf("no node can be called %q: no /, ., .. or control characters, and UTF-8 only", name)
	}
	return nil
}

// notOfNode are the characters that ZooKeeper refuses: control characters, private and special ones.
func notOfNode(r rune) bool {
	return r == '/' || r < ' ' || 0x7f <= r && r <= 0x9f || 0xe000 <= r && r <= 0xf8ff || 0xfff0 <= r && r <= 0xffff
}

func (l Lighthouse) ServicesPrefix() string { return l.root }

func (l Lighthouse) ServicePrefix(service string) (string, error) {
	if err := ValidNode(service); err != nil {
		return "", err
	}
	if l.reserved(l.root, service) {
		return "", discovery.Invalidf("a service cannot be called %q here: values, credentials and elections stand there", service)
	}
	return l.root + service + "/", nil
}

// Identify leaves an ID that is FQDN:PORT and gives that to all others, for nothing else names a node here.
func (l Lighthouse) Identify(in discovery.Instance) (discovery.Instance, error) {
	if _, _, ok := nameAndPort(in.ID); ok {
		return in, nil
	}
	for _, port := range in.Ports { // there is one, as Encode sees to
		in.ID = l.fqdn(in) + ":" + strconv.Itoa(port.Number)
	}
	return in, nil
}

// nameAndPort takes FQDN:PORT apart.
func nameAndPort(id string) (name, port string, ok bool) {
	colon := strings.LastIndex(id, ":")
	if colon < 1 {
		return "", "", false
	}
	_, err := strconv.ParseUint(id[colon+1:], 10, 16)
	return id[:colon], id[colon+1:], err == nil
}

// fqdn is the instance's name: its host's, unless that is only an address.
func (l Lighthouse) fqdn(in discovery.Instance) string {
	if _, err := netip.ParseAddr(in.Host); err == nil && l.hostname != "" {
		return l.hostname
	}
	return in.Host
}

// IP is the address that the record of an instance has: the private host if that is one, else the host; empty when
// both are names.
func (l Lighthouse) IP(in discovery.Instance) string {
	for _, host := range []string{in.PrivateHost, in.Host} {
		if _, err := netip.ParseAddr(host); err == nil {
			return host
		}
	}
	return ""
}

// lighthouseNode is the record of an instance. Metadata and peer are JSON in a text.
type lighthouseNode struct {
	Host     string          `json:"host"`
	IP       string          `json:"ip"`
	Metadata string          `json:"metadata"`
	Peer     string          `json:"peer"`
	Port     json.RawMessage `json:"port"`
}

// lighthousePeer is the HAProxy beside an instance.
type lighthousePeer struct {
	IP   string `json:"ip"`
	Name string `json:"name"`
	Port int    `json:"port"`
}

func (l Lighthouse) Encode(in discovery.Instance) ([]Record, error) {
	prefix, err := l.ServicePrefix(in.Service)
	if err != nil {
		return nil, err
	}
	if err := ValidNode(in.ID); err != nil {
		return nil, err
	}
	port, err := onlyPort(in)
	if err == nil {
		err = onlyTCP(port)
	}
	if err != nil {
		return nil, err
	}
	name, _, ok := nameAndPort(in.ID)
	if !ok {
		return nil, discovery.Invalidf("the ID %q is not FQDN:PORT", in.ID)
	}
	if in.State != discovery.Passing {
		return nil, nil
	}
	metadata, err := metadataText(in.Metadata)
	if err != nil {
		return nil, err
	}
	ip := l.IP(in)
	if ip == "" {
		ip = in.Host // who registers sees to an address before
	}
	peer, err := marshal(lighthousePeer{IP: ip, Name: name, Port: peerPort}, ip)
	if err != nil {
		return nil, err
	}
	value, err := marshal(lighthouseNode{
		Host:     name,
		IP:       ip,
		Metadata: metadata,
		Peer:     string(peer),
		Port:     json.RawMessage(strconv.Itoa(port.Number)),
	})
	if err != nil {
		return nil, err
	}
	return []Record{{Key: prefix + in.ID, Value: value}}, nil
}

func metadataText(metadata map[string]string) (string, error) {
	if len(metadata) == 0 {
		return "{}", nil
	}
	var texts []string
	for name, value := range metadata {
		texts = append(texts, name, value)
	}
	text, err := marshal(metadata, texts...)
	return string(text), err
}

func (l Lighthouse) Decode(key string, value []byte) (discovery.Instance, error) {
	segments := cut(key, l.root)
	switch {
	case len(segments) > 0 && l.reserved(l.root, segments[0]):
		return discovery.Instance{}, ErrForeign
	case len(segments) != 2:
		return discovery.Instance{}, discovery.Invalidf("not SERVICE/FQDN:PORT")
	}
	var record lighthouseNode
	if err := decodeObject(value, &record); err != nil {
		return discovery.Instance{}, err
	}
	in := discovery.Instance{ID: segments[1], Service: segments[0], Host: record.IP, State: discovery.Passing}
	if in.Host == "" {
		in.Host = record.Host
	}
	if len(record.Port) == 0 {
		return discovery.Instance{}, discovery.Invalidf("there is no port")
	}
	port, err := discovery.ParsePort(record.Port)
	if err != nil {
		return discovery.Instance{}, discovery.Invalidf("port: %w", err)
	}
	in.Ports = onlyPortRead(port)
	in.Metadata, err = readMetadata(record.Metadata)
	return in, err
}

// readMetadata reads the object in a text. Values that are no texts are kept as their JSON.
func readMetadata(text string) (map[string]string, error) {
	if text == "" {
		return nil, nil
	}
	var all map[string]json.RawMessage
	if err := unmarshal([]byte(text), &all); err != nil {
		return nil, discovery.Invalidf("metadata: %w", err)
	}
	var metadata map[string]string
	for name, raw := range all {
		value := string(raw)
		if bytes.HasPrefix(raw, []byte(`"`)) {
			if err := unmarshal(raw, &value); err != nil {
				return nil, discovery.Invalidf("metadata: %w", err)
			}
		}
		if metadata == nil {
			metadata = map[string]string{}
		}
		metadata[name] = value
	}
	return metadata, nil
}
