package layout

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/envharness/envharness/discovery"
)

// SkyDNS is the layout that CoreDNS' plugin etcd serves: /skydns/<zone reversed>/<service>/<id> holds the host and the
// port that DNS answers with for SERVICE.ZONE and ID.SERVICE.ZONE. Each port with a name stands a second time, at
// <service>/_<protocol>/_<name>/<id>, for _NAME._PROTOCOL.SERVICE.ZONE; its host is ID.SERVICE.ZONE.
//
// CoreDNS does not read further fields: they are those of the native record, without credentials.
type SkyDNS struct {
	Keys
	root     string
	zone     string
	hostname string
}

// The fields that CoreDNS reads beside the host.
const (
	skydnsPort = "port"
	skydnsTTL  = "ttl"
	skydnsText = "text"
	skydnsMail = "mail"
)

const (
	skydnsPath   = "skydns"
	longestLabel = 63
	longestName  = 253
)

// NewSkyDNS gives the layout over ZONE or PATH/ZONE, with CoreDNS' own path if there is none. hostname is in the IDs
// that it makes.
func NewSkyDNS(prefix, hostname string) (SkyDNS, error) {
	path, zone := skydnsPath, strings.Trim(prefix, "/.")
	if i := strings.LastIndex(zone, "/"); i >= 0 {
		path, zone = zone[:i], zone[i+1:]
	}
	labels := strings.Split(zone, ".")
	for _, label := range labels {
		if err := validLabel(label); err != nil {
			return SkyDNS{}, discovery.Invalidf("the layout skydns is for a zone, as in etcd://HOST/cluster.local?layout=skydns: %w", err)
		}
	}
	slices.Reverse(labels)
	return SkyDNS{NewKeys(prefix), "/" + path + "/" + strings.Join(labels, "/") + "/", zone, hostname}, nil
}

// validLabel reports a name that CoreDNS does not find: it asks in lower case, and takes any for all.
func validLabel(name string) error {
	if name == "" || name == "any" || len(name) > longestLabel || name[0] == '_' || strings.ContainsFunc(name, notOfLabel) {
		return discovery.Invalidf("%q is no label of DNS as CoreDNS asks for it: a-z, 0-9, - and _, no _ first, 63 at most, and not any", name)
	}
	return nil
}

func notOfLabel(r rune) bool {
	return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' && r != '_'
}

func (s SkyDNS) ServicesPrefix() string { return s.root }

func (s SkyDNS) ServicePrefix(service string) (string, error) {
	if err := validLabel(service); err != nil {
		return "", err
	}
	if service == "dns" {
		return "", discovery.Invalidf("a service cannot be called dns here: CoreDNS has the records of the zone itself there")
	}
	return s.root + service + "/", nil
}

// Identify makes an ID of the service, this machine and the port, which is the same after a restart.
func (s SkyDNS) Identify(in discovery.Instance) (discovery.Instance, error) {
	if in.ID != "" {
		return in, nil
	}
	id := in.Service + "-" + s.hostname
	if s.hostname == "" {
		id = in.Service + "-" + rand.Text()
	}
	if number := s.port(in).Number; number != 0 {
		id += "-" + strconv.Itoa(number)
	}
	in.ID = labelOf(id)
	return in, nil
}

// labelOf makes a label of a text. One that is too long ends with a sum of all of it.
func labelOf(text string) string {
	label := strings.Map(func(r rune) rune {
		if notOfLabel(r) {
			return '-'
		}
		return r
	}, strings.ToLower(text))
	if len(label) <= longestLabel {
		return label
	}
	sum := fnv.New32a()
	sum.Write([]byte(text))
	return fmt.Sprintf("%s-%08x", label[:longestLabel-9], sum.Sum32())
}

// port is the one that an instance's own record has: that without a name, else the first by name.
func (s SkyDNS) port(in discovery.Instance) discovery.Port {
	if port, ok := in.Ports[discovery.DefaultPort]; ok {
		return port
	}
	for _, name := range slices.Sorted(maps.Keys(in.Ports)) {
		return in.Ports[name]
	}
	return discovery.Port{}
}

// Encode gives the instance's own record and one for each port with a name.
func (s SkyDNS) Encode(in discovery.Instance) ([]Record, error) {
	prefix, err := s.ServicePrefix(in.Service)
	if err == nil {
		err = validLabel(in.ID)
	}
	if err == nil {
		err = s.validHost(in)
	}
	if err != nil {
		return nil, err
	}
	own, err := s.encodeOwn(in)
	if err != nil {
		return nil, err
	}
	records := []Record{{Key: prefix + in.ID, Value: own}}
	for _, name := range slices.Sorted(maps.Keys(in.Ports)) {
		port := in.Ports[name]
		if name == discovery.DefaultPort && isTCP(port) {
			continue
		}
		record, err := s.encodePort(in, name, port)
		if err != nil {
			return nil, err
		}
		records = append(records, record)
	}
	if in.State != discovery.Passing {
		return nil, nil
	}
	return records, nil
}

func isTCP(port discovery.Port) bool { return port.Protocol == "tcp" || port.Protocol == "" }

// validHost reports a host that DNS cannot answer with, and names that are too long together.
func (s SkyDNS) validHost(in discovery.Instance) error {
	switch address, err := netip.ParseAddr(in.Host); {
	case in.Host == "":
		return discovery.Invalidf("this layout needs the host of instance %q", in.ID)
	case err == nil && address.Zone() != "":
		return discovery.Invalidf("host %q has a zone, which DNS cannot answer with", in.Host)
	case len(s.name(in)) > longestName:
		return discovery.Invalidf("the name %s of the instance is longer than %d bytes", s.name(in), longestName)
	}
	return nil
}

// name is what DNS calls an instance.
func (s SkyDNS) name(in discovery.Instance) string { return in.ID + "." + in.Service + "." + s.zone }

// encodeOwn writes the native record without what the key says and without credentials, with the fields of CoreDNS.
func (s SkyDNS) encodeOwn(in discovery.Instance) ([]byte, error) {
	port := s.port(in)
	own := in.Clone()
	own.ID, own.Service, own.State, own.Reason, own.User, own.Password = "", "", "", "", "", ""
	if own.Unknown == nil {
		own.Unknown = map[string]discovery.RawField{}
	}
	delete(own.Unknown, skydnsPort)
	if port.Number != 0 {
		own.Unknown[skydnsPort] = discovery.RawField(strconv.Itoa(port.Number))
	}
	if own.Unknown[skydnsTTL] == nil {
		own.Unknown[skydnsTTL] = discovery.RawField(strconv.Itoa(int(discovery.DefaultTTL.Seconds())))
	}
	if only, is := own.Ports[discovery.DefaultPort]; is && isTCP(only) && len(own.Ports) == 1 {
		own.Ports = nil // the field port says it
	}
	texts := append([]string{own.Host, own.PrivateHost, own.Shard}, own.Tags...)
	for name, value := range own.Metadata {
		texts = append(texts, name, value)
	}
	return marshal(own, texts...)
}

// encodePort writes the record of one port.
func (s SkyDNS) encodePort(in discovery.Instance, name string, port discovery.Port) (Record, error) {
	protocol := port.Protocol
	if protocol == "" {
		protocol = "tcp"
	}
	place := "_" + protocol + "/_" + name
	for _, label := range []string{protocol, name} {
		if err := validLabel(label); err != nil || len(label) == longestLabel {
			return Record{}, discovery.Invalidf("port %q with protocol %q: DNS has no such name of a port", name, protocol)
		}
	}
	value, err := marshal(struct {
		Host string          `json:"host"`
		Port int             `json:"port"`
		TTL  json.RawMessage `json:"ttl"`
	}{s.name(in), port.Number, s.ttl(in)})
	return Record{Key: s.root + in.Service + "/" + place + "/" + in.ID, Value: value}, err
}

func (s SkyDNS) ttl(in discovery.Instance) discovery.RawField {
	if ttl := in.Unknown[skydnsTTL]; ttl != nil {
		return ttl
	}
	return discovery.RawField(strconv.Itoa(int(discovery.DefaultTTL.Seconds())))
}

// WithTTL gives an instance whose records tell DNS' caches to keep them for so many seconds.
func (s SkyDNS) WithTTL(in discovery.Instance, seconds int64) discovery.Instance {
	in.Unknown = maps.Clone(in.Unknown)
	if in.Unknown == nil {
		in.Unknown = map[string]discovery.RawField{}
	}
	in.Unknown[skydnsTTL] = discovery.RawField(strconv.FormatInt(seconds, 10))
	return in
}

// Decode reads the own record of an instance. What else stands in a zone, records of ports, of names below services,
// of texts and mail, is of others' readers.
func (s SkyDNS) Decode(key string, value []byte) (in discovery.Instance, err error) {
	segments := cut(key, s.root)
	if len(segments) == 0 {
		return in, discovery.Invalidf("not SERVICE/ID")
	}
	if len(segments) != 2 || segments[0] == "dns" {
		return in, ErrForeign
	}
	if err := in.UnmarshalJSON(value); err != nil {
		return in, discovery.Invalidf("%w", err)
	}
	in.Service, in.ID, in.State = segments[0], segments[1], discovery.Passing
	if string(in.Unknown[skydnsMail]) == "true" || in.Host == "" && in.Unknown[skydnsText] != nil {
		return in, ErrForeign
	}
	if in.Host == "" {
		return in, discovery.Invalidf("there is no host")
	}
	err = s.readPort(&in)
	return in, err
}

// readPort takes the port of a record that has no ports by name.
func (s SkyDNS) readPort(in *discovery.Instance) error {
	raw := in.Unknown[skydnsPort]
	delete(in.Unknown, skydnsPort)
	if raw == nil || len(in.Ports) > 0 {
		return nil
	}
	port, err := discovery.ParsePort(raw)
	if err != nil {
		return discovery.Invalidf("port: %w", err)
	}
	if port.Number != 0 {
		in.Ports = onlyPortRead(port)
	}
	return nil
}
