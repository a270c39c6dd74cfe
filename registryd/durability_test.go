package registryd

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/storage/wal"
	"golang.org/x/sys/unix"

	"github.com/envharness/envharness/registryd/node"
)

// TestKill kills the registry in the middle of writes by both protocols: what was acknowledged is there.
func TestKill(t *testing.T) {
	t.Parallel()
	const writers, most, kills = 16, 10000, 3
	process, url := startProcess(t, Options{Data: dataDirectory(t)})
	client := etcdClient(t, url)
	poster := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: writers}}
	defer poster.CloseIdleConnections()
	var next, acknowledged atomic.Int64
	var written sync.Map
	var wait sync.WaitGroup
	for range writers {
		wait.Go(func() {
			for n := next.Add(1); n <= most; n = next.Add(1) {
				name := fmt.Sprintf("V%d", n)
				for !write(t, client, poster, url, name, n) {
					time.Sleep(10 * time.Millisecond)
				}
				written.Store(name, true)
				acknowledged.Add(1)
			}
		})
	}
	for kill := range kills {
		until := int64(most * (kill + 1) / (kills + 1))
		require.Eventually(t, func() bool { return acknowledged.Load() >= until }, 3*patience, time.Millisecond)
		process.Kill(t)
		process.Start(t)
	}
	wait.Wait()
	process.Kill(t)
	process.Start(t)
	response, err := etcdClient(t, url).Get(t.Context(), "/envharness/environment/", clientv3.WithPrefix())
	require.NoError(t, err)
	found := map[string]string{}
	for _, kv := range response.Kvs {
		found[strings.TrimPrefix(string(kv.Key), "/envharness/environment/")] = string(kv.Value)
	}
	count := 0
	written.Range(func(name, _ any) bool {
		require.Equal(t, "value of "+name.(string), found[name.(string)])
		count++
		return true
	})
	require.Equal(t, most, count)
}

// write reports whether the registry has acknowledged a value, which it is told by HTTP and by etcd in turns.
func write(t *testing.T, client *clientv3.Client, poster *http.Client, url, name string, n int64) bool {
	value := "value of " + name
	if n%2 == 0 {
		_, err := client.Put(t.Context(), "/envharness/environment/"+name, value)
		return err == nil
	}
	response, err := poster.Post(url+"/environment/"+name, "", strings.NewReader(value))
	if err != nil {
		return false
	}
	response.Body.Close()
	return response.StatusCode == http.StatusNoContent
}

// TestFullDisk: writes are refused, what was acknowledged can be read, and all goes on once there is room.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	needRoot(t)
	disk := t.TempDir()
	require.NoError(t, unix.Mount("tmpfs", disk, "tmpfs", 0, "size=160m"))
	t.Cleanup(func() { require.NoError(t, unix.Unmount(disk, unix.MNT_DETACH)) })
	process, url := startProcess(t, Options{Data: filepath.Join(disk, "data")})
	client := etcdClient(t, url)
	require.Equal(t, 200, ask(t, "PUT", url+"/services/web/a?ttl=2s", `{"host":"h"}`).status)
	lease, err := client.Grant(t.Context(), 3600)
	require.NoError(t, err)

	require.Eventually(t, func() bool { // etcd makes room for the next segment of its log beside what it does
		next, err := os.Stat(filepath.Join(disk, "data", "etcd", "member", "wal", "0.tmp"))
		return err == nil && next.Size() == wal.SegmentSizeBytes
	}, patience, 50*time.Millisecond)
	filler := filepath.Join(disk, "filler")
	var stat unix.Statfs_t
	require.NoError(t, unix.Statfs(disk, &stat))
	room := int64(stat.Bavail)*stat.Bsize - node.ReserveBytes - 4<<20
	require.NoError(t, allocate(filler, room))

	value, written := strings.Repeat("x", 100_000), 0
	var last answer
	for ; written < 1000; written++ { // by itself it fills the rest
		if last = ask(t, "PUT", fmt.Sprintf("%s/environment/V%d", url, written), value); last.status != 204 {
			break
		}
	}
	refused(t, 507, last)
	require.Positive(t, written)
	_, err = client.Put(t.Context(), "x", "y")
	require.ErrorContains(t, err, "space exceeded")
	_, err = client.Txn(t.Context()).Then(clientv3.OpPut("x", "y")).Commit()
	require.ErrorContains(t, err, "space exceeded")
	refused(t, 507, ask(t, "PUT", url+"/services/web/b", `{"host":"h"}`))
	ready := ask(t, "GET", url+"/readyz", "")
	require.Equal(t, 503, ready.status)
	require.Contains(t, ready.reason, "disk is full")
	_, err = client.KeepAliveOnce(t.Context(), lease.ID) // what is announced stays so
	require.NoError(t, err)
	require.Eventually(t, func() bool { // what died still goes
		return ask(t, "GET", url+"/services", "").body == "[]\n"
	}, patience, 50*time.Millisecond)

	all := func() {
		t.Helper()
		for i := range written {
			require.Equal(t, value, ask(t, "GET", fmt.Sprintf("%s/environment/V%d", url, i), "").body)
		}
	}
	all()
	require.NoError(t, os.Truncate(filler, room/2)) // once there is room, all goes on by itself
	require.Equal(t, 204, ask(t, "PUT", url+"/environment/ROOM", value).status)
	require.Equal(t, 200, ask(t, "GET", url+"/readyz", "").status)
	require.NoError(t, allocate(filler, 2*node.ReserveBytes)) // when others take the rest too, etcd may end
	require.NoError(t, os.Remove(filler))
	process.Kill(t)
	process.Start(t)
	all()
	require.Equal(t, 204, ask(t, "PUT", url+"/environment/AGAIN", "x").status)
	require.Equal(t, 200, ask(t, "GET", url+"/readyz", "").status)
	process.Kill(t)
	process.Start(t)
	all()
	require.Equal(t, "x", ask(t, "GET", url+"/environment/AGAIN", "").body)
}

// TestQuota: what etcd does when its data are too many is told, and an operator can undo it.
func TestQuota(t *testing.T) {
	_, url := start(t, Options{})
	require.Equal(t, 204, ask(t, "PUT", url+"/environment/KEPT", "x").status)
	client := etcdClient(t, url)
	alarm := func(action etcdserverpb.AlarmRequest_AlarmAction) {
		t.Helper()
		_, err := etcdserverpb.NewMaintenanceClient(client.ActiveConnection()).Alarm(t.Context(),
			&etcdserverpb.AlarmRequest{Action: action, Alarm: etcdserverpb.AlarmType_NOSPACE})
		require.NoError(t, err)
	}
	alarm(etcdserverpb.AlarmRequest_ACTIVATE)
	refused(t, 507, ask(t, "PUT", url+"/environment/A", "x"))
	refused(t, 507, ask(t, "PUT", url+"/services/web/a", `{"host":"h"}`))
	ready := ask(t, "GET", url+"/readyz", "")
	require.Equal(t, 503, ready.status)
	require.Contains(t, ready.reason, "NOSPACE")
	require.Contains(t, ready.body, `"quota":2147483648`)
	require.Contains(t, ready.body, "etcdctl defrag")
	require.Equal(t, "x", ask(t, "GET", url+"/environment/KEPT", "").body)
	require.Equal(t, 204, ask(t, "DELETE", url+"/environment/KEPT", "").status, "it can be made less")
	alarm(etcdserverpb.AlarmRequest_DEACTIVATE)
	require.Equal(t, 204, ask(t, "PUT", url+"/environment/A", "x").status)
	require.Equal(t, 200, ask(t, "GET", url+"/readyz", "").status)
}

// allocate makes a file of a size, or as large as there is room for.
func allocate(path string, size int64) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer file.Close()
	chunk := make([]byte, 1<<20)
	for left := size; left > 0; left -= int64(len(chunk)) {
		if _, err := file.Write(chunk[:min(left, int64(len(chunk)))]); err != nil {
			if err.(*os.PathError).Err == unix.ENOSPC {
				return nil
			}
			return err
		}
	}
	return nil
}
