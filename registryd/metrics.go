package registryd

import (
	"net/http"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/envharness/envharness/registryd/node"
)

// metrics are this server's own, and those of the etcd in it. None has a name, let alone a value, as a label.
type metrics struct {
	http.Handler
	requests *prometheus.CounterVec
	refusals *prometheus.CounterVec
	watches  prometheus.Gauge
}

func newMetrics(n node.Node, connections func() int) *metrics {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "envdiscoverd_http_requests_total", Help: "Answered requests, but for etcd's own protocol.",
		}, []string{"topic", "method", "code"}),
		refusals: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "envdiscoverd_refused_total", Help: "Requests that were not let in, by what was wrong.",
		}, []string{"reason"}),
		watches: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "envdiscoverd_watches", Help: "Readers of /watch.",
		}),
	}
	open := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "envdiscoverd_connections", Help: "Open connections of clients.",
	}, func() float64 { return float64(connections()) })
	own := prometheus.NewRegistry()
	own.MustRegister(m.requests, m.refusals, m.watches, open)
	all := prometheus.Gatherers{own}
	if n.GRPC() != nil {
		all = append(all, prometheus.DefaultGatherer) // where etcd puts its own
	}
	m.Handler = promhttp.HandlerFor(all, promhttp.HandlerOpts{})
	return m
}

// answered counts an answer. Whatever word a client sends as its method is not a label.
func (m *metrics) answered(topic, method string, status int) {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodDelete:
	default:
		method = "other"
	}
	m.requests.WithLabelValues(topic, method, strconv.Itoa(status)).Inc()
}

func (m *metrics) refused(reason string) { m.refusals.WithLabelValues(reason).Inc() }
