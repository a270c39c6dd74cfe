// Command embeddedetcd is the etcd that this module embeds, with short times, as a server for tests. It is a program of its
// own, so that a test can kill and stop it, and so that only our own code runs under the race detector.
package main

import (
	"flag"
	"fmt"
	"net/url"
	"os"

	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/storage/wal"
	"golang.org/x/crypto/bcrypt"
)

// The short times of a test cluster, in milliseconds.
const (
	heartbeat = 50
	election  = 500
)

func main() {
	if err := serve(options()); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

// options reads the command line. Clients need a certificate where the server has one.
func options() *embed.Config {
	config := embed.NewConfig()
	client, peer := url.URL{Scheme: "http"}, url.URL{Scheme: "http"}
	tls := &config.ClientTLSInfo
	flag.StringVar(&config.Dir, "data", "", "the data directory")
	flag.StringVar(&client.Host, "listen", "", "HOST:PORT for clients")
	flag.StringVar(&peer.Host, "peer", "", "HOST:PORT for other members, of which there are none")
	flag.StringVar(&tls.CertFile, "cert", "", "the server's certificate")
	flag.StringVar(&tls.KeyFile, "key", "", "its key")
	flag.StringVar(&tls.TrustedCAFile, "ca", "", "the authority of the clients' certificates")
	flag.StringVar(&config.AuthToken, "auth-token", config.AuthToken, "the kind of tokens, as etcd's option")
	flag.Parse()
	if tls.TrustedCAFile != "" {
		client.Scheme, tls.ClientCertAuth = "https", true
	}
	config.ListenClientUrls, config.AdvertiseClientUrls = []url.URL{client}, []url.URL{client}
	config.ListenPeerUrls, config.AdvertisePeerUrls = []url.URL{peer}, []url.URL{peer}
	config.InitialCluster = config.InitialClusterFromName(config.Name)
	return config
}

// serve runs until a signal ends the process.
func serve(config *embed.Config) error {
	wal.SegmentSizeBytes = 1 << 20 // not 64 MB for each test
	config.TickMs, config.ElectionMs = heartbeat, election
	config.LogLevel = "error"
	config.UnsafeNoFsync = true              // a test's data need not outlive the machine
	config.BcryptCost = uint(bcrypt.MinCost) // log-ins are quick on a busy machine, too
	server, err := embed.StartEtcd(config)
	if err != nil {
		return err
	}
	return <-server.Err()
}
