package docker

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/envharness/envharness/discovery"
)

func TestConfig(t *testing.T) {
	for name, test := range map[string]struct {
		config Config
		want   string
	}{
		"no registry":      {Config{HostIP: "10.0.0.5"}, "--registry"},
		"unknown registry": {Config{HostIP: "10.0.0.5", RegistryURL: "ftp://h"}, `unknown engine "ftp"`},
		"host IP":          {Config{HostIP: "host.example"}, `--host-ip "host.example"`},
		"no host IP":       {Config{HostIP: "0.0.0.0"}, `--host-ip "0.0.0.0"`},
		"host ID":          {Config{HostIP: "10.0.0.5", HostID: "a/b"}, `--host-id "a/b"`},
		"realm":            {Config{HostIP: "10.0.0.5", Realm: ".."}, `--realm ".."`},
		"glob":             {Config{HostIP: "10.0.0.5", DockerAllow: []string{"web-["}}, `--docker-allow "web-["`},
		"Docker URL":       {Config{HostIP: "10.0.0.5", DockerURL: "here", RegistryURL: "memory://config"}, `Docker engine at "here"`},
		"address":          {Config{HostIP: "10.0.0.5", DockerAddress: "net"}, `--docker-address "net" is neither host nor container nor container:NETWORK`},
		"no network":       {Config{HostIP: "10.0.0.5", DockerAddress: "container:"}, `--docker-address "container:"`},
		"two prefixes":     {Config{HostIP: "10.0.0.5", RegistryURL: "memory://config/a", Prefix: "b"}, `--prefix "b"`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := New(test.config)
			require.ErrorContains(t, err, test.want)
		})
	}
}

func TestWithPrefix(t *testing.T) {
	for _, test := range [][3]string{
		{"etcd://a:1,b:2", "p/q", "etcd://a:1,b:2/p/q"},
		{"etcd://a:1/", "/p/", "etcd://a:1/p"},
		{"etcd2://a?layout=totem", "p", "etcd2://a/p?layout=totem"},
		{"etcd2://a/p?layout=totem", "p", "etcd2://a/p?layout=totem"},
		{"etcd://a/own", "", "etcd://a/own"},
		{"not a URL", "p", "not a URL"},
	} {
		got, err := withPrefix(test[0], test[1])
		require.NoError(t, err)
		require.Equal(t, test[2], got)
	}
}

// TestNoSecretInErrors: a registry's URL has a password.
func TestNoSecretInErrors(t *testing.T) {
	_, err := New(Config{HostIP: "10.0.0.5", RegistryURL: "memory://user:canary-77@host/a", Prefix: "b"})
	require.Error(t, err)
	require.NotContains(t, err.Error(), "canary-77")
	_, err = New(Config{HostIP: "10.0.0.5", RegistryURL: "memory://user:canary-77@host/a?what=1"})
	require.ErrorIs(t, err, discovery.ErrInvalid)
	require.NotContains(t, err.Error(), "canary-77")
}
