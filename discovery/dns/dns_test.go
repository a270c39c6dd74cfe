package dns

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/envharness/envharness/discovery"
)

// What the URL says is checked before anything is asked.
func TestInvalidURLs(t *testing.T) {
	for _, url := range []string{
		"dns:///a/b", "dns:///a..b", "dns:///ns%20", "dns:///" + strings.Repeat("x", 64), "dns:///test?zone=x",
		"dns://user:pw@h/test", "dns:///test?user-file=/x", "dns:///test?token-file=/x", "dns:///test?layout=native",
		"dns:///test?ca=/x", "dns:///test?port=a,a", "dns:///test?port=0", "dns:///test?port=a=65536",
		"dns:///test?port=80,443", "dns:///test?port=a.b", "dns:///test?port=%20", "dns://h:0/test",
	} {
		_, err := discovery.NewEngines(Engine).Open(t.Context(), url)
		require.ErrorIs(t, err, discovery.ErrInvalid, url)
		require.NotContains(t, err.Error(), "pw")
	}
	_, err := discovery.NewEngines(Engine).Open(t.Context(), "dnss:///test")
	require.ErrorIs(t, err, discovery.ErrUnknownEngine)
}

// No name leaves the zone, and none is another than it says.
func TestNames(t *testing.T) {
	n, err := newNames(discovery.Config{Prefix: "ns.svc.test"})
	require.NoError(t, err)
	for _, service := range []string{"web", "web.v1", "_http._tcp.web", "Web-1", "a_b", "1"} {
		key, err := n.ServicePrefix(service)
		require.NoError(t, err, service)
		require.Equal(t, service, serviceOf(key))
	}
	for _, service := range []string{
		"", ".", "web.", ".web", "a..b", "a/b", "a b", "a\x00b", "ü", "\xff", "*", "a\\.b", "_", strings.Repeat("x", 64),
		strings.Repeat("x.", 126) + "x",
	} {
		_, err := n.ServicePrefix(service)
		require.ErrorIs(t, err, discovery.ErrInvalid, service)
	}
}

// All that writes is refused at once, with what can be done instead.
func TestReadOnly(t *testing.T) {
	registry, _ := openLogged(t, "dns://127.0.0.1:1/test")
	in := discovery.Instance{Service: "web", Host: "10.0.0.5"}
	_, register := registry.Register(t.Context(), in, time.Minute)
	_, services := registry.Services(t.Context())
	values := registry.(discovery.Values)
	_, get := values.Get(t.Context(), "NAME")
	_, list := values.List(t.Context())
	_, watch := values.WatchValue(t.Context(), "NAME")
	_, campaign := registry.(discovery.Elector).Campaign(t.Context(), "NAME", 0)
	_, lock := registry.(discovery.Locker).Lock(t.Context(), "NAME", 0)
	for what, err := range map[string]error{
		"register": register, "services": services, "get": get, "list": list, "watch": watch, "campaign": campaign, "lock": lock,
		"put":    values.Put(t.Context(), "NAME", []byte("x"), 0),
		"swap":   registry.(discovery.Swapper).SwapValue(t.Context(), "NAME", nil, []byte("x")),
		"delete": values.Delete(t.Context(), "NAME"),
	} {
		require.ErrorIs(t, err, discovery.ErrUnsupported, what)
		require.ErrorContains(t, err, "DNS", what)
		require.NotEmpty(t, discovery.Hint(err), what)
	}
}
