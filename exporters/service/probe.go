package service

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
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

// unstoppable is how long a probe may take to end once its time is over.
const unstoppable = 2 * time.Second

// Look probes once, for timeout at most; the error then says so.
func Look(ctx context.Context, probe Probe, timeout time.Duration) error {
	return probe.punctual().within(ctx, timeout)
}

func (p Probe) within(ctx context.Context, timeout time.Duration) error {
	bounded, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	err := p(bounded)
	if err != nil && bounded.Err() != nil && ctx.Err() == nil {
		return fmt.Errorf("no answer after %s: %w", timeout, err)
	}
	return err
}

// punctual gives a probe that ends soon after its context, whatever hangs: a program on a file system that does not
// answer cannot be killed. While one hangs, the next ones fail and start nothing.
func (p Probe) punctual() Probe {
	var hanging <-chan error
	return func(ctx context.Context) error {
		if hanging != nil {
			select {
			case <-hanging:
				hanging = nil
			default:
				return errors.New("the check before has still not ended")
			}
		}
		done := make(chan error, 1)
		go func() { done <- p(ctx) }()
		select {
		case err := <-done:
			return err
		case <-ctx.Done():
		}
		select {
		case err := <-done:
			return err
		case <-time.After(unstoppable):
			hanging = done
			return errors.New("it cannot be stopped")
		}
	}
}

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
	return nil, discovery.Invalidf("check %q is none of http://HOST:PORT/PATH, https://…, tcp://HOST:PORT, exec:PATH", hideLogin(target))
}

// HTTP is healthy when a GET is answered with a status from 200 to 399; redirects are not followed, and no proxy is
// used. The certificate of an https server is verified.
func HTTP(target string) (Probe, error) {
	u, err := url.Parse(target)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, discovery.Invalidf("%q is no http://HOST:PORT/PATH", hideLogin(target))
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
		defer response.Body.Close()
		if response.StatusCode < 200 || response.StatusCode > 399 {
			return withWords(fmt.Errorf("GET %s: %s", u.Redacted(), response.Status), explanation(response))
		}
		return nil
	}, nil
}

// explanation is how a text in an answer begins; empty for a page.
func explanation(response *http.Response) string {
	kind, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type"))
	if kind != "text/plain" && kind != "application/json" && kind != "application/problem+json" {
		return ""
	}
	text, _ := io.ReadAll(io.LimitReader(response.Body, maxWords))
	return string(text)
}

// withWords adds to an error what the checked one said itself.
func withWords(err error, words string) error {
	if words = strings.TrimSpace(words); words == "" {
		return err
	}
	return fmt.Errorf("%w: %s", err, words)
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
	if _, port, err := net.SplitHostPort(address); err != nil || port == "" || strings.Contains(address, "@") {
		return nil, discovery.Invalidf("%q is no HOST:PORT", hideLogin(address))
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
// over. The last line that it prints is part of the error.
func Exec(path string, args ...string) (Probe, error) {
	if path == "" {
		return nil, discovery.Invalidf("a check by exec needs the PATH of a program")
	}
	return func(ctx context.Context) error {
		cmd := exec.CommandContext(ctx, path, args...)
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
		cmd.WaitDelay = 300 * time.Millisecond
		var output tail
		cmd.Stdout, cmd.Stderr = &output, &output
		err := cmd.Run()
		switch {
		case ctx.Err() != nil:
			err = discovery.Mark(ctx.Err(), errors.New("killed"))
		case err == nil, errors.Is(err, exec.ErrWaitDelay): // what it left in the background keeps its stdout
			return nil
		case errors.As(err, new(*exec.Error)):
			return err // it has the path
		}
		return withWords(fmt.Errorf("%s: %w", path, err), output.lastLine())
	}, nil
}

// maxWords is how much of what a check prints is looked at for its last words, in bytes.
const maxWords = 1 << 10

// tail keeps the end of what is written to it.
type tail struct{ kept []byte }

func (t *tail) Write(p []byte) (int, error) {
	t.kept = append(t.kept, p[max(0, len(p)-maxWords):]...)
	if over := len(t.kept) - maxWords; over > 0 {
		t.kept = append(t.kept[:0], t.kept[over:]...)
	}
	return len(p), nil
}

func (t *tail) lastLine() string {
	text := strings.TrimSpace(string(t.kept))
	return text[strings.LastIndex(text, "\n")+1:]
}

// hideLogin hides what stands before the last @ of a target, which may be a password though the rest is no URL: rather
// too much than one that has an @ in it.
func hideLogin(target string) string {
	at := strings.LastIndex(target, "@")
	if at < 0 {
		return target
	}
	hidden := "xxxxx" + target[at:]
	if scheme, _, found := strings.Cut(target[:at], "://"); found && !strings.Contains(scheme, ":") {
		return scheme + "://" + hidden
	}
	return hidden
}
