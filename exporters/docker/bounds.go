package docker

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/envharness/envharness/discovery"
)

// maxAnswer is the most bytes that an engine may send as one answer, or from one event to the next. The list of
// 10,000 containers has about so many.
const maxAnswer = 32 << 20

// dialTimeout bounds how long an engine may take to accept a connection.
const dialTimeout = 10 * time.Second

var errTooMuch = errors.New("the engine sends more than 32 MiB at once")

// budget is what an engine may send until it is renewed. Answers are read whole before they are understood, so
// without one an engine could take all memory.
type budget struct{ left atomic.Int64 }

func (b *budget) renew() { b.left.Store(maxAnswer) }

// ask is called with each request.
func (b *budget) ask(request *http.Request) error {
	request.Header.Set("Accept-Encoding", "identity") // what is compressed could be any size
	b.renew()
	return nil
}

// dial gives the dialer for an engine's URL whose connections draw on the budget.
func (b *budget) dial(engine *url.URL) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		ctx, cancel := context.WithTimeout(ctx, dialTimeout)
		defer cancel()
		if engine.Scheme == "unix" {
			network, address = engine.Scheme, engine.Host
		}
		conn, err := discovery.Dial(ctx, network, address) // every address of a name
		if err != nil {
			return nil, err
		}
		return boundedConn{conn, b}, nil
	}
}

type boundedConn struct {
	net.Conn
	budget *budget
}

func (c boundedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if c.budget.left.Add(-int64(n)) < 0 {
		return 0, errTooMuch
	}
	return n, err
}
