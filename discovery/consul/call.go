package consul

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/hashicorp/consul/api"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/discovery/driver"
)

// call asks the agent within the registry's time and gives its error a kind.
func call[T any](ctx context.Context, b *backend, ask func(context.Context, *client) (T, error)) (T, error) {
	return driver.Call(ctx, b.config.Timeout, b, func(ctx context.Context) (answer T, err error) {
		if err = b.connection.open(); err == nil {
			answer, err = ask(ctx, b.connection.calls)
		}
		return answer, b.answered(err)
	})
}

// do is call for what has no answer.
func do(ctx context.Context, b *backend, ask func(context.Context, *client) error) error {
	_, err := call(ctx, b, func(ctx context.Context, client *client) (any, error) { return nil, ask(ctx, client) })
	return err
}

// reading are the options of a read.
func (b *backend) reading(ctx context.Context) *api.QueryOptions {
	return (&api.QueryOptions{RequireConsistent: !b.config.Stale, AllowStale: b.config.Stale}).WithContext(ctx)
}

// strong are the options of a read that a write depends on: never a stale one.
func strong(ctx context.Context) *api.QueryOptions {
	return (&api.QueryOptions{RequireConsistent: true}).WithContext(ctx)
}

// writing are the options of a write.
func writing(ctx context.Context) *api.WriteOptions { return (&api.WriteOptions{}).WithContext(ctx) }

func (b *backend) Hint(err error) string {
	switch {
	case errors.Is(err, discovery.ErrDenied):
		return fmt.Sprintf(`give a token by ?token-file=, CONSUL_HTTP_TOKEN_FILE or CONSUL_HTTP_TOKEN; its policy: key_prefix "%s/" { policy = "write" } `+
			`session_prefix "" { policy = "write" } service_prefix "" { policy = "write" } node_prefix "" { policy = "read" }`, b.keys.prefix)
	case errors.Is(err, discovery.ErrUnavailable) && b.connection.dials.Hint() != "":
		return b.connection.dials.Hint()
	case errors.Is(err, discovery.ErrUnavailable):
		return "see whether a Consul agent runs there and knows a leader: consul operator raft list-peers -http-addr=" + b.settings.httpAddress()
	}
	return ""
}

// httpAddress is the agent's address as Consul's own programs take it.
func (s *settings) httpAddress() string {
	switch {
	case s.network == "unix":
		return "unix://" + s.address
	case s.Secure:
		return "https://" + s.address
	}
	return s.address
}

// answered takes what Consul says out of an error.
func (b *backend) answered(err error) error {
	var requested *url.Error
	var status api.StatusError
	switch {
	case err == nil, isOurs(err):
		return err
	case errors.Is(err, context.DeadlineExceeded):
		b.connection.idle() // connections may be to an agent that is gone without a word
		return context.DeadlineExceeded
	case errors.Is(err, context.Canceled):
		return context.Canceled
	case errors.As(err, &requested):
		return requested.Err // its URL is noise
	case errors.As(err, &status):
		return answered(status.Code, status.Body)
	}
	return answered(0, strings.TrimPrefix(err.Error(), "Failed request: ")) // of a transaction
}

// isOurs reports whether an error has its kind.
func isOurs(err error) bool {
	for _, kind := range []error{
		discovery.ErrNotFound, discovery.ErrConflict, discovery.ErrDenied, discovery.ErrUnavailable,
		discovery.ErrInvalid, discovery.ErrUnsupported, driver.ErrLost,
	} {
		if errors.Is(err, kind) {
			return true
		}
	}
	return false
}

// KindOf: what has no kind yet is no answer.
func (b *backend) KindOf(error) error { return discovery.ErrUnavailable }

func (b *backend) Report() string { return b.connection.dials.Report() }

// maxAnswer bounds what is repeated of an answer that is none.
const maxAnswer = 300

// answered is the error of what Consul said instead of an answer; code is 0 where the client does not tell.
func answered(code int, body string) error {
	body, _, _ = strings.Cut(strings.TrimSpace(body), "\n") // a page of something else has many
	body = strings.TrimSpace(body[:min(len(body), maxAnswer)])
	err := errors.New("the agent says: " + body)
	if body == "" {
		err = fmt.Errorf("the agent answers with status %d", code)
	}
	switch {
	case isDenial(code, body):
		return discovery.Mark(discovery.ErrDenied, err)
	case code == http.StatusBadRequest, code == http.StatusRequestEntityTooLarge:
		return discovery.Mark(discovery.ErrInvalid, err)
	}
	return discovery.Mark(discovery.ErrUnavailable, err)
}

func isDenial(code int, body string) bool {
	return code == http.StatusForbidden || code == http.StatusUnauthorized ||
		strings.Contains(body, "Permission denied") || strings.Contains(body, "ACL not found")
}

// isStatus reports whether Consul answered with this code, or with this text.
func isStatus(err error, code int, text string) bool {
	var status api.StatusError
	return errors.As(err, &status) && (status.Code == code || text != "" && strings.Contains(status.Body, text))
}
