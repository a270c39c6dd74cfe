// Command app stands for a database and for the application that uses it, in images that hold nothing else.
package main

import (
	"fmt"
	"log"
	"net"
	"os"
)

func main() {
	log.SetFlags(0)
	if len(os.Args) == 2 && os.Args[1] == "serve" {
		log.Fatal(serve("127.0.0.1:" + os.Getenv("PGPORT")))
	}
	fmt.Println("the database is", os.Getenv("DATABASE_URL"))
}

// serve accepts connections, which is all that the check of /export/db asks.
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
		conn.Close()
	}
}
