// Command app stands for a database and for the application that uses it, in images that hold nothing else.
//
//	app serve    the database: listens at PGHOST, all addresses unless set, and PGPORT
//	app          the application: asks the database at DATABASE_URL once
//	app stay     the same, and stays until it is stopped
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/url"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

func main() {
	log.SetFlags(0)
	if err := run(strings.Join(os.Args[1:], " ")); err != nil {
		log.Fatalln("app:", err)
	}
}

func run(words string) error {
	switch words {
	case "serve":
		return serve(net.JoinHostPort(os.Getenv("PGHOST"), os.Getenv("PGPORT")))
	case "":
		return use(os.Getenv("DATABASE_URL"))
	case "stay":
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
		defer stop()
		err := use(os.Getenv("DATABASE_URL"))
		if err == nil {
			<-ctx.Done()
		}
		return err
	}
	return fmt.Errorf("what is %q?", words)
}

// serve greets who connects, which is also all that the check of /export/db asks.
func serve(address string) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	for {
		conn, err := listener.Accept()
		if err != nil {
			return err
		}
		fmt.Fprintln(conn, "welcome at", conn.LocalAddr())
		conn.Close()
	}
}

// use says where the database is and what it answers.
func use(database string) error {
	fmt.Println("the database is", database)
	parsed, err := url.Parse(database)
	if err != nil {
		return errors.New("DATABASE_URL is no URL") // which may have a password
	}
	conn, err := net.DialTimeout("tcp", parsed.Host, 5*time.Second)
	if err != nil {
		return err
	}
	defer conn.Close()
	answer, err := io.ReadAll(conn)
	fmt.Print("it answers: ", string(answer))
	return err
}
