package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/etcdserver"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3rpc"
	"go.etcd.io/etcd/server/v3/storage/wal"
	"go.uber.org/zap"
	"golang.org/x/crypto/bcrypt"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
)

// How the embedded etcd is run: for one machine and for months.
const (
	tickMilliseconds     = 50 // so that a TTL of one second is granted
	electionMilliseconds = 500
	quotaBytes           = 2 << 30
	etcdDirectory        = "etcd"  // in the data directory
	walSegmentBytes      = 8 << 20 // is allocated at once; etcd's 64 MiB are for clusters
	keptHistory          = "1h"
	startTime            = time.Minute
	stopTime             = 10 * time.Second // for etcd to close: one that is broken never does
)

// Tuning is what tests have otherwise, so that they need less work for the same. A zero field is etcd's own choice.
type Tuning struct {
	PasswordCost  uint   // of bcrypt, for passwords that are set
	SnapshotCount uint64 // after so many changes etcd starts its log anew
}

func init() { wal.SegmentSizeBytes = walSegmentBytes }

// embedded is an etcd in this process. It listens on one unix socket in its own directory, which nobody else
// may enter: for our client and for an operator's etcdctl.
type embedded struct {
	etcd   *embed.Etcd
	server *grpc.Server
	toEtcd *clientv3.Client
	lock   *os.File
	disk   disk
	tuning Tuning
	fatal  chan error // why etcd cannot go on, by its log
	ended  chan error
	ranges chan struct{}

	stopOnce sync.Once
	reading  sync.RWMutex // held by reads that do not come by the network, and by the end
}

// OpenEmbedded starts etcd on the data of a directory, which is made if need be, and waits until it serves or
// ctx ends.
func OpenEmbedded(ctx context.Context, directory string, tuning Tuning, log *slog.Logger) (_ Node, err error) {
	directory, err = filepath.Abs(directory)
	if err != nil {
		return nil, err
	}
	if err := makePrivate(directory); err != nil {
		return nil, dataError(directory, err)
	}
	e := &embedded{
		disk: disk{directory: directory}, tuning: tuning, fatal: make(chan error, 1), ended: make(chan error, 1), ranges: make(chan struct{}, rangesAtOnce),
	}
	defer func() {
		if err != nil {
			e.Close()
		}
	}()
	if e.lock, err = lockDirectory(directory); err != nil {
		return nil, dataError(directory, err)
	}
	if err := check(ctx, filepath.Join(directory, etcdDirectory)); err != nil {
		return nil, dataError(directory, err)
	}
	socket := filepath.Join(directory, "etcd.sock")
	if err := e.start(ctx, directory, socket); err != nil {
		return nil, dataError(directory, err)
	}
	go e.watch(log)
	e.toEtcd, err = clientv3.New(clientv3.Config{
		Endpoints: []string{"unix://" + socket},
		Logger:    zap.NewNop(),
	})
	return e, err
}

// start runs etcd until it serves. One that does not get that far is left to itself: it may hang for ever.
func (e *embedded) start(ctx context.Context, directory, socket string) error {
	if len(socket) > 104 {
		return fmt.Errorf("the path of its socket %s is too long for a unix socket: 104 bytes", socket)
	}
	serving := make(chan *grpc.Server, 1)
	config := e.config(directory, socket)
	config.ServiceRegister = func(s *grpc.Server) { serving <- s } // only once etcd is ready
	started := make(chan error, 1)
	var etcd *embed.Etcd
	go func() {
		var err error
		etcd, err = startEtcd(config)
		started <- err
	}()
	ctx, cancel := context.WithTimeoutCause(ctx, startTime, errors.New("etcd does not get ready"))
	defer cancel()
	abandon := func() {
		if e.etcd == nil {
			go closeLate(started, &etcd, e.lock)
			e.lock = nil
		}
	}
	for e.server == nil || e.etcd == nil {
		select {
		case e.server = <-serving:
		case err := <-started:
			if err != nil {
				return err
			}
			e.etcd = etcd
		case err := <-e.fatal:
			abandon()
			if errors.Is(err, unix.ENOSPC) || errors.Is(err, os.ErrPermission) {
				return err
			}
			return &damage{filepath.Join(config.Dir, "member"), err}
		case <-ctx.Done():
			abandon()
			return context.Cause(ctx)
		}
	}
	return nil
}

// closeLate closes an etcd that nobody waits for; its data are locked until then, or until the process ends.
func closeLate(started <-chan error, etcd **embed.Etcd, lock *os.File) {
	if <-started == nil {
		(*etcd).Close()
	}
	lock.Close()
}

// startEtcd makes an error of what etcd panics with when its data are not what it expects.
func startEtcd(config *embed.Config) (etcd *embed.Etcd, err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true)) // of a mapped file that is shorter than it should be
	defer func() {
		if problem := recover(); problem != nil {
			err = &damage{filepath.Join(config.Dir, "member"), fmt.Errorf("etcd: %v", problem)}
		}
	}()
	return embed.StartEtcd(config)
}

// watch waits for the end of an etcd that runs.
func (e *embedded) watch(log *slog.Logger) {
	select {
	case err := <-e.fatal:
		log.Error("etcd cannot go on", "error", err)
		e.ended <- err
	case err, ok := <-e.etcd.Err():
		if ok {
			e.ended <- err
		}
	case <-e.etcd.Server.StopNotify():
	}
}

func (e *embedded) config(directory, socket string) *embed.Config {
	config := embed.NewConfig()
	config.Dir = filepath.Join(directory, etcdDirectory)
	config.TickMs, config.ElectionMs = tickMilliseconds, electionMilliseconds
	config.QuotaBackendBytes = quotaBytes
	config.SnapshotCount = cmp.Or(e.tuning.SnapshotCount, etcdserver.DefaultSnapshotCount)
	config.BcryptCost = cmp.Or(e.tuning.PasswordCost, uint(bcrypt.DefaultCost))
	config.AutoCompactionMode, config.AutoCompactionRetention = embed.CompactorModePeriodic, keptHistory
	config.EnableGRPCGateway, config.EnablePprof = false, false
	config.ZapLoggerBuilder = embed.NewZapLoggerBuilder(fatalLog(e.fatal))
	here := []url.URL{{Scheme: "unix", Path: socket}}
	config.ListenClientUrls, config.AdvertiseClientUrls = here, here
	config.ListenPeerUrls = nil                                                    // it has no peers
	config.AdvertisePeerUrls = []url.URL{{Scheme: "http", Host: "localhost:2380"}} // a member must have one
	config.InitialCluster = config.InitialClusterFromName(config.Name)
	config.GRPCAdditionalServerOptions = []grpc.ServerOption{grpc.ChainUnaryInterceptor(e.guardDisk, e.equalWork, e.boundAnswers)}
	return config
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

func (e *embedded) Client() *clientv3.Client { return e.toEtcd }

func (e *embedded) Get(ctx context.Context, token, key string) (*clientv3.GetResponse, error) {
	if !e.reading.TryRLock() {
		return nil, rpctypes.ErrStopped
	}
	defer e.reading.RUnlock()
	caller := metadata.MD{}
	if token != "" {
		caller.Set(rpctypes.TokenFieldNameGRPC, token)
	}
	response, err := v3rpc.NewKVServer(e.etcd.Server).Range(metadata.NewIncomingContext(ctx, caller), &etcdserverpb.RangeRequest{Key: []byte(key)})
	if err != nil {
		return nil, rpctypes.Error(err) // as a client has it
	}
	return (*clientv3.GetResponse)(response), nil
}

func (e *embedded) GRPC() http.Handler { return e.server }

func (e *embedded) AuthEnabled(context.Context) (bool, error) {
	return e.etcd.Server.AuthStore().IsAuthEnabled(), nil
}

func (e *embedded) AuthRevision(context.Context) (uint64, error) {
	return e.etcd.Server.AuthStore().Revision(), nil
}

func (e *embedded) ValidToken(ctx context.Context, token string) (bool, error) {
	ctx = metadata.NewIncomingContext(ctx, metadata.Pairs(rpctypes.TokenFieldNameGRPC, token))
	info, err := e.etcd.Server.AuthStore().AuthInfoFromCtx(ctx)
	return err == nil && info != nil, nil
}

func (e *embedded) Health(context.Context) Health {
	server := e.etcd.Server
	h := Health{Etcd: "embedded", Size: server.Backend().Size(), Quota: quotaBytes, Free: e.disk.free()}
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
		h.report(fmt.Sprintf("the disk is full: nothing is written while less than %d MiB are free", ReserveBytes>>20))
	}
	h.Ready = len(h.Problem) == 0
	return h
}

func (e *embedded) Failed() <-chan error { return e.ended }

// stopTime is how long etcd may take to close. One that does not serve yet waits for itself to do so.
func (e *embedded) stopTime() time.Duration {
	if e.server == nil {
		return stopTime / 10
	}
	return stopTime
}

// Close gives etcd some time. One that takes longer keeps the directory locked until it is closed, or the process ends.
func (e *embedded) Close() {
	e.stopOnce.Do(func() {
		if e.toEtcd != nil {
			e.toEtcd.Close()
		}
		closed := make(chan struct{})
		go func() {
			defer close(closed)
			if e.etcd != nil {
				e.reading.Lock()
				e.etcd.Close()
			}
			e.lock.Close() // of a nil *os.File, nothing
		}()
		select {
		case <-closed:
		case <-time.After(e.stopTime()):
		}
	})
}
