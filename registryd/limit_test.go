package registryd

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestLimit: a call whose client is too slow ends, and one that has ended is left alone.
func TestLimit(t *testing.T) {
	ended := make(chan error, 1)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		reading, writing := newLimit(w, (*http.ResponseController).SetReadDeadline), newLimit(w, (*http.ResponseController).SetWriteDeadline)
		defer reading.end()
		defer writing.end()
		var err error
		switch r.URL.Path {
		case "/reading":
			reading.start(time.Millisecond)
			_, err = io.ReadAll(r.Body)
		case "/writing":
			writing.start(time.Millisecond)
			for err == nil {
				_, err = w.Write(make([]byte, 1<<20))
			}
		case "/late":
			writing.start(time.Nanosecond)
			return
		}
		ended <- err
	}))
	server.Config.Protocols, server.EnableHTTP2 = new(http.Protocols), true
	server.Config.Protocols.SetHTTP2(true)
	server.StartTLS()
	defer server.Close()

	body, write := io.Pipe()
	defer write.Close()
	post, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+"/reading", body)
	require.NoError(t, err)
	go func() {
		if response, err := server.Client().Do(post); err == nil {
			response.Body.Close()
		}
	}()
	require.ErrorIs(t, <-ended, os.ErrDeadlineExceeded)

	response, err := server.Client().Get(server.URL + "/writing")
	if err == nil {
		defer response.Body.Close()
	}
	require.Error(t, <-ended)

	for range 200 { // the handler may return while the limit is reached
		if response, err := server.Client().Get(server.URL + "/late"); err == nil {
			response.Body.Close()
		}
	}
}
