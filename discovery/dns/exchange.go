package dns

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	miekg "github.com/miekg/dns"

	"github.com/envharness/envharness/discovery"
)

const (
	typeA     = miekg.TypeA
	typeAAAA  = miekg.TypeAAAA
	typeCNAME = miekg.TypeCNAME
	typeSOA   = miekg.TypeSOA
	typeSRV   = miekg.TypeSRV
)

const (
	payload       = 1232  // bytes of an answer by UDP that pass everywhere (DNS Flag Day 2020)
	largest       = 65535 // bytes of any message
	attemptByUDP  = time.Second
	attemptByTCP  = discovery.ConnectTimeout
	lengthOfFrame = 2
)

// question makes a query. Without extension it is for servers from before RFC 6891.
func question(name string, kind uint16, extended bool) *miekg.Msg {
	q := new(miekg.Msg).SetQuestion(name, kind)
	if extended {
		q.SetEdns0(payload, false)
	}
	return q
}

// exchange asks one server: by UDP, for as long as patience, and by TCP when the answer does not fit.
func exchange(ctx context.Context, server, name string, kind uint16, patience time.Duration) (*miekg.Msg, error) {
	answer, err := exchangeBy(ctx, server, question(name, kind, true), patience)
	if err == nil && (answer.Rcode == miekg.RcodeFormatError || answer.Rcode == miekg.RcodeNotImplemented) {
		answer, err = exchangeBy(ctx, server, question(name, kind, false), patience)
	}
	return answer, err
}

func exchangeBy(ctx context.Context, server string, q *miekg.Msg, patience time.Duration) (*miekg.Msg, error) {
	answer, err := attempt(ctx, "udp", server, q, patience)
	if err != nil || !answer.Truncated {
		return answer, err
	}
	answer, err = attempt(ctx, "tcp", server, q, attemptByTCP)
	if err != nil {
		return nil, fmt.Errorf("its answer is too long for UDP, and by TCP: %w", err)
	}
	if answer.Truncated {
		return nil, errors.New("its answer is truncated by TCP, too")
	}
	return answer, nil
}

// attempt sends a query once, and waits for its answer.
func attempt(ctx context.Context, network, server string, q *miekg.Msg, limit time.Duration) (*miekg.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	query, err := q.Pack()
	if err != nil {
		return nil, err
	}
	conn, err := new(net.Dialer).DialContext(ctx, network, server)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Now()) })()
	if network == "tcp" {
		return overTCP(conn, q, query)
	}
	return overUDP(conn, q, query)
}

func overTCP(conn net.Conn, q *miekg.Msg, query []byte) (*miekg.Msg, error) {
	framed := append(binary.BigEndian.AppendUint16(nil, uint16(len(query))), query...)
	if _, err := conn.Write(framed); err != nil {
		return nil, err
	}
	length := make([]byte, lengthOfFrame)
	if _, err := io.ReadFull(conn, length); err != nil {
		return nil, err
	}
	message := make([]byte, binary.BigEndian.Uint16(length))
	if _, err := io.ReadFull(conn, message); err != nil {
		return nil, err
	}
	return read(message, q)
}

// overUDP waits for the answer. What does not belong to the query may be forged, and does not end the wait (RFC 5452).
func overUDP(conn net.Conn, q *miekg.Msg, query []byte) (*miekg.Msg, error) {
	if _, err := conn.Write(query); err != nil {
		return nil, err
	}
	buffer := make([]byte, largest)
	var ignored error
	for {
		n, err := conn.Read(buffer)
		if err != nil && ignored != nil {
			return nil, fmt.Errorf("%w; what came instead was ignored: %w", err, ignored)
		}
		if err != nil {
			return nil, err
		}
		answer, err := read(buffer[:n], q)
		if err == nil {
			return answer, nil
		}
		ignored = err
	}
}

// read takes a message for the answer to q, or says why it is none.
func read(message []byte, q *miekg.Msg) (*miekg.Msg, error) {
	answer := new(miekg.Msg)
	if err := answer.Unpack(message); err != nil && !answer.Truncated { // a cut one is asked for again
		return nil, fmt.Errorf("a malformed message of %d bytes: %w", len(message), err)
	}
	switch {
	case answer.Id != q.Id:
		return nil, errors.New("an answer with another ID")
	case !answer.Response:
		return nil, errors.New("a question and no answer")
	case answer.Opcode != q.Opcode, len(answer.Question) > 1:
		return nil, errors.New("an answer of another kind")
	case len(answer.Question) == 0 && answer.Rcode != miekg.RcodeSuccess: // who could not read the query cannot repeat it
		return answer, nil
	case len(answer.Question) == 0 || !sameQuestion(answer.Question[0], q.Question[0]):
		return nil, errors.New("an answer to another question")
	}
	return answer, nil
}

func sameQuestion(a, b miekg.Question) bool {
	return a.Qtype == b.Qtype && a.Qclass == b.Qclass && strings.EqualFold(a.Name, b.Name)
}
