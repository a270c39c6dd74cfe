package dns

import (
	"context"
	"errors"
	"time"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/discovery/driver"
	"github.com/envharness/envharness/discovery/layout"
)

// What DNS cannot do, whatever is asked of it.
var (
	errReadOnly = discovery.Mark(discovery.ErrUnsupported, errors.New("DNS is read only"))
	errValues   = discovery.Mark(discovery.ErrUnsupported, errors.New("DNS keeps no values"))
	errLocks    = discovery.Mark(discovery.ErrUnsupported, errors.New("DNS has no locks and elections"))
	errList     = discovery.Mark(discovery.ErrUnsupported, errors.New("DNS cannot list the names of a zone"))
)

// readOnly is the part of a driver.Backend and of a layout.Layout that DNS has not. The driver asks for a key before
// it writes, and gets the error here.
type readOnly struct{}

func (readOnly) Fit(in discovery.Instance) (discovery.Instance, error)    { return in, errReadOnly }
func (readOnly) NewLease(discovery.Instance, time.Duration) driver.Lease  { return nil }
func (readOnly) NewLock(string, time.Duration) driver.Lock                { return nil }
func (readOnly) Put(context.Context, string, []byte, time.Duration) error { return errValues }
func (readOnly) Delete(context.Context, string) (bool, error)             { return false, errValues }
func (readOnly) Keys(context.Context, string) ([]string, error)           { return nil, errValues }
func (readOnly) Swap(context.Context, driver.Item, []byte) (bool, error)  { return false, errValues }
func (readOnly) Get(context.Context, string, bool) (driver.Item, error) {
	return driver.Item{}, errValues
}
func (readOnly) ListServices(context.Context) ([]string, error)          { return nil, errList }
func (names) Identify(in discovery.Instance) (discovery.Instance, error) { return in, errReadOnly }
func (names) Encode(discovery.Instance) ([]layout.Record, error)         { return nil, errReadOnly }
func (names) Decode(string, []byte) (in discovery.Instance, err error)   { return in, errReadOnly }
func (names) ServicesPrefix() string                                     { return "/" }
func (names) ValuesPrefix() string                                       { return "/" }
func (names) ValueKey(string) (string, error)                            { return "", errValues }
func (names) ValueName(string) (string, error)                           { return "", errValues }
func (names) CredentialsKey(string) (string, error)                      { return "", errReadOnly }
func (names) LockKey(string) (string, error)                             { return "", errLocks }
func (names) ElectionKey(string) (string, error)                         { return "", errLocks }
