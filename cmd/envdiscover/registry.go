package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/discovery/engines"
	"github.com/envharness/envharness/discovery/layout"
	"github.com/envharness/envharness/internal/address"
)

// loopbackPatience is how long this machine's own registry may take to accept a connection.
const loopbackPatience = 500 * time.Millisecond

// open opens the registry that the options and the environment name. The caller closes it.
func (c *call) open(ctx context.Context) (discovery.Registry, error) {
	url, err := c.registryURL(ctx)
	if err != nil {
		return nil, err
	}
	return engines.Open(ctx, url, discovery.WithLog(layout.Quiet(c.Log)), discovery.WithGetenv(c.getenv))
}

// openValues is open for a registry that keeps values.
func (c *call) openValues(ctx context.Context) (discovery.Registry, discovery.Values, error) {
	registry, err := c.open(ctx)
	if err != nil {
		return nil, nil, err
	}
	values, ok := registry.(discovery.Values)
	if !ok {
		registry.Close()
		return nil, nil, &discovery.Error{Op: "use values", Err: discovery.ErrUnsupported}
	}
	return registry, values, nil
}

// registryURL is --url, ENVDISCOVER_URL, or where envdiscoverd of this machine is: DOCKERD, else loopback if it
// answers there, else the gateway of a container's bridge.
func (c *call) registryURL(ctx context.Context) (string, error) {
	if url := c.url; url != "" {
		return url, nil
	}
	if dockerd := c.getenv("DOCKERD"); dockerd != "" {
		if strings.Contains(dockerd, "/") {
			err := discovery.Mark(discovery.ErrInvalid, fmt.Errorf("DOCKERD %q is no HOST or HOST:PORT", dockerd))
			return "", failed(err, 0, "write the host alone, as DOCKERD=10.0.0.1; a URL goes in ENVDISCOVER_URL, as etcd://10.0.0.1:2379")
		}
		return "etcd://" + withPort(dockerd), nil
	}
	loopback := net.JoinHostPort("127.0.0.1", strconv.Itoa(address.DockerdPort))
	conn, err := (&net.Dialer{Timeout: loopbackPatience}).DialContext(ctx, "tcp", loopback)
	if err == nil {
		conn.Close()
		return "etcd://" + loopback, nil
	}
	if _, gateway := address.Offers(); gateway != "" {
		return "etcd://" + gateway, nil
	}
	err = discovery.Mark(discovery.ErrUnavailable, fmt.Errorf("no registry: ENVDISCOVER_URL and DOCKERD are unset, and none answers at %s", loopback))
	return "", failed(err, 0, "name one, as ENVDISCOVER_URL=etcd://10.0.0.1:2379, or start envdiscoverd here; envdiscover engines lists the URLs")
}

func withPort(host string) string {
	if _, _, err := net.SplitHostPort(host); err == nil {
		return host
	}
	return net.JoinHostPort(strings.Trim(host, "[]"), strconv.Itoa(address.DockerdPort))
}

// patiently tries until the registry can be asked, for as long as wait; once if that is 0.
func patiently(ctx context.Context, wait time.Duration, try func(context.Context) error) error {
	if wait == 0 {
		return try(ctx)
	}
	waiting, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	var backoff discovery.Backoff
	for {
		err := try(ctx)
		if !errors.Is(err, discovery.ErrUnavailable) || backoff.Wait(waiting) != nil {
			return err
		}
	}
}
