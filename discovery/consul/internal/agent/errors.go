package agent

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
	"github.com/envharness/envharness/discovery/driver"
)

// Hint says what people can do about an agent that gave no answer; "" for other errors.
func (a *Agent) Hint(err error) string {
	switch {
	case !errors.Is(err, discovery.ErrUnavailable):
		return ""
	case a.dials.Hint() != "":
		return a.dials.Hint()
	}
	return "see whether a Consul agent runs there and knows a leader: consul operator raft list-peers -http-addr=" + a.settings.httpAddress()
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

// Explain gives the error of a query a kind.
func (a *Agent) Explain(err error, took time.Duration) error {
	return driver.Explain(a, a.answered(err), took)
}

// answered takes what Consul says out of an error.
func (a *Agent) answered(err error) error {
	var requested *url.Error
	var status api.StatusError
	switch {
	case err == nil, driver.HasKind(err):
		return err
	case errors.Is(err, context.DeadlineExceeded):
		a.idle() // connections may be to an agent that is gone without a word
		return context.DeadlineExceeded
	case errors.Is(err, context.Canceled):
		return context.Canceled
	case errors.As(err, &requested):
		return requested.Err // its URL is noise
	case errors.As(err, &status):
		return Answered(status.Code, status.Body)
	}
	return Answered(0, strings.TrimPrefix(err.Error(), "Failed request: ")) // of a transaction
}

// KindOf: what has no kind yet is no answer.
func (a *Agent) KindOf(error) error { return discovery.ErrUnavailable }

// Report is that of driver.Client.
func (a *Agent) Report() string { return a.dials.Report() }

// maxAnswer bounds what is repeated of an answer that is none.
const maxAnswer = 300

// Answered is the error of what Consul said instead of an answer; code is 0 where the client does not tell.
func Answered(code int, body string) error {
	body, _, _ = strings.Cut(strings.TrimSpace(body), "\n") // a page of something else has many
	body = strings.TrimSpace(body[:min(len(body), maxAnswer)])
	err := errors.New("the agent says: " + body)
	if body == "" {
		err = fmt.Errorf("the agent answers with status %d", code)
	}
	switch {
	case IsDenial(code, body):
		return discovery.Mark(discovery.ErrDenied, err)
	case code == http.StatusBadRequest, code == http.StatusRequestEntityTooLarge:
		return discovery.Mark(discovery.ErrInvalid, err)
	}
	return discovery.Mark(discovery.ErrUnavailable, err)
}

// IsDenial reports whether Consul says, by a status or a text, that the token may not do it.
func IsDenial(code int, body string) bool {
	return code == http.StatusForbidden || code == http.StatusUnauthorized ||
		strings.Contains(body, "Permission denied") || strings.Contains(body, "ACL not found")
}

// IsStatus reports whether Consul answered with this code, or with this text.
func IsStatus(err error, code int, text string) bool {
	var status api.StatusError
	return errors.As(err, &status) && (status.Code == code || text != "" && strings.Contains(status.Body, text))
}
