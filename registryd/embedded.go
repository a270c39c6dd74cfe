package registryd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/storage/wal"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
)

// How the embedded etcd is run: for one machine and for months.
const (
	tickMilliseconds     = 50 // so that a TTL of one second is granted
	electionMilliseconds = 500
	quotaBytes           = 2 << 30
	walSegmentBytes      = 8 << 20 // is allocated at once; etcd's 64 MiB are for clusters
	keptHistory          = "1h"
	startTime            = time.Minute
)

func init() { wal.SegmentSizeBytes = walSegmentBytes }

// embedded is an etcd in this process. It listens on one unix socket in its own directory, which nobody else
// may enter: for our client and for an operator's etcdctl.
type embedded struct {
	etcd     *embed.Etcd
	guts     *grpc.Server
	toEtcd   *clientv3.Client
	lock     *os.File
	disk     disk
	stopOnce sync.Once
}

func openEmbedded(ctx context.Context, directory string, log *slog.Logger) (_ *embedded, err error) {
	directory, err = filepath.Abs(directory)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(directory, 0o700); err != nil {
		return nil, dataError(directory, err)
	}
	if err := os.Chmod(directory, 0o700); err != nil {
		return nil, dataError(directory, err)
	}
	e := &embedded{disk: disk{directory}}
	defer func() {
		if err != nil {
			e.close()
		}
	}()
	if e.lock, err = lockDirectory(directory); err != nil {
		return nil, dataError(directory, err)
	}
	socket := filepath.Join(directory, "etcd.sock")
	if err := e.start(ctx, directory, socket, log); err != nil {
		return nil, dataError(directory, err)
	}
	e.toEtcd, err = clientv3.New(clientv3.Config{
		Endpoints: []string{"unix://" + socket},
		Logger:    zap.NewNop(),
	})
	return e, err
}

func dataError(directory string, err error) error {
	e := &Error{Problem: "cannot open the data in " + directory, Err: err}
	switch {
	case errors.Is(err, errLocked):
		e.Next = "another envdiscoverd uses it: stop that one, or give another directory by --data"
	case errors.Is(err, os.ErrPermission):
		e.Next = "give a directory that this user may write by --data"
	}
	return e
}

// start runs etcd until it serves.
func (e *embedded) start(ctx context.Context, directory, socket string, log *slog.Logger) error {
	if len(socket) > 104 {
		return fmt.Errorf("the path of its socket %s is too long for a unix socket: 104 bytes", socket)
	}
	serving := make(chan *grpc.Server, 1)
	config := e.config(directory, socket, log)
	config.ServiceRegister = func(s *grpc.Server) { serving <- s }
	etcd, err := embed.StartEtcd(config)
	if err != nil {
		return err
	}
	e.etcd = etcd
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	select {
	case e.guts = <-serving: // only once etcd is ready
		return nil
	case err := <-etcd.Err():
		return err
	case <-ctx.Done():
		return fmt.Errorf("etcd does not get ready: %w", ctx.Err())
	}
}

func (e *embedded) config(directory, socket string, log *slog.Logger) *embed.Config {
	config := embed.NewConfig()
	config.Dir = filepath.Join(directory, "etcd")
	config.TickMs, config.ElectionMs = tickMilliseconds, electionMilliseconds
	config.QuotaBackendBytes = quotaBytes
	config.AutoCompactionMode, config.AutoCompactionRetention = embed.CompactorModePeriodic, keptHistory
	config.EnableGRPCGateway, config.EnablePprof = false, false
	config.ZapLoggerBuilder = embed.NewZapLoggerBuilder(lastWords(log))
	here := []url.URL{{Scheme: "unix", Path: socket}}
	config.ListenClientUrls, config.AdvertiseClientUrls = here, here
	config.ListenPeerUrls = nil                                                    // it has no peers
	config.AdvertisePeerUrls = []url.URL{{Scheme: "http", Host: "localhost:2380"}} // a member must have one
	config.InitialCluster = config.InitialClusterFromName(config.Name)
	config.GRPCAdditionalServerOptions = []grpc.ServerOption{grpc.ChainUnaryInterceptor(e.guardDisk)}
	return config
}

// lastWords is etcd's log without its noise: only why it ends the process, which it does when it cannot write.
func lastWords(log *slog.Logger) *zap.Logger {
	core := zapcore.NewCore(zapcore.NewConsoleEncoder(zapcore.EncoderConfig{}), zapcore.AddSync(nowhere{}), zapcore.DPanicLevel)
	return zap.New(lastWordsCore{core, log})
}

type nowhere struct{}

func (nowhere) Write(p []byte) (int, error) { return len(p), nil }

type lastWordsCore struct {
	zapcore.Core
	log *slog.Logger
}

func (c lastWordsCore) With([]zapcore.Field) zapcore.Core { return c }

func (c lastWordsCore) Check(entry zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(entry.Level) {
		return checked.AddCore(entry, c)
	}
	return checked
}

func (c lastWordsCore) Write(entry zapcore.Entry, fields []zapcore.Field) error {
	attributes := []any{"said", entry.Message}
	for _, field := range fields {
		if err, ok := field.Interface.(error); ok && field.Type == zapcore.ErrorType {
			attributes = append(attributes, "error", err)
		}
	}
	c.log.Error("etcd cannot go on", attributes...)
	return nil
}

// guardDisk refuses what needs room while the disk is all but full: etcd itself would end the process when it
// cannot write, and take the watches and leases of everyone with it.
func (e *embedded) guardDisk(ctx context.Context, request any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
	if needsRoom(request) && e.disk.full() {
		return nil, rpctypes.ErrGRPCNoSpace
	}
	return handle(ctx, request)
}

func needsRoom(request any) bool {
	switch r := request.(type) {
	case *etcdserverpb.PutRequest, *etcdserverpb.LeaseGrantRequest:
		return true
	case *etcdserverpb.TxnRequest:
		for _, op := range append(r.Success, r.Failure...) {
			if op.GetRequestPut() != nil || op.GetRequestTxn() != nil {
				return true
			}
		}
	}
	return false
}

func (e *embedded) client() *clientv3.Client { return e.toEtcd }

func (e *embedded) grpc() http.Handler { return e.guts }

func (e *embedded) authEnabled(context.Context) (bool, error) {
	return e.etcd.Server.AuthStore().IsAuthEnabled(), nil
}

func (e *embedded) validToken(ctx context.Context, token string) (bool, error) {
	ctx = metadata.NewIncomingContext(ctx, metadata.Pairs(rpctypes.TokenFieldNameGRPC, token))
	info, err := e.etcd.Server.AuthStore().AuthInfoFromCtx(ctx)
	return err == nil && info != nil, nil
}

func (e *embedded) health(context.Context) health {
	server := e.etcd.Server
	h := health{Etcd: "embedded", Size: server.Backend().Size(), Quota: quotaBytes, Free: e.disk.free()}
	if server.Leader() == 0 {
		h.report("etcd has no leader")
	}
	for _, alarm := range server.Alarms() {
		switch alarm.Alarm {
		case etcdserverpb.AlarmType_NOSPACE:
			h.report("etcd's alarm NOSPACE: the data are more than the quota; delete some, then etcdctl compact, etcdctl defrag and etcdctl alarm disarm")
		default:
			h.report("etcd's alarm " + alarm.Alarm.String())
		}
	}
	if e.disk.full() {
		h.report(fmt.Sprintf("the disk is full: nothing is written while less than %d MiB are free", reserveBytes>>20))
	}
	h.Ready = len(h.Problem) == 0
	return h
}

func (e *embedded) failed() <-chan error { return e.etcd.Err() }

func (e *embedded) close() {
	e.stopOnce.Do(func() {
		if e.toEtcd != nil {
			e.toEtcd.Close()
		}
		if e.etcd != nil {
			e.etcd.Close()
		}
		if e.lock != nil {
			e.lock.Close()
		}
	})
}
