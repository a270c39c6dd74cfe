package layout

import (
	"encoding/json"

	"github.com/envharness/envharness/discovery"
)

// ContainerPilot is the layout of ContainerPilot on etcd: a directory
// /containerpilot/<name>/<name>-<hostname>, which has the TTL, with the record as its child service.
type ContainerPilot struct {
	Keys
	root     string
	hostname string
}

// containerPilotRecord is the name of the record in an instance's directory.
const containerPilotRecord = "service"

// NewContainerPilot gives the layout over a prefix, empty for containerpilot. hostname is for the IDs of
// instances that have none.
func NewContainerPilot(prefix, hostname string) ContainerPilot {
	return ContainerPilot{NewKeys(prefix), underPrefix(prefix, "containerpilot"), hostname}
}

func (c ContainerPilot) ServicesPrefix() string { return c.root }

func (c ContainerPilot) ServicePrefix(service string) (string, error) {
	if err := plainSegments(service); err != nil {
		return "", err
	}
	if c.reserved(c.root, service) {
		return "", discovery.Invalidf("a service cannot be called %q here: values, credentials, elections and locks stand there", service)
	}
	return c.root + service + "/", nil
}

func (c ContainerPilot) Identify(in discovery.Instance) (discovery.Instance, error) {
	if in.ID != "" {
		return in, nil
	}
	host := c.hostname
	if host == "" {
		host = in.Host
	}
	in.ID = in.Service + "-" + host
	return in, nil
}

// containerPilotService is the record of an instance.
type containerPilotService struct {
	ID      string          `json:"id"`
	Name    string          `json:"name"`
	Address string          `json:"address"`
	Port    json.RawMessage `json:"port"`
	Tags    []string        `json:"tags"` // null when there are none
}

func (c ContainerPilot) Encode(in discovery.Instance) ([]Record, error) {
	prefix, err := c.ServicePrefix(in.Service)
	if err != nil {
		return nil, err
	}
	if err := plainSegments(in.ID); err != nil {
		return nil, err
	}
	port, err := onlyPort(in)
	if err == nil {
		err = onlyTCP(port)
	}
	if err != nil {
		return nil, err
	}
	if in.State != discovery.Passing {
		return nil, nil
	}
	number, err := json.Marshal(port.Number)
	if err != nil {
		return nil, discovery.Invalidf("port %d: %w", port.Number, err)
	}
	value, err := marshal(containerPilotService{
		ID:      in.ID,
		Name:    in.Service,
		Address: in.Host,
		Port:    number,
		Tags:    in.Tags,
	}, append([]string{in.Host}, in.Tags...)...)
	if err != nil {
		return nil, err
	}
	return []Record{{Key: prefix + in.ID + "/" + containerPilotRecord, Value: value}}, nil
}

func (c ContainerPilot) Decode(key string, value []byte) (discovery.Instance, error) {
	segments := cut(key, c.root)
	switch {
	case len(segments) > 0 && c.reserved(c.root, segments[0]), len(segments) == 3 && segments[2] != containerPilotRecord:
		return discovery.Instance{}, ErrForeign
	case len(segments) != 3:
		return discovery.Instance{}, discovery.Invalidf("not NAME/ID/%s", containerPilotRecord)
	}
	var record containerPilotService
	if err := decodeObject(value, &record); err != nil {
		return discovery.Instance{}, err
	}
	in := discovery.Instance{
		ID:      segments[1],
		Service: segments[0],
		Host:    record.Address,
		State:   discovery.Passing,
	}
	if len(record.Tags) > 0 {
		in.Tags = record.Tags
	}
	if len(record.Port) > 0 {
		port, err := discovery.ParsePort(record.Port)
		if err != nil {
			return discovery.Instance{}, discovery.Invalidf("port: %w", err)
		}
		in.Ports = onlyPortRead(port)
	}
	return in, nil
}
