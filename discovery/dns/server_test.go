package dns

import (
	"context"
	"log/slog"
	"net"
	"sync/atomic"
	"testing"
	"time"

	miekg "github.com/miekg/dns"
	"github.com/stretchr/testify/require"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/internal/safebuffer"
	"github.com/envharness/envharness/internal/testservers"
)

// fakeServer answers by UDP and TCP as a test has it.
type fakeServer struct {
	address string
	asked   atomic.Int64
	byTCP   atomic.Int64
}

// serve starts a server whose answers are made by reply, from the empty answer to a query; nil is none.
func serve(t *testing.T, reply func(q miekg.Question, answer *miekg.Msg) *miekg.Msg) *fakeServer {
	t.Helper()
	s := &fakeServer{address: testservers.FreeAddress(t)}
	packets, err := net.ListenPacket("udp", s.address)
	require.NoError(t, err)
	listener, err := net.Listen("tcp", s.address)
	require.NoError(t, err)
	handler := miekg.HandlerFunc(func(w miekg.ResponseWriter, query *miekg.Msg) {
		s.asked.Add(1)
		answer := reply(query.Question[0], new(miekg.Msg).SetReply(query))
		if _, tcp := w.RemoteAddr().(*net.TCPAddr); tcp {
			s.byTCP.Add(1)
		} else if answer != nil {
			answer.Truncate(payload)
		}
		if answer != nil {
			_ = w.WriteMsg(answer)
		}
	})
	for _, one := range []*miekg.Server{{PacketConn: packets, Handler: handler}, {Listener: listener, Handler: handler}} {
		started := make(chan struct{})
		one.NotifyStartedFunc = func() { close(started) }
		ended := make(chan error, 1)
		go func() { ended <- one.ActivateAndServe() }()
		<-started
		t.Cleanup(func() {
			require.NoError(t, one.Shutdown())
			require.NoError(t, <-ended)
		})
	}
	return s
}

// zone answers with records in their text form.
func zone(t *testing.T, records ...string) func(q miekg.Question, answer *miekg.Msg) *miekg.Msg {
	t.Helper()
	var all []miekg.RR
	for _, text := range records {
		record, err := miekg.NewRR(text)
		require.NoError(t, err, text)
		all = append(all, record)
	}
	return func(q miekg.Question, answer *miekg.Msg) *miekg.Msg {
		exists := false
		for _, record := range all {
			if record.Header().Name != q.Name {
				continue
			}
			exists = true
			if kind := record.Header().Rrtype; kind == q.Qtype || kind == typeCNAME {
				answer.Answer = append(answer.Answer, record)
			}
		}
		if !exists {
			answer.Rcode = miekg.RcodeNameError
		}
		return answer
	}
}

// read opens a URL and reads a service. The log is what was warned of.
func readService(t *testing.T, url, service string) (discovery.Snapshot, string, error) {
	t.Helper()
	registry, log := openLogged(t, url)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	snapshot, err := registry.Instances(ctx, service, discovery.Query{})
	return snapshot, log.String(), err
}

func openLogged(t *testing.T, url string) (discovery.Registry, *safebuffer.Buffer) {
	t.Helper()
	log := &safebuffer.Buffer{}
	registry, err := discovery.NewEngines(Engine).Open(t.Context(), url, discovery.WithLog(slog.New(slog.NewTextHandler(log, nil))))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, registry.Close()) })
	return registry, log
}

// hosts are the instances of a snapshot: by ID, host and ports.
func hosts(s discovery.Snapshot) map[string]string {
	all := map[string]string{}
	for _, in := range s.Instances {
		all[in.ID] = in.Host
	}
	return all
}
