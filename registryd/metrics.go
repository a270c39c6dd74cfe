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
	gatherers prometheus.Gatherers
	requests  *prometheus.CounterVec
	refusals  *prometheus.CounterVec
	streams   prometheus.Gauge
	waiters   prometheus.Gauge
}

func newMetrics(n node.Node, connections func() int) *metrics {
	watchers := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "envdiscoverd_watchers", Help: "Clients that wait: for changes at /watch, or by ?wait= for a value.",
	}, []string{"kind"})
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "envdiscoverd_http_requests_total", Help: "Answered requests, but for etcd's own protocol.",
		}, []string{"topic", "method", "code"}),
		refusals: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "envdiscoverd_refused_total", Help: "Requests that were not let in, by what was wrong.",
		}, []string{"reason"}),
		streams: watchers.WithLabelValues("watch"),
		waiters: watchers.WithLabelValues("wait"),
	}
	open := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "envdiscoverd_connections", Help: "Open connections of clients.",
	}, func() float64 { return float64(connections()) })
	own := prometheus.NewRegistry()
	own.MustRegister(m.requests, m.refusals, watchers, open)
	m.gatherers = prometheus.Gatherers{own}
	if n.GRPC() != nil {
		m.gatherers = append(m.gatherers, prometheus.DefaultGatherer) // where etcd puts its own
	}
	return m
}

// serveMetrics answers /metrics. What is registered is counted with the rights of who asks, and left out if that
// may not be read: the rest is there in any case.
func (h *handler) serveMetrics(w http.ResponseWriter, r *http.Request) error {
	gatherers := h.metrics.gatherers
	if census, err := h.counts.take(r.Context()); err == nil {
		counted := prometheus.NewRegistry()
		counted.MustRegister(census)
		gatherers = append(gatherers[:len(gatherers):len(gatherers)], counted)
	}
	promhttp.HandlerFor(gatherers, promhttp.HandlerOpts{}).ServeHTTP(w, r)
	return nil
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
