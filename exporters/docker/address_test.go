package docker

import (
	"net/netip"
	"slices"
	"strconv"
	"syscall"
	"testing"

	"github.com/moby/moby/api/types/network"
	"github.com/stretchr/testify/require"
)

// at makes the port map of a container that publishes 80/tcp there.
func at(bindings ...string) network.PortMap {
	private := network.MustParsePort("80/tcp")
	ports := network.PortMap{private: nil}
	for _, text := range bindings {
		binding := network.PortBinding{HostPort: text}
		if address, err := netip.ParseAddrPort(text); err == nil {
			binding = network.PortBinding{HostIP: address.Addr(), HostPort: strconv.Itoa(int(address.Port()))}
		}
		ports[private] = append(ports[private], binding)
	}
	return ports
}

func TestPublicAddress(t *testing.T) {
	const v4, v6, both = "10.0.0.5", "2001:db8::5", "10.0.0.5,2001:db8::5"
	web := port{80, "tcp"}
	tests := map[string]struct {
		hostIP string
		ports  network.PortMap
		want   string
		err    error
	}{
		"all addresses":               {v4, at("0.0.0.0:8001"), "10.0.0.5:8001", nil},
		"all, as engines write it":    {v4, at("0.0.0.0:8001", "[::]:8001"), "10.0.0.5:8001", nil},
		"other port on IPv6":          {v4, at("[::]:8001", "0.0.0.0:8002"), "10.0.0.5:8002", nil},
		"other port on IPv4":          {v6, at("0.0.0.0:8001", "[::]:8002"), "[2001:db8::5]:8002", nil},
		"IPv6 only":                   {both, at("[::]:8001"), "[2001:db8::5]:8001", nil},
		"IPv6 only, host by IPv4":     {v4, at("[::]:8001"), "", errFamily},
		"IPv4 only, host by IPv6":     {v6, at("0.0.0.0:8001"), "", errFamily},
		"other version first":         {both, at("[::]:8001", "0.0.0.0:8002"), "10.0.0.5:8002", nil},
		"no address":                  {v4, at("8001"), "10.0.0.5:8001", nil},
		"one address":                 {v4, at("192.0.2.7:8001"), "192.0.2.7:8001", nil},
		"one IPv6 address":            {v4, at("[2001:db8::7]:8001"), "[2001:db8::7]:8001", nil},
		"IPv4 within IPv6":            {v4, at("[::ffff:192.0.2.7]:8001"), "192.0.2.7:8001", nil},
		"one and all":                 {v4, at("192.0.2.7:8001", "0.0.0.0:8002"), "10.0.0.5:8002", nil},
		"one and the other family":    {v4, at("[::]:8002", "192.0.2.7:8001"), "192.0.2.7:8001", nil},
		"several":                     {v4, at("0.0.0.0:8003", "0.0.0.0:8001", "0.0.0.0:8002"), "10.0.0.5:8001", nil},
		"loopback":                    {v4, at("127.0.0.1:8001"), "", errLoopback},
		"loopback by another address": {v4, at("127.9.9.9:8001", "[::1]:8001"), "", errLoopback},
		"loopback and another":        {v4, at("127.0.0.1:8001", "192.0.2.7:8001"), "192.0.2.7:8001", nil},
		"a host that is loopback":     {"127.0.0.1", at("0.0.0.0:8001"), "127.0.0.1:8001", nil},
		"exposed only":                {v4, at(), "", errUnpublished},
		"no port yet":                 {v4, at("0"), "", errUnpublished},
		"nothing":                     {v4, nil, "", errUnpublished},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := publicAddress(hostAt(t, test.hostIP), container{ports: test.ports}, web)
			require.ErrorIs(t, err, test.err)
			if test.err == nil {
				require.Equal(t, test.want, got.String())
			}
		})
	}

	t.Run("another protocol", func(t *testing.T) {
		_, err := publicAddress(hostAt(t, v4), container{ports: at("0.0.0.0:8001")}, port{80, "udp"})
		require.ErrorIs(t, err, errUnpublished)
	})
	t.Run("host network", func(t *testing.T) {
		got, err := publicAddress(hostAt(t, v6), container{hostNetwork: true}, web)
		require.NoError(t, err)
		require.Equal(t, "[2001:db8::5]:80", got.String())
	})
}

func hostAt(t *testing.T, text string) addresses {
	t.Helper()
	at, err := parseAddresses(text)
	require.NoError(t, err)
	return at
}

// TestRenewed: the host's own address stays of one IP version, and what is not found stays.
func TestRenewed(t *testing.T) {
	ip := netip.MustParseAddr
	a := hostAt(t, "10.0.0.5")
	a = a.renewed([]netip.Addr{ip("2001:db8::5")})
	require.Equal(t, "10.0.0.5,2001:db8::5", a.String())
	a = a.renewed([]netip.Addr{ip("10.0.0.6"), ip("2001:db8::6")})
	require.Equal(t, "10.0.0.6,2001:db8::6", a.String())
	require.Equal(t, a, a.renewed(nil))
}

// TestFindAddresses: one of each IP version that has a default route.
func TestFindAddresses(t *testing.T) {
	v4, v6 := netip.MustParseAddr("10.0.0.5"), netip.MustParseAddr("2001:db8::5")
	for _, want := range [][]netip.Addr{{v4}, {v6}, {v4, v6}, nil} {
		found, err := findBy(func(destination string) (netip.Addr, error) {
			to := netip.MustParseAddrPort(destination).Addr()
			if i := slices.IndexFunc(want, func(ip netip.Addr) bool { return ip.Is4() == to.Is4() }); i >= 0 {
				return want[i], nil
			}
			return netip.Addr{}, syscall.ENETUNREACH
		})
		require.Equal(t, want, found)
		if want == nil {
			require.ErrorIs(t, err, syscall.ENETUNREACH)
			require.ErrorContains(t, err, "--host-ip")
			continue
		}
		require.NoError(t, err)
	}
	ip, err := sourceAddress("127.0.0.1:9")
	require.NoError(t, err)
	require.Equal(t, "127.0.0.1", ip.String())
}
