package listen

import (
	"bytes"
	"fmt"
	"net/http"
)

// ErrorHeader is where a reply says why it is no success. Its body is empty then: a script's curl without -f
// prints the body, and that would become the value of a variable.
const ErrorHeader = "Envdiscover-Error"

// What net/http itself answers, with words as the body: to a request that it cannot parse, which no handler sees, and
// to HTTP without TLS where TLS is spoken.
const (
	malformedHead = "\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n"
	plainAnswer   = "HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n"
)

// Write moves the words of such an answer into ErrorHeader. It does so up to the first request of a connection that
// reaches a handler, for what is written then is what a client asked for. What is encrypted already is not seen here.
func (c *conn) Write(p []byte) (int, error) {
	if c.heard.Load() {
		return c.Conn.Write(p)
	}
	status, words, _ := bytes.Cut(p, []byte(malformedHead))
	switch {
	case string(p) == plainAnswer:
		status, words = []byte("HTTP/1.0 400 Bad Request"), []byte("this address speaks TLS: write https://")
	case len(status) == len(p) || bytes.ContainsAny(status, "\r\n"):
		return c.Conn.Write(p)
	}
	_, err := fmt.Fprintf(c.Conn, "%s\r\n%s: %s\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", status, ErrorHeader, words)
	if err != nil {
		return 0, err
	}
	return len(p), nil
}

// hearing notes that a request of a connection reached the handler.
func hearing(handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if own, ok := r.Context().Value(connKey{}).(*conn); ok {
			own.heard.Store(true)
		}
		handler.ServeHTTP(w, r)
	})
}
