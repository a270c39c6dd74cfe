package dns

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	miekg "github.com/miekg/dns"

	"github.com/envharness/envharness/discovery"
)

// tries are how it went with each server.
type tries struct {
	servers []string
	left    []string // those that may answer yet
	failed  map[string]error
	refused int // servers that do not answer such a question
	broken  int // servers that say that they failed
}

func newTries(servers []string) *tries {
	return &tries{servers: servers, left: slices.Clone(servers), failed: map[string]error{}}
}

// final is a failure that another try does not change.
type final struct{ error }

func (t *tries) note(server string, answer *miekg.Msg, err error) {
	var timeout net.Error
	switch {
	case err == nil && answer.Rcode == miekg.RcodeRefused:
		t.refused++
		err = final{errors.New("REFUSED")}
	case err == nil:
		t.broken++
		err = final{errors.New(rcode(answer.Rcode))}
	case errors.Is(err, syscall.ECONNREFUSED):
		err = final{errors.New("nobody listens there")}
	case errors.Is(err, os.ErrDeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		text := "no answer"
		if _, ignored, found := strings.Cut(err.Error(), "; "); found {
			text += "; " + ignored
		}
		err = errors.New(text)
	}
	t.failed[server] = err
}

func rcode(code int) string {
	if text, known := miekg.RcodeToString[code]; known {
		return text
	}
	return fmt.Sprintf("answers with code %d", code)
}

// drop leaves those that may answer yet.
func (t *tries) drop() {
	t.left = slices.DeleteFunc(t.left, func(server string) bool { return errors.As(t.failed[server], new(final)) })
}

// failure says how it went with every server.
func (t *tries) failure(ctx context.Context, name string, kind uint16, took time.Duration) error {
	var parts []string
	for _, server := range t.servers {
		err := t.failed[server]
		if err == nil {
			err = errors.New("not asked")
		}
		parts = append(parts, fmt.Sprintf("%s (%v)", server, err))
	}
	err := fmt.Errorf("%s %s, tried for %s: %s", miekg.TypeToString[kind], name, took.Round(time.Millisecond), strings.Join(parts, ", "))
	switch {
	case t.refused == len(t.servers):
		return discovery.Mark(discovery.ErrDenied, err)
	case t.broken > 0:
		return discovery.Mark(discovery.ErrUnavailable, discovery.Mark(errServerFailure, err))
	case ctx.Err() != nil:
		err = fmt.Errorf("%w: %w", err, ctx.Err())
	}
	return discovery.Mark(discovery.ErrUnavailable, err)
}
