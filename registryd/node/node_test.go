package node

import (
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	bolt "go.etcd.io/bbolt"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/storage/wal"
	"go.uber.org/zap"
	"golang.org/x/crypto/bcrypt"

	"github.com/envharness/envharness/internal/failure"
)

var quiet = slog.New(slog.DiscardHandler)

// segmentBytes is how large a log gets here. All that is written is as many times less than it would be.
const segmentBytes = walSegmentBytes / 4

func TestMain(m *testing.M) {
	wal.SegmentSizeBytes = segmentBytes // for good: an etcd that nobody waits for any more reads it, too
	os.Exit(m.Run())
}

// TestPrivate: a directory that is there already is not changed, and not used unless it is ours alone.
func TestPrivate(t *testing.T) {
	directory := filepath.Join(t.TempDir(), "deep", "data")
	require.NoError(t, makePrivate(directory))
	info, err := os.Stat(directory)
	require.NoError(t, err)
	require.Equal(t, fs.ModeDir|0o700, info.Mode())
	require.NoError(t, makePrivate(directory))

	for _, mode := range []fs.FileMode{0o755, 0o777 | fs.ModeSticky, 0o710, 0o701} {
		require.NoError(t, os.Chmod(directory, mode))
		n, err := OpenEmbedded(t.Context(), directory, Tuning{}, quiet)
		if err == nil {
			n.Close()
		}
		require.ErrorIs(t, err, errOpen)
		require.Contains(t, failure.Hint(err), "chmod 700 "+directory)
		info, err := os.Stat(directory)
		require.NoError(t, err)
		require.Equal(t, fs.ModeDir|mode, info.Mode())
		left, err := os.ReadDir(directory)
		require.NoError(t, err)
		require.Empty(t, left)
	}
	require.NoError(t, os.Chmod(directory, 0o700))
	if os.Geteuid() == 0 {
		require.NoError(t, os.Chown(directory, 12345, 12345))
		require.ErrorIs(t, makePrivate(directory), errForeign)
	}
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	require.Error(t, makePrivate(file))
}

// TestNobodysPassword: comparing with it costs what comparing with a user's does.
func TestNobodysPassword(t *testing.T) {
	cost, err := bcrypt.Cost([]byte(nobodysPassword))
	require.NoError(t, err)
	require.Equal(t, bcrypt.DefaultCost, cost)
	require.ErrorIs(t, bcrypt.CompareHashAndPassword([]byte(nobodysPassword), nil), bcrypt.ErrMismatchedHashAndPassword)
}

// written makes data of several logs, and gives what was written.
func written(t *testing.T, directory string) map[string]string {
	t.Helper()
	n, err := OpenEmbedded(t.Context(), directory, Tuning{SnapshotCount: 10}, quiet)
	require.NoError(t, err)
	defer n.Close()
	values := map[string]string{}
	large := strings.Repeat("x", segmentBytes/8)
	for i := range 20 {
		key := fmt.Sprintf("k%02d", i)
		values[key] = large + key
		_, err := n.Client().Put(t.Context(), key, values[key])
		require.NoError(t, err)
	}
	return values
}

// copied is a copy that goes with the test, also when an etcd that stands still had a file under way.
func copied(t *testing.T, from string) string {
	t.Helper()
	parent, err := os.MkdirTemp("", "damaged")
	require.NoError(t, err)
	t.Cleanup(func() {
		require.Eventually(t, func() bool { return os.RemoveAll(parent) == nil }, time.Minute, 10*time.Millisecond)
	})
	to := filepath.Join(parent, "data")
	require.NoError(t, os.CopyFS(to, os.DirFS(from)))
	require.NoError(t, os.Chmod(to, 0o700))
	return to
}

// TestDamage damages every file of the data in every way. Each time etcd serves all that was written, or the error
// names the file within seconds.
func TestDamage(t *testing.T) {
	original := filepath.Join(t.TempDir(), "data")
	values := written(t, original)
	require.NoError(t, os.RemoveAll(filepath.Join(original, "etcd.sock")))
	files, err := filepath.Glob(filepath.Join(original, "etcd/member/*/*"))
	require.NoError(t, err)
	require.Greater(t, len(files), 3)
	ways := map[string]func(path string, size int64) error{
		"missing":   func(path string, _ int64) error { return os.Remove(path) },
		"empty":     func(path string, _ int64) error { return os.Truncate(path, 0) },
		"half":      func(path string, size int64) error { return os.Truncate(path, size/2) },
		"shortened": func(path string, size int64) error { return os.Truncate(path, size*9/10) },
		"head":      func(path string, _ int64) error { return overwrite(path, 0, 4096) },
		"pages":     func(path string, _ int64) error { return overwrite(path, 4096, 64<<10) },
		"middle":    func(path string, size int64) error { return overwrite(path, size/2, 64<<10) },
		"noise":     func(path string, size int64) error { return overwrite(path, 0, size) },
	}
	for _, file := range files {
		for way, damageIt := range ways {
			name, err := filepath.Rel(original, file)
			require.NoError(t, err)
			t.Run(filepath.Base(name)+" "+way, func(t *testing.T) {
				data := copied(t, original)
				info, err := os.Stat(file)
				require.NoError(t, err)
				require.NoError(t, damageIt(filepath.Join(data, name), info.Size()))
				expected := values
				if filepath.Base(name) == "db" && way == "middle" {
					expected = nil // it is inside a value, of which etcd keeps no sum
				}
				err = opens(t, data, expected)
				if err == nil {
					return
				}
				var told *damage
				require.ErrorAs(t, err, &told, "%v", err)
				if way == "missing" {
					require.Contains(t, told.path, filepath.Dir(filepath.Join(data, name)))
				} else {
					require.Equal(t, filepath.Join(data, name), told.path)
				}
				require.NotContains(t, err.Error(), "\n")
				require.Contains(t, failure.Hint(err), "snapshot")
			})
		}
	}
}

func overwrite(path string, at, length int64) error {
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	noise := make([]byte, length)
	for i := range noise {
		noise[i] = byte(i*7 + i>>8*13 + 1)
	}
	_, err = file.WriteAt(noise, at)
	return err
}

// opens reads all values.
func opens(t *testing.T, data string, values map[string]string) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	n, err := OpenEmbedded(ctx, data, Tuning{}, quiet)
	require.NoError(t, ctx.Err(), "it hangs")
	if err != nil {
		return err
	}
	defer n.Close()
	response, err := n.Client().Get(ctx, "", clientv3.WithFromKey())
	require.NoError(t, err)
	found := map[string]bool{}
	for _, kv := range response.Kvs {
		found[string(kv.Key)] = string(kv.Value) == values[string(kv.Key)]
	}
	for key := range values {
		require.True(t, found[key], "%s is lost without a word", key)
	}
	return nil
}

// TestKilledAtFirstStart: etcd was killed when its log had a head and nothing else.
func TestKilledAtFirstStart(t *testing.T) {
	original := filepath.Join(t.TempDir(), "data")
	n, err := OpenEmbedded(t.Context(), original, Tuning{}, quiet)
	require.NoError(t, err)
	n.Close()
	require.NoError(t, os.RemoveAll(filepath.Join(original, "etcd/member")))
	log, err := wal.Create(zap.NewNop(), filepath.Join(original, "etcd/member/wal"), []byte("metadata"))
	require.NoError(t, err)
	require.NoError(t, log.Close())
	require.NoError(t, os.MkdirAll(filepath.Join(original, "etcd/member/snap"), 0o700))
	db, err := bolt.Open(filepath.Join(original, "etcd/member/snap/db"), 0o600, nil)
	require.NoError(t, err)
	require.NoError(t, db.Close())
	require.NoError(t, opens(t, original, nil))
}

// TestStopWhileStarting: a start that is not wanted any more ends at once, and what it began lets go of the
// directory when it has ended.
func TestStopWhileStarting(t *testing.T) {
	for wait := range 6 {
		t.Run(fmt.Sprint(wait), func(t *testing.T) {
			directory := filepath.Join(t.TempDir(), "data")
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(time.Duration(wait)*10*time.Millisecond, cancel)
			n, err := OpenEmbedded(ctx, directory, Tuning{}, quiet)
			if err == nil {
				n.Close()
			} else {
				require.ErrorIs(t, err, context.Canceled)
			}
			require.Eventually(t, func() bool {
				lock, err := lockDirectory(directory)
				if err != nil {
					require.ErrorIs(t, err, errLocked)
					return false
				}
				lock.Close()
				return true
			}, time.Minute, 5*time.Millisecond)
			require.NoError(t, os.RemoveAll(directory)) // nobody writes there any more
		})
	}
}
