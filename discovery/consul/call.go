package consul

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/envharness/envharness/discovery"
	driver "github.com/envharness/envharness/discovery/olddriver"
)

// call asks the agent within the registry's time and puts its error into ours.
func call[T any](ctx context.Context, r *registry, op, name string, ask func(context.Context, *client) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, r.config.Timeout)
	defer cancel()
	start := time.Now()
	var answer T
	err := r.connection.open()
	if err == nil {
		answer, err = ask(ctx, r.connection.calls)
	}
	if err == nil {
		return answer, nil
	}
	if errors.Is(err, context.DeadlineExceeded) {
		r.connection.idle() // they may be to an agent that is gone without a word
	}
	return answer, r.fail(op, name, r.explain(err, time.Since(start)))
}

// reading are the options of a read.
func (r *registry) reading(ctx context.Context) *api.QueryOptions {
	return (&api.QueryOptions{RequireConsistent: !r.config.Stale, AllowStale: r.config.Stale}).WithContext(ctx)
}

// strong are the options of a read that a write depends on: never a stale one.
func strong(ctx context.Context) *api.QueryOptions {
	return (&api.QueryOptions{RequireConsistent: true}).WithContext(ctx)
}

// writing are the options of a write.
func writing(ctx context.Context) *api.WriteOptions { return (&api.WriteOptions{}).WithContext(ctx) }

// fail says what could not be done, unless err says so itself.
func (r *registry) fail(op, name string, err error) error {
	if told := new(discovery.Error); errors.As(err, &told) {
		return err
	}
	e := &discovery.Error{Op: op, Name: name, Engine: r.config.String(), Err: err}
	switch {
	case errors.Is(err, discovery.ErrDenied):
		e.Next = fmt.Sprintf(`give a token by ?token-file=, CONSUL_HTTP_TOKEN_FILE or CONSUL_HTTP_TOKEN; its policy: key_prefix "%s/" { policy = "write" } `+
			`session_prefix "" { policy = "write" } service_prefix "" { policy = "write" } node_prefix "" { policy = "read" }`, r.keys.prefix)
	case errors.Is(err, discovery.ErrUnavailable) && r.connection.dials.Hint() != "":
		e.Next = r.connection.dials.Hint()
	case errors.Is(err, discovery.ErrUnavailable):
		e.Next = "see whether a Consul agent runs there and knows a leader: consul operator raft list-peers -http-addr=" + r.settings.httpAddress()
	}
	return e
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

// explain gives an error its kind. Those that are ours already stay as they are.
func (r *registry) explain(err error, took time.Duration) error {
	var requested *url.Error
	if errors.As(err, &requested) {
		err = requested.Err // its URL is noise
	}
	var status api.StatusError
	took = took.Round(time.Millisecond)
	switch {
	case isOurs(err):
		return err
	case errors.Is(err, context.DeadlineExceeded):
		return discovery.Mark(discovery.ErrUnavailable, fmt.Errorf("tried for %s: %s: %w", took, r.connection.dials.Report(), context.DeadlineExceeded))
	case errors.Is(err, context.Canceled):
		return discovery.Mark(discovery.ErrUnavailable, err)
	case errors.As(err, &status):
		return answered(status.Code, status.Body)
	case requested == nil:
		return answered(0, strings.TrimPrefix(err.Error(), "Failed request: ")) // of a transaction
	}
	return discovery.Mark(discovery.ErrUnavailable, fmt.Errorf("after %s: %s: %w", took, r.connection.dials.Report(), err))
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
