package layout

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/envharness/envharness/discovery"
)

// Scalingo is the layout of Scalingo's etcd-discovery, version 8: /services/<service>/<uuid> for each
// instance, and /services_infos/<service> for the service, where public instances share credentials.
type Scalingo struct {
	Keys
	root     string
	hostname string
}

// NewScalingo gives the layout over a prefix, empty for none. hostname is the private host of a public
// instance that names none.
func NewScalingo(prefix, hostname string) Scalingo {
	return Scalingo{NewKeys(prefix), underPrefix(prefix, ""), hostname}
}

func (s Scalingo) ServicesPrefix() string { return s.root + "services/" }

func (s Scalingo) ServicePrefix(service string) (string, error) {
	if err := plainSegments(service); err != nil {
		return "", err
	}
	return s.ServicesPrefix() + service + "/", nil
}

// Identify gives a new ID at each call, as the layout does at each registration.
func (s Scalingo) Identify(in discovery.Instance) (discovery.Instance, error) {
	if in.PrivateHost == "" && !in.Public {
		in.PrivateHost = in.Host
	}
	if in.PrivateHost == "" {
		in.PrivateHost = s.hostname
	}
	if in.PrivateHost != "" && len(in.PrivatePorts) == 0 {
		in.PrivatePorts = maps.Clone(in.Ports)
	}
	in.ID = randomUUID() + "-" + in.PrivateHost
	return in, nil
}

// randomUUID is a UUID of version 4.
func randomUUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// scalingoHost is the record of an instance.
type scalingoHost struct {
	Name            string        `json:"name"`
	ServiceName     string        `json:"service_name"`
	Ports           scalingoPorts `json:"ports"`
	User            string        `json:"user,omitempty"`
	Password        string        `json:"password,omitempty"`
	Public          bool          `json:"public,omitempty"`
	PrivateHostname string        `json:"private_hostname,omitempty"`
	PrivatePorts    scalingoPorts `json:"private_ports,omitempty"`
	Critical        bool          `json:"critical,omitempty"`
	Shard           string        `json:"shard,omitempty"`
	UUID            string        `json:"uuid,omitempty"`
}

func (s Scalingo) Encode(in discovery.Instance) ([]Record, error) {
	prefix, err := s.ServicePrefix(in.Service)
	if err != nil {
		return nil, err
	}
	if err := plainSegments(in.ID); err != nil {
		return nil, err
	}
	for _, ports := range []map[string]discovery.Port{in.Ports, in.PrivatePorts} {
		for _, port := range ports {
			if err := onlyTCP(port); err != nil {
				return nil, err
			}
		}
	}
	if in.State != discovery.Passing {
		return nil, nil
	}
	host := scalingoHost{
		Name:            in.Host,
		ServiceName:     in.Service,
		Ports:           portTexts(in.Ports),
		User:            in.User,
		Password:        string(in.Password),
		Public:          in.Public,
		PrivateHostname: in.PrivateHost,
		PrivatePorts:    portTexts(in.PrivatePorts),
		Critical:        in.Critical,
		Shard:           in.Shard,
		UUID:            in.ID,
	}
	value, err := marshal(host, append(host.Ports.names(host.PrivatePorts),
		in.Host, in.User, string(in.Password), in.PrivateHost, in.Shard)...)
	if err != nil {
		return nil, err
	}
	return []Record{{Key: prefix + in.ID, Value: value}}, nil
}

func (s Scalingo) Decode(key string, value []byte) (discovery.Instance, error) {
	segments := cut(key, s.ServicesPrefix())
	if len(segments) != 2 {
		return discovery.Instance{}, discovery.Invalidf("not SERVICE/UUID")
	}
	var host scalingoHost
	if err := decodeObject(value, &host); err != nil {
		return discovery.Instance{}, err
	}
	in := discovery.Instance{
		ID:          segments[1],
		Service:     segments[0],
		Host:        host.Name,
		PrivateHost: host.PrivateHostname,
		User:        host.User,
		Password:    discovery.Secret(host.Password),
		Shard:       host.Shard,
		State:       discovery.Passing,
		Critical:    host.Critical,
		Public:      host.Public,
	}
	var err error
	if in.Ports, err = host.Ports.read(); err != nil {
		return discovery.Instance{}, err
	}
	in.PrivatePorts, err = host.PrivatePorts.read()
	return in, err
}

// scalingoInfo is the record of a service.
type scalingoInfo struct {
	Name     string        `json:"name"`
	Critical bool          `json:"critical"`
	Hostname string        `json:"hostname,omitempty"`
	User     string        `json:"user,omitempty"`
	Password string        `json:"password,omitempty"`
	Ports    scalingoPorts `json:"ports,omitempty"`
	Public   bool          `json:"public,omitempty"`
}

// InfoKey is where the record of a service stands. It is on no lease.
func (s Scalingo) InfoKey(service string) (string, error) {
	if err := plainSegments(service); err != nil {
		return "", err
	}
	return s.root + "services_infos/" + service, nil
}

// EncodeInfo gives the record of a service that in is an instance of.
func (s Scalingo) EncodeInfo(in discovery.Instance) ([]byte, error) {
	info := scalingoInfo{Name: in.Service, Critical: in.Critical}
	if in.Public {
		info.Hostname, info.Ports, info.Public = in.Host, portTexts(in.Ports), true
		info.User, info.Password = in.User, string(in.Password)
	}
	return marshal(info, append(info.Ports.names(nil), info.Hostname, info.User, info.Password)...)
}

// DecodeInfo reads the record of a service. What it gives is Public when the service has an address of its
// own.
func (s Scalingo) DecodeInfo(service string, value []byte) (discovery.Instance, error) {
	var info scalingoInfo
	if err := decodeObject(value, &info); err != nil {
		return discovery.Instance{}, err
	}
	ports, err := info.Ports.read()
	if err != nil {
		return discovery.Instance{}, err
	}
	return discovery.Instance{
		ID:       service,
		Service:  service,
		Host:     info.Hostname,
		Ports:    ports,
		User:     info.User,
		Password: discovery.Secret(info.Password),
		State:    discovery.Passing,
		Critical: info.Critical,
		Public:   info.Public,
	}, nil
}

// scalingoPorts are texts when written; when read, all that discovery.ParsePort knows.
type scalingoPorts map[string]json.RawMessage

// portTexts gives an object even for no ports.
func portTexts(ports map[string]discovery.Port) scalingoPorts {
	texts := make(scalingoPorts, len(ports))
	for name, port := range ports {
		texts[name] = json.RawMessage(strconv.Quote(strconv.Itoa(port.Number)))
	}
	return texts
}

func (p scalingoPorts) read() (map[string]discovery.Port, error) {
	if len(p) == 0 {
		return nil, nil
	}
	ports := make(map[string]discovery.Port, len(p))
	for name, raw := range p {
		port, err := discovery.ParsePort(raw)
		if err != nil {
			return nil, discovery.Invalidf("port %q: %w", name, err)
		}
		ports[name] = port
	}
	return ports, nil
}

// names are those of these ports and of others.
func (p scalingoPorts) names(others scalingoPorts) []string {
	return slices.AppendSeq(slices.Collect(maps.Keys(p)), maps.Keys(others))
}

// decodeObject reads a JSON object; null is none.
func decodeObject(value []byte, into any) error {
	if bytes.Equal(bytes.TrimSpace(value), []byte("null")) {
		return discovery.Invalidf("null instead of an object")
	}
	return unmarshal(value, into)
}
