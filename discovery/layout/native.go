package layout

import (
	"crypto/rand"
	"encoding/json"
	"strings"

	"github.com/envharness/envharness/discovery"
)

// native is /PREFIX/services/<service>/<id> with the instance's JSON.
type native struct {
	Keys
	records discovery.RecordReader
}

// Native gives the layout of this project itself. The instances that it decodes share the maps and slices that are
// equal: they are for reading.
func Native(prefix string) Layout { return native{NewKeys(prefix), discovery.NewRecordReader()} }

func (n native) ServicesPrefix() string { return n.prefix + "/services/" }

func (n native) ServicePrefix(service string) (string, error) {
	if service == "" {
		return "", discovery.Invalidf("the service has no name")
	}
	return n.ServicesPrefix() + n.escape(service) + "/", nil
}

func (n native) Identify(in discovery.Instance) (discovery.Instance, error) {
	if in.ID == "" {
		in.ID = in.Service + "-" + rand.Text()
	}
	return in, nil
}

func (n native) Encode(in discovery.Instance) ([]Record, error) {
	prefix, err := n.ServicePrefix(in.Service)
	if err != nil {
		return nil, err
	}
	if in.ID == "" {
		return nil, discovery.Invalidf("the instance of %q has no ID", in.Service)
	}
	value, err := json.Marshal(in)
	if err != nil {
		return nil, discovery.Invalidf("the instance makes no JSON: %w", err)
	}
	return []Record{{Key: prefix + n.escape(in.ID), Value: value}}, nil
}

func (n native) Decode(key string, value []byte) (in discovery.Instance, err error) {
	err = n.decodeInto(&in, key, value)
	return in, err
}

// decodeInto is Decode for where the instance is to be, which is the zero Instance before.
func (n native) decodeInto(in *discovery.Instance, key string, value []byte) error {
	rest, below := strings.CutPrefix(key, n.ServicesPrefix())
	first, second, deeper := strings.Cut(rest, "/")
	if !below || !deeper || strings.Contains(second, "/") {
		return discovery.Invalidf("not SERVICE/ID")
	}
	service, err := n.unescape(first)
	if err != nil {
		return err
	}
	id, err := n.unescape(second)
	if err != nil {
		return err
	}
	if err := n.records.ReadInto(in, service, id, value); err != nil {
		return discovery.Invalidf("%w", err)
	}
	return nil
}
