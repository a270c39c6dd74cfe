package service

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/discovery/driver"
)

// Probe checks once. It ends with ctx, and nil says healthy.
type Probe func(ctx context.Context) error

// ParseProbe reads http://…, https://…, tcp://HOST:PORT and exec:PATH. Errors match discovery.ErrInvalid.
func ParseProbe(target string) (Probe, error) {
	scheme, rest, _ := strings.Cut(target, ":")
	switch scheme {
	case "http", "https":
		return HTTP(target)
	case "tcp":
		return TCP(strings.TrimPrefix(rest, "//"))
	case "exec":
		return Exec(rest)
	}
	return nil, invalid("check %q is none of http://HOST:PORT/PATH, https://…, tcp://HOST:PORT, exec:PATH", target)
}

// HTTP is healthy when a GET is answered with a status from 200 to 399; redirects are not followed, and no proxy is
// used. The certificate of an https server is verified.
func HTTP(target string) (Probe, error) {
	u, err := url.Parse(target)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, invalid("%q is no http://HOST:PORT/PATH", redactURL(target))
	}
	dial := discovery.Dial
	if u.Scheme == "http" {
		dial = dialPlain
	}
	client := &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true, DialContext: dial},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return func(ctx context.Context) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
		if err != nil {
			return err
		}
		request.Header.Set("User-Agent", "envdiscover-check")
		response, err := client.Do(request)
		if err != nil {
			return err
		}
		response.Body.Close()
		if response.StatusCode < 200 || response.StatusCode > 399 {
			return fmt.Errorf("GET %s: %s", u.Redacted(), response.Status)
		}
		return nil
	}, nil
}

// dialPlain is for HTTP without TLS: that the server speaks TLS is ErrSpeaksTLS.
func dialPlain(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := discovery.Dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return driver.WatchPlain(conn), nil
}

// TCP is healthy when HOST:PORT accepts a connection.
func TCP(address string) (Probe, error) {
	if _, port, err := net.SplitHostPort(address); err != nil || port == "" {
		return nil, invalid("%q is no HOST:PORT", address)
	}
	return func(ctx context.Context) error {
		conn, err := discovery.Dial(ctx, "tcp", address)
		if err != nil {
			return err
		}
		return conn.Close()
	}, nil
}

// Exec is healthy when a program exits with 0. It runs in a process group of its own, which is killed when the time is
// over; what it prints is dropped.
func Exec(path string, args ...string) (Probe, error) {
	if path == "" {
		return nil, invalid("a check by exec needs the PATH of a program")
	}
	return func(ctx context.Context) error {
		cmd := exec.CommandContext(ctx, path, args...)
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
		cmd.WaitDelay = time.Second
		err := cmd.Run()
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		if err != nil && !errors.As(err, new(*exec.Error)) {
			err = fmt.Errorf("%s: %w", path, err)
		}
		return err
	}, nil
}

// redactURL hides a password in what may not be a URL at all.
func redactURL(text string) string {
	before, after, found := strings.Cut(text, "@")
	if !found {
		return text
	}
	scheme, _, _ := strings.Cut(before, "://")
	return scheme + "://xxxxx@" + after
}

func invalid(format string, args ...any) error {
	return discovery.Mark(discovery.ErrInvalid, fmt.Errorf(format, args...))
}
