package driver

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var errNobody = fmt.Errorf("dial: %w", syscall.ECONNREFUSED)

// A call ends when every address has refused since it began, and only then.
func TestExpect(t *testing.T) {
	unknown := &net.DNSError{Err: "no such host", IsNotFound: true}
	for name, c := range map[string]struct {
		notes   []error // of a and b in turn
		refused bool
	}{
		"both refuse":                      {[]error{errNobody, errNobody}, true},
		"one has not answered":             {[]error{errNobody}, false},
		"one is a black hole":              {[]error{errNobody, context.DeadlineExceeded}, false},
		"one was reached":                  {[]error{nil, errNobody}, false},
		"one was reached, and refuses now": {[]error{nil, errNobody, errNobody}, true},
		"one refused, and is reached now":  {[]error{errNobody, nil, nil, errNobody}, false},
		"no such name":                     {[]error{unknown, errNobody}, true},
		"other TLS":                        {[]error{ErrSpeaksTLS, tls.RecordHeaderError{}}, true},
		"no TLS there":                     {[]error{handshakeError{tls.RecordHeaderError{}}, errNobody}, true},
		"all addresses of a name":          {[]error{errNobody, errors.Join(errNobody, errNobody)}, true},
		"one address of a name not":        {[]error{errNobody, errors.Join(errNobody, context.DeadlineExceeded)}, false},
	} {
		t.Run(name, func(t *testing.T) {
			d := NewDials("etcd", []string{"a", "b"})
			d.Note("a", errNobody) // before the call
			d.Note("b", errNobody)
			ctx, done := d.Expect(t.Context())
			defer done()
			for i, err := range c.notes {
				d.Note([]string{"a", "b"}[i%2], err)
			}
			if c.refused {
				require.Equal(t, ErrRefused, Refused(ctx, ctx.Err()))
			} else {
				require.NoError(t, ctx.Err())
			}
		})
	}
}

// What is no error, or another's, stays.
func TestRefusedIsOfItsOwnCall(t *testing.T) {
	d := NewDials("etcd", []string{"a"})
	ctx, done := d.Expect(t.Context())
	done()
	d.Note("a", errNobody)
	require.NoError(t, Refused(ctx, nil))
	require.Equal(t, io.EOF, Refused(ctx, io.EOF))
}

// plainly is no TLS.
func plainly(string) (*tls.Config, error) { return nil, nil }

// connect asks a server for a page without TLS.
func connect(t *testing.T, d *Dials, address string) error {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			return d.Dial(ctx, network, address, plainly)
		},
	}}
	response, err := client.Get("http://" + address)
	if err == nil {
		response.Body.Close()
	}
	return err
}

// silent ends each connection at its first byte that is no TLS, without a word; with alert it tells it in TLS.
func silent(t *testing.T, config *tls.Config, alert bool) string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				if config != nil && tls.Server(conn, config).Handshake() != nil && alert {
					conn.Write([]byte{0x15, 0x03, 0x01, 0, 2, 2, 22})
				}
			}()
		}
	}()
	return listener.Addr().String()
}

func TestHintAtTLS(t *testing.T) {
	secure := httptest.NewTLSServer(http.NotFoundHandler())
	defer secure.Close()
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	refuses := secure.TLS.Clone()
	refuses.ClientAuth, refuses.MaxVersion = tls.RequireAnyClientCert, tls.VersionTLS12
	for name, c := range map[string]struct {
		address string
		is      bool
	}{
		"an HTTPS server":                  {secure.Listener.Addr().String(), true},
		"TLS that hangs up":                {silent(t, secure.TLS, false), true},
		"TLS that answers with an alert":   {silent(t, secure.TLS, true), true},
		"TLS that refuses us without cert": {silent(t, refuses, false), true},
		"no TLS":                           {plain.Listener.Addr().String(), false},
		"no TLS, hangs up":                 {silent(t, nil, false), false},
	} {
		t.Run(name, func(t *testing.T) {
			d := NewDials("consul", []string{c.address})
			err := connect(t, d, c.address)
			for end := time.Now().Add(time.Minute); c.is && !errors.Is(err, ErrSpeaksTLS) && time.Now().Before(end); {
				err = connect(t, d, c.address) // the question whether it does has a second, too little on a busy machine
			}
			if c.is {
				require.ErrorIs(t, err, ErrSpeaksTLS)
				require.Equal(t, "the server speaks TLS: write the URL with consuls://", d.Hint())
			} else {
				require.NotErrorIs(t, err, ErrSpeaksTLS)
				require.Empty(t, d.Hint())
			}
		})
	}
}

// dial tries again where a busy machine needs more for a connection than the time that each has.
func dial(ctx context.Context, d *Dials, address string, config func(host string) (*tls.Config, error)) (conn net.Conn, err error) {
	for range 20 {
		if conn, err = d.Dial(ctx, "tcp", address, config); !errors.Is(err, context.DeadlineExceeded) {
			break
		}
	}
	return conn, err
}

// A server that hangs up each time is asked once whether it speaks TLS.
func TestAsksForTLSOnce(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	var accepted atomic.Int64
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			accepted.Add(1)
			conn.Close()
		}
	}()
	d := NewDials("zk", []string{listener.Addr().String()})
	for range 5 {
		conn, err := d.Dial(t.Context(), "tcp", listener.Addr().String(), plainly)
		require.NoError(t, err)
		_, err = conn.Read(make([]byte, 1))
		require.Equal(t, io.EOF, err)
		conn.Close()
	}
	require.EqualValues(t, 6, accepted.Load())
}

// The other way round: the server's answer to a TLS handshake is none.
func TestHintAtNoTLS(t *testing.T) {
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	for address, hint := range map[string]string{
		plain.Listener.Addr().String(): "the server speaks without TLS: write the URL with etcd://",
		silent(t, nil, false):          "the server ends the TLS handshake without a word: if it speaks without TLS, write the URL with etcd://",
	} {
		d := NewDials("etcds", []string{address})
		_, err := dial(t.Context(), d, address, func(host string) (*tls.Config, error) {
			return &tls.Config{ServerName: host}, nil
		})
		require.Error(t, err)
		require.Equal(t, hint, d.Hint())
	}
}

// A server that wants a certificate ends a call at once, be it before or after the handshake, by a word or without.
func TestWantsCertificate(t *testing.T) {
	server := httptest.NewTLSServer(http.NotFoundHandler())
	defer server.Close()
	other := server.TLS.Certificates // no client's
	for name, c := range map[string]struct {
		version uint16
		auth    tls.ClientAuthType
		given   []tls.Certificate
		hangUp  bool
	}{
		"TLS 1.2":          {tls.VersionTLS12, tls.RequireAnyClientCert, nil, false},
		"TLS 1.3":          {tls.VersionTLS13, tls.RequireAnyClientCert, nil, false},
		"another, TLS 1.2": {tls.VersionTLS12, tls.RequireAndVerifyClientCert, other, false},
		"another, TLS 1.3": {tls.VersionTLS13, tls.RequireAndVerifyClientCert, other, false},
		"it hangs up":      {tls.VersionTLS13, tls.RequestClientCert, nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			config := server.TLS.Clone()
			config.MinVersion, config.MaxVersion, config.ClientAuth = c.version, c.version, c.auth
			config.ClientCAs = x509.NewCertPool()
			address := answering(t, config, c.hangUp)
			d := NewDials("etcds", []string{address})
			ctx, done := d.Expect(t.Context())
			defer done()
			conn, err := dial(ctx, d, address, func(string) (*tls.Config, error) {
				return &tls.Config{InsecureSkipVerify: true, Certificates: c.given}, nil
			})
			if err == nil {
				_, err = conn.Read(make([]byte, 1))
				conn.Close()
			}
			require.ErrorIs(t, err, ErrWantsCertificate)
			require.Contains(t, d.Hint(), "?cert=FILE&key=FILE")
			require.Equal(t, ErrRefused, Refused(ctx, ctx.Err()))
		})
	}
}

// A server that asks for a certificate and does without, or that breaks a connection later, is served on.
func TestWantsNoCertificate(t *testing.T) {
	server := httptest.NewTLSServer(http.NotFoundHandler())
	defer server.Close()
	config := server.TLS.Clone()
	config.ClientAuth = tls.RequestClientCert
	address := answering(t, config, false)
	d := NewDials("etcds", []string{address})
	conn, err := dial(t.Context(), d, address, func(string) (*tls.Config, error) {
		return &tls.Config{InsecureSkipVerify: true}, nil
	})
	require.NoError(t, err)
	defer conn.Close()
	_, err = conn.Read(make([]byte, 1))
	require.NoError(t, err)
	_, err = conn.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF)
	require.NotErrorIs(t, err, ErrWantsCertificate)
	require.Empty(t, d.Hint())
}

// answering shakes hands, says one byte and hangs up, or hangs up at once.
func answering(t *testing.T, config *tls.Config, hangUp bool) string {
	listener, err := tls.Listen("tcp", "127.0.0.1:0", config)
	require.NoError(t, err)
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				if conn.(*tls.Conn).Handshake() == nil && !hangUp {
					conn.Write([]byte{1})
				}
			}()
		}
	}()
	return listener.Addr().String()
}
