package layout

import (
	"errors"

	"github.com/envharness/envharness/discovery"
)

// Plain is a tree of values and nothing else: the key is /PREFIX/NAME, as envconsul, consul-template and confd have
// them. What is asked for beside values is ErrUnsupported.
type Plain struct{ Keys }

// errValuesAlone is why.
var errValuesAlone = discovery.Mark(discovery.ErrUnsupported,
	errors.New("the layout plain has values alone: services, locks and directors need a prefix of the layout native"))

// NewPlain gives the layout over a prefix.
func NewPlain(prefix string) Plain { return Plain{NewKeys(prefix)} }

// ValuesAlone is ErrUnsupported for a layout without services.
func ValuesAlone(l Layout) error {
	if _, is := l.(Plain); is {
		return errValuesAlone
	}
	return nil
}

func (p Plain) ValuesPrefix() string { return p.prefix + "/" }

func (p Plain) ValueKey(name string) (string, error) {
	return p.ValuesPrefix() + name, discovery.ValidValueName(name)
}

func (p Plain) ValueName(key string) (string, error) {
	segments := cut(key, p.ValuesPrefix())
	switch {
	case len(segments) > 1:
		return "", ErrDeeper
	case len(segments) == 0 || segments[0] == "":
		return "", ErrForeign
	}
	return segments[0], discovery.ValidValueName(segments[0])
}

func (p Plain) Identify(in discovery.Instance) (discovery.Instance, error) { return in, errValuesAlone }
func (p Plain) Encode(discovery.Instance) ([]Record, error)                { return nil, errValuesAlone }
func (p Plain) Decode(string, []byte) (discovery.Instance, error) {
	return discovery.Instance{}, ErrForeign
}
func (p Plain) ServicePrefix(string) (string, error)  { return "", errValuesAlone }
func (p Plain) ServicesPrefix() string                { return p.ValuesPrefix() }
func (p Plain) CredentialsKey(string) (string, error) { return "", errValuesAlone }
func (p Plain) ElectionKey(string) (string, error)    { return "", errValuesAlone }
func (p Plain) LockKey(string) (string, error)        { return "", errValuesAlone }
