// Command web stands for a web server: it says who it is, takes a moment for it, and at TERM finishes what it has
// begun.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	log.SetFlags(0)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	server := &http.Server{Addr: os.Getenv("CONTAINER_HOST") + ":" + os.Getenv("PORT"), Handler: http.HandlerFunc(answer)}
	finished := make(chan error, 1)
	go func() {
		<-ctx.Done()
		finished <- server.Shutdown(context.Background())
	}()
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		log.Fatal(err)
	}
	if err := <-finished; err != nil {
		log.Fatal(err)
	}
}

func answer(w http.ResponseWriter, _ *http.Request) {
	time.Sleep(20 * time.Millisecond)
	fmt.Fprintln(w, os.Getenv("HOSTNAME"))
}
