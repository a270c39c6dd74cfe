package registryd

import (
	"log/slog"
	"net/http"
	"time"

	"github.com/envharness/envharness/registryd/listen"
)

// The times that a client has.
const (
	headerTime = 5 * time.Second  // for a request's head, and for shaking hands
	idleTime   = 2 * time.Minute  // between requests
	stuckTime  = 20 * time.Second // for taking what it asked for
)

// newHTTPServer bounds what a client can hold up. Watches have no time limit, so there is none for answers as
// a whole: handlers set one for each write.
func newHTTPServer(handler http.Handler, log *slog.Logger) *http.Server {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true)
	return &http.Server{
		Handler:           handler,
		Protocols:         protocols,
		ReadHeaderTimeout: headerTime,
		IdleTimeout:       idleTime,
		MaxHeaderBytes:    64 << 10,
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: 100, // the least that RFC 9113 recommends
			SendPingTimeout:      30 * time.Second,
			PingTimeout:          15 * time.Second,
			WriteByteTimeout:     stuckTime,
		},
		ConnContext: listen.ConnContext,
		ErrorLog:    slog.NewLogLogger(log.Handler(), slog.LevelDebug), // what clients do wrong is no news
	}
}
