package driver

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"syscall"
)

// ErrRefused is why a call ends that every address refuses to serve: more time would not help it.
var ErrRefused = errors.New("every address refuses")

// Dials remembers how it went with connecting to each address of a registry. Its methods may be called by many
// goroutines.
type Dials struct {
	scheme    string // of the URL
	addresses []string

	lock    sync.Mutex
	last    map[string]error
	silent  map[string]bool // of those that hung up without an answer: whether they speak TLS
	waiting map[*expectation]struct{}
}

// expectation is a call that waits for a connection.
type expectation struct {
	left   map[string]bool // addresses that have not refused since it began
	cancel context.CancelCauseFunc
}

// NewDials makes one for the addresses of a registry, each as its client dials it.
func NewDials(scheme string, addresses []string) *Dials {
	return &Dials{
		scheme:    scheme,
		addresses: addresses,
		last:      map[string]error{},
		silent:    map[string]bool{},
		waiting:   map[*expectation]struct{}{},
	}
}

// Note remembers how it went with an address, as the URL has it; nil when it was reached.
func (d *Dials) Note(address string, err error) {
	d.lock.Lock()
	defer d.lock.Unlock()
	d.last[address] = err
	for e := range d.waiting {
		if !refuses(err) {
			e.left[address] = true
			continue
		}
		if delete(e.left, address); len(e.left) == 0 {
			e.cancel(ErrRefused)
		}
	}
}

// Expect gives a context that ends, with ErrRefused as its cause, when every address has refused since the call.
// The caller has its client connect anew, and calls done.
func (d *Dials) Expect(ctx context.Context) (expecting context.Context, done context.CancelFunc) {
	expecting, cancel := context.WithCancelCause(ctx)
	e := &expectation{left: map[string]bool{}, cancel: cancel}
	for _, address := range d.addresses {
		e.left[address] = true
	}
	d.lock.Lock()
	defer d.lock.Unlock()
	d.waiting[e] = struct{}{}
	return expecting, func() {
		cancel(nil)
		d.lock.Lock()
		defer d.lock.Unlock()
		delete(d.waiting, e)
	}
}

// Refused is ErrRefused when that ended a context of Expect, and else err.
func Refused(ctx context.Context, err error) error {
	if err != nil && errors.Is(context.Cause(ctx), ErrRefused) {
		return ErrRefused
	}
	return err
}

// Watch is WatchPlain for a connection to an address; what it finds out is noted. Of a server that hangs up each time
// it asks once.
func (d *Dials) Watch(conn net.Conn, address string) net.Conn {
	return &plainConn{
		Conn:    conn,
		hangsUp: func() bool { return d.hangsUp(conn, address) },
		heard: func(tls bool) {
			if tls {
				d.Note(address, ErrSpeaksTLS)
				return
			}
			d.lock.Lock()
			defer d.lock.Unlock()
			delete(d.silent, address)
		},
	}
}

// hangsUp reports whether a server that hangs up speaks TLS, as far as that is known or can be found out.
func (d *Dials) hangsUp(conn net.Conn, address string) bool {
	d.lock.Lock()
	tls, known := d.silent[address]
	d.lock.Unlock()
	if known {
		return tls
	}
	tls = handshakes(conn.RemoteAddr())
	d.lock.Lock()
	defer d.lock.Unlock()
	d.silent[address] = tls
	return tls
}

// Report says how it went with every address.
func (d *Dials) Report() string {
	d.lock.Lock()
	defer d.lock.Unlock()
	var parts []string
	for _, address := range d.addresses {
		err, known := d.last[address]
		switch {
		case !known:
			parts = append(parts, address+" (no connection)")
		case err != nil:
			parts = append(parts, fmt.Sprintf("%s (%v)", address, err))
		default:
			parts = append(parts, address+" (connected, no answer)")
		}
	}
	return strings.Join(parts, ", ")
}

// Hint is for the error of a call that had no answer: the right scheme, where a server speaks TLS and the URL does
// not, or the other way round; else "".
func (d *Dials) Hint() string {
	d.lock.Lock()
	defer d.lock.Unlock()
	for _, address := range d.addresses {
		switch err := d.last[address]; {
		case errors.Is(err, ErrSpeaksTLS):
			return "the server speaks TLS: write the URL with " + d.scheme + "s://"
		case errors.Is(err, ErrWantsCertificate):
			return "give a certificate that the server trusts by ?cert=FILE&key=FILE"
		case speaksPlain(err):
			return "the server speaks without TLS: write the URL with " + strings.TrimSuffix(d.scheme, "s") + "://"
		case mayBePlain(err):
			return "the server ends the TLS handshake without a word: if it speaks without TLS, write the URL with " +
				strings.TrimSuffix(d.scheme, "s") + "://"
		}
	}
	return ""
}

// refuses reports whether connecting failed in a way that lasts: nobody listens at any address of the name, there is
// no such name, or the server is another one than the URL says.
func refuses(err error) bool {
	if errors.Is(err, ErrWantsCertificate) {
		return true
	}
	if all, is := err.(interface{ Unwrap() []error }); is {
		for _, one := range all.Unwrap() {
			if !refuses(one) {
				return false
			}
		}
		return true
	}
	var lookup *net.DNSError
	return errors.Is(err, syscall.ECONNREFUSED) || errors.As(err, &lookup) && lookup.IsNotFound ||
		errors.Is(err, ErrSpeaksTLS) || speaksPlain(err) || errors.As(err, new(*tls.CertificateVerificationError))
}
