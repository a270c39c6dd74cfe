package dns

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	miekg "github.com/miekg/dns"
	"github.com/stretchr/testify/require"

	"github.com/envharness/envharness/discovery"
)

// An answer that is none to the question is not believed, and the error tells what came.
func TestAnswersToNothing(t *testing.T) {
	t.Parallel()
	record, err := miekg.NewRR("web.test. 5 IN A 10.6.6.6")
	require.NoError(t, err)
	for want, lie := range map[string]func(answer *miekg.Msg){
		"another ID":       func(answer *miekg.Msg) { answer.Id++ },
		"another question": func(answer *miekg.Msg) { answer.Question[0].Name = "bank.test." },
		"no answer":        func(answer *miekg.Msg) { answer.Response = false },
		"another kind":     func(answer *miekg.Msg) { answer.Opcode = miekg.OpcodeNotify },
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			server := serve(t, func(_ miekg.Question, answer *miekg.Msg) *miekg.Msg {
				answer.Answer = []miekg.RR{record}
				lie(answer)
				return answer
			})
			err := readInVain(t, "dns://"+server.address+"/test?port=80", "web", want)
			require.ErrorIs(t, err, discovery.ErrUnavailable)
			require.ErrorContains(t, err, server.address)
		})
	}
}

// readInVain reads what cannot be read until the error says why, with more time each time: a busy machine may have no
// answer in the first.
func readInVain(t *testing.T, url, service, why string) (err error) {
	t.Helper()
	for _, timeout := range []string{"300ms", "5s", "1m"} {
		_, _, err = readService(t, url+"&timeout="+timeout, service)
		if err == nil || strings.Contains(err.Error(), why) {
			break
		}
	}
	require.ErrorContains(t, err, why)
	return err
}

// A forged answer before the true one changes nothing.
func TestForgedBeforeTrue(t *testing.T) {
	t.Parallel()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	defer conn.Close()
	go func() {
		buffer := make([]byte, largest)
		for {
			n, from, err := conn.ReadFrom(buffer)
			if err != nil {
				return
			}
			q := new(miekg.Msg)
			if q.Unpack(buffer[:n]) != nil {
				continue
			}
			answer := new(miekg.Msg).SetReply(q)
			if q.Question[0].Qtype == typeA {
				answer.Answer = []miekg.RR{&miekg.A{
					Hdr: miekg.RR_Header{Name: "web.test.", Rrtype: typeA, Class: miekg.ClassINET}, A: net.IPv4(10, 0, 0, 5),
				}}
			}
			right, _ := answer.Pack()
			forged := append([]byte{}, right...)
			forged[0] ^= 1
			for _, packet := range [][]byte{{}, []byte("nonsense"), forged, right} {
				_, _ = conn.WriteTo(packet, from)
			}
		}
	}()
	snapshot, _, err := readService(t, "dns://"+conn.LocalAddr().String()+"/test?port=80", "web")
	require.NoError(t, err)
	require.Equal(t, map[string]string{"10.0.0.5": "10.0.0.5"}, hosts(snapshot))
}

// What is wrong in one record is told, and hides no other.
func TestWrongRecords(t *testing.T) {
	t.Parallel()
	server := serve(t, zone(t,
		"web.test. 2147483648 IN SRV 0 0 80 good.test.",
		"web.test. 5 IN SRV 0 0 80 nowhere.test.",
		"web.test. 5 IN SRV 0 0 80 loop.test.",
		"web.test. 5 IN SRV 0 0 80 "+strings.Repeat("x", 63)+".test.",
		"web.test. 5 IN SRV 0 0 80 .",
		"good.test. 4294967295 IN A 10.0.0.5",
		"loop.test. 5 IN CNAME loop2.test.",
		"loop2.test. 5 IN CNAME loop.test.",
	))
	snapshot, log, err := readService(t, "dns://"+server.address+"/test", "web")
	require.NoError(t, err)
	require.Equal(t, map[string]string{"good.test": "10.0.0.5"}, hosts(snapshot))
	for _, skipped := range []string{"nowhere.test", "loop.test", "xxx.test"} {
		require.Contains(t, log, skipped)
	}
	require.NotContains(t, log, "good")
}

// Records of other names do not count, beside the answer as well as in it.
func TestRecordsOfOthers(t *testing.T) {
	t.Parallel()
	server := serve(t, func(q miekg.Question, answer *miekg.Msg) *miekg.Msg {
		for _, text := range []string{"bank.test. 5 IN A 10.6.6.6", "bank.test. 5 IN SRV 0 0 80 bank.test.", "web.test. 5 CH A 10.6.6.7"} {
			if record, err := miekg.NewRR(text); err == nil {
				answer.Answer, answer.Extra = append(answer.Answer, record), append(answer.Extra, record)
			}
		}
		return answer
	})
	snapshot, _, err := readService(t, "dns://"+server.address+"/test", "web")
	require.NoError(t, err)
	require.Empty(t, snapshot.Instances)
}

// Aliases that go in a circle, or on and on, are an error that shows them.
func TestEndlessAliases(t *testing.T) {
	t.Parallel()
	circle := serve(t, zone(t, "web.test. 5 IN CNAME b.test.", "b.test. 5 IN CNAME c.test.", "c.test. 5 IN CNAME web.test."))
	_, _, err := readService(t, "dns://"+circle.address+"/test", "web")
	require.ErrorIs(t, err, discovery.ErrUnavailable)
	require.ErrorContains(t, err, "web.test. → b.test. → c.test. → web.test.")
	require.NotContains(t, err.Error(), "web.test. → b.test. → c.test. → web.test. →")

	n := 0
	endless := serve(t, func(q miekg.Question, answer *miekg.Msg) *miekg.Msg {
		n++ // one question at a time: the next is its answer's
		answer.Answer = []miekg.RR{&miekg.CNAME{
			Hdr:    miekg.RR_Header{Name: q.Name, Rrtype: typeCNAME, Class: miekg.ClassINET},
			Target: fmt.Sprintf("n%d.%s", n, "test."),
		}}
		return answer
	})
	_, _, err = readService(t, "dns://"+endless.address+"/test", "_a._tcp.web")
	require.ErrorIs(t, err, discovery.ErrUnavailable)
	require.ErrorContains(t, err, "do not end")
	require.LessOrEqual(t, endless.asked.Load(), int64(longestChain+1))
}

// A server that says that it fails is an outage; one that refuses is a denial; both are told by name. A target whose
// own servers fail is known by its name.
func TestServersThatSayNo(t *testing.T) {
	t.Parallel()
	code := func(code int) *fakeServer {
		return serve(t, func(_ miekg.Question, answer *miekg.Msg) *miekg.Msg {
			answer.Rcode = code
			return answer
		})
	}
	good := serve(t, zone(t, "web.test. 5 IN SRV 0 0 80 a.test.", "a.test. 5 IN A 10.0.0.5"))
	failing, refusing, old := code(miekg.RcodeServerFailure), code(miekg.RcodeRefused), code(miekg.RcodeFormatError)
	for _, c := range []struct {
		server *fakeServer
		kind   error
		text   string
	}{
		{failing, discovery.ErrUnavailable, "SERVFAIL"}, {refusing, discovery.ErrDenied, "REFUSED"}, {old, discovery.ErrUnavailable, "FORMERR"},
	} {
		_, _, err := readService(t, "dns://"+c.server.address+"/test", "web")
		require.ErrorIs(t, err, c.kind)
		require.ErrorContains(t, err, c.server.address+" ("+c.text+")")
		require.NotEmpty(t, discovery.Hint(err))
		snapshot, _, err := readService(t, "dns://"+c.server.address+","+good.address+"/test", "web")
		require.NoError(t, err)
		require.Len(t, snapshot.Instances, 1)
	}
	reply := zone(t, "web.test. 5 IN SRV 0 0 80 a.test.", "web.test. 5 IN SRV 0 0 80 far.example.", "a.test. 5 IN A 10.0.0.5")
	partly := serve(t, func(q miekg.Question, answer *miekg.Msg) *miekg.Msg {
		if answer = reply(q, answer); q.Name == "far.example." {
			answer.Rcode = miekg.RcodeServerFailure
		}
		return answer
	})
	snapshot, log, err := readService(t, "dns://"+partly.address+"/test", "web")
	require.NoError(t, err)
	require.Equal(t, map[string]string{"a.test": "10.0.0.5", "far.example": "far.example"}, hosts(snapshot))
	require.Contains(t, log, "far.example")
}

// A server from before RFC 6891 is asked as it understands.
func TestServerWithoutExtensions(t *testing.T) {
	t.Parallel()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	reply := zone(t, "web.test. 5 IN A 10.0.0.5")
	server := &miekg.Server{PacketConn: conn, Handler: miekg.HandlerFunc(func(w miekg.ResponseWriter, query *miekg.Msg) {
		answer := new(miekg.Msg).SetReply(query)
		if query.IsEdns0() != nil {
			answer.Rcode, answer.Question = miekg.RcodeFormatError, nil
		} else {
			answer = reply(query.Question[0], answer)
		}
		_ = w.WriteMsg(answer)
	})}
	started := make(chan struct{})
	server.NotifyStartedFunc = func() { close(started) }
	go func() { _ = server.ActivateAndServe() }()
	<-started
	defer func() { require.NoError(t, server.Shutdown()) }()
	snapshot, _, err := readService(t, "dns://"+conn.LocalAddr().String()+"/test", "web")
	require.NoError(t, err)
	require.Len(t, snapshot.Instances, 1)
}

// A server that says by TCP, too, that there is more is no source of half an answer.
func TestTruncatedTwice(t *testing.T) {
	t.Parallel()
	server := serve(t, func(_ miekg.Question, answer *miekg.Msg) *miekg.Msg {
		answer.Truncated = true
		return answer
	})
	start := time.Now()
	err := readInVain(t, "dns://"+server.address+"/test?port=80", "web", "truncated by TCP")
	require.ErrorIs(t, err, discovery.ErrUnavailable)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Less(t, server.asked.Load(), int64(30+time.Since(start)/(100*time.Millisecond)), "it is not asked in a loop")
}

func FuzzRead(f *testing.F) {
	q := question("web.test.", typeSRV, true)
	record, err := miekg.NewRR("web.test. 5 IN SRV 0 0 80 a.test.")
	require.NoError(f, err)
	answer := new(miekg.Msg).SetReply(q)
	answer.Answer = []miekg.RR{record}
	good, err := answer.Pack()
	require.NoError(f, err)
	f.Add(good[2:])
	f.Fuzz(func(t *testing.T, rest []byte) {
		message := append([]byte{byte(q.Id >> 8), byte(q.Id)}, rest...)
		got, err := read(message, q)
		if err != nil {
			return
		}
		whole := answerOf(t, got)
		require.GreaterOrEqual(t, whole.ttl, time.Duration(0))
		require.LessOrEqual(t, whole.ttl, maxTTL)
	})
}

func answerOf(t *testing.T, message *miekg.Msg) answer {
	whole := answer{ttl: maxTTL}
	chain, err := whole.take(message, []string{"web.test."}, typeSRV)
	if err == nil {
		require.LessOrEqual(t, len(chain), longestChain+1)
	}
	for _, record := range whole.records {
		require.IsType(t, &miekg.SRV{}, record)
	}
	return whole
}
