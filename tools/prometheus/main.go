// Command targets prints what Prometheus' own HTTP service discovery finds at a URL, as JSON, once.
//
//	targets URL
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/config"
	"github.com/prometheus/common/model"
	"github.com/prometheus/common/promslog"
	"github.com/prometheus/prometheus/discovery"
	"github.com/prometheus/prometheus/discovery/http"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "targets:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 1 {
		return errors.New("usage: targets URL")
	}
	registry := prometheus.NewRegistry()
	sd := http.SDConfig{URL: args[0], RefreshInterval: model.Duration(time.Minute), HTTPClientConfig: config.DefaultHTTPClientConfig}
	metrics := sd.NewDiscovererMetrics(registry, discovery.NewRefreshMetrics(registry))
	if err := metrics.Register(); err != nil {
		return err
	}
	found, err := http.NewDiscovery(&sd, discovery.DiscovererOptions{
		Logger: promslog.NewNopLogger(), Metrics: metrics, SetName: "envharness",
	})
	if err != nil {
		return err
	}
	groups, err := found.Refresh(context.Background())
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(groups)
}
