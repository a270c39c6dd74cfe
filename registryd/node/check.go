package node

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	bolt "go.etcd.io/bbolt"
	"go.etcd.io/etcd/client/pkg/v3/fileutil"
	"go.etcd.io/etcd/server/v3/etcdserver/api/snap"
	"go.etcd.io/etcd/server/v3/storage/wal"
	"go.etcd.io/etcd/server/v3/storage/wal/walpb"
	"go.uber.org/zap"
	"google.golang.org/protobuf/proto"
)

// damage is a file of the data that is not as it was written.
type damage struct {
	path string
	err  error
}

func (d *damage) Error() string { return fmt.Sprintf("%s is damaged: %v", d.path, d.err) }

func (d *damage) Unwrap() error { return d.err }

// check reads the data as etcd is about to: it would panic, or wait for ever, where they are damaged. A log that
// ends in the middle of a record is as etcd leaves it when it is killed.
func check(ctx context.Context, directory string) error {
	logs, err := filepath.Glob(filepath.Join(directory, "member/wal/*.wal"))
	if err != nil {
		return err
	}
	database := filepath.Join(directory, "member/snap/db")
	_, err = os.Stat(database)
	switch {
	case err == nil:
	case !errors.Is(err, os.ErrNotExist):
		return err
	case len(logs) == 0: // nothing was written yet
		return nil
	default:
		return &damage{database, errors.New("it is missing, and the log beside it is there")}
	}
	applied, err := checkDatabase(ctx, database)
	if err != nil {
		return err
	}
	if len(logs) == 0 && applied == 0 { // etcd was killed at its first start
		return nil
	}
	last, err := checkLogs(ctx, filepath.Join(directory, "member/wal"), logs, applied)
	if err == nil && last == 0 && applied == 0 {
		// etcd was killed at its first start, before it wrote that it is a member of itself. It would wait for
		// ever to be one.
		return os.RemoveAll(filepath.Join(directory, "member"))
	}
	return err
}

// checkDatabase reads every record, and gives the number of the last change in it.
func checkDatabase(ctx context.Context, path string) (applied uint64, err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true)) // of a file that is shorter than its pages
	defer func() {
		if problem := recover(); problem != nil {
			err = &damage{path, fmt.Errorf("%v", problem)}
		}
	}()
	if info, err := os.Stat(path); err == nil && info.Size() == 0 {
		return 0, &damage{path, errors.New("it is empty")}
	}
	db, err := bolt.Open(path, 0o600, &bolt.Options{ReadOnly: true, Timeout: time.Second})
	if errors.Is(err, os.ErrPermission) {
		return 0, err
	}
	if err != nil {
		return 0, &damage{path, err}
	}
	defer db.Close()
	err = db.View(func(tx *bolt.Tx) error {
		if info, err := os.Stat(path); err == nil && info.Size() < tx.Size() {
			return fmt.Errorf("it has %d bytes of %d", info.Size(), tx.Size())
		}
		if meta := tx.Bucket([]byte("meta")); meta != nil {
			if index := meta.Get([]byte("consistent_index")); len(index) == 8 {
				applied = binary.BigEndian.Uint64(index)
			}
		}
		return tx.ForEach(func(_ []byte, bucket *bolt.Bucket) error {
			return checkBucket(ctx, bucket)
		})
	})
	if err != nil && ctx.Err() == nil {
		err = &damage{path, err}
	}
	return applied, err
}

// checkBucket looks for what bbolt panics at in a goroutine of its own when etcd opens the database: keys out of order,
// and buckets in buckets, of which etcd has none.
func checkBucket(ctx context.Context, bucket *bolt.Bucket) error {
	var last []byte
	return bucket.ForEach(func(key, value []byte) error {
		if value == nil {
			return errors.New("a key has no value")
		}
		if last != nil && bytes.Compare(last, key) >= 0 {
			return errors.New("keys are out of order")
		}
		last = key
		return ctx.Err()
	})
}

// checkLogs reads the log of changes: all of it must be there from the first file to the last change that the
// database has. It gives the number of the last.
func checkLogs(ctx context.Context, directory string, paths []string, applied uint64) (last uint64, err error) {
	if len(paths) == 0 {
		return 0, &damage{directory, errors.New("the log of changes is missing")}
	}
	first, err := checkSequence(directory, paths)
	if err != nil {
		return 0, err
	}
	var files []fileutil.FileReader
	reading := paths[0]
	for _, path := range paths {
		file, err := os.Open(path)
		if err != nil {
			return 0, err
		}
		defer file.Close()
		files = append(files, &noticedFile{file, func() { reading = path }})
	}
	last, err = readLog(ctx, wal.NewDecoder(files...), first)
	switch {
	case err != nil && ctx.Err() != nil:
		return 0, err
	case err != nil && (!errors.Is(err, io.ErrUnexpectedEOF) || reading != paths[len(paths)-1]):
		return 0, &damage{reading, err}
	case last < applied:
		return 0, &damage{paths[len(paths)-1], fmt.Errorf("it ends at change %d, and the database has change %d", last, applied)}
	}
	return last, nil
}

// checkSequence finds a file that is missing between others, or before them: their names are a number that counts
// up, and that of the first change in them, which it gives of the first file.
func checkSequence(directory string, paths []string) (first uint64, err error) {
	snapshot, broken := newestSnapshot(filepath.Join(filepath.Dir(directory), "snap"))
	var next uint64
	for i, path := range paths {
		var number, index uint64
		if _, err := fmt.Sscanf(filepath.Base(path), "%016x-%016x.wal", &number, &index); err != nil {
			return 0, &damage{path, errors.New("it is not named as a log of etcd's")}
		}
		if i == 0 {
			first = index
		}
		if i == 0 && index > snapshot && broken != nil {
			return 0, broken
		}
		if i == 0 && index > snapshot || i > 0 && number != next {
			return 0, &damage{directory, fmt.Errorf("the file before %s is missing", filepath.Base(path))}
		}
		if info, err := os.Stat(path); err != nil || info.Size() == 0 {
			return 0, &damage{path, errors.New("it is empty")}
		}
		next = number + 1
	}
	return first, nil
}

// newestSnapshot gives the number of the change that etcd starts from: those before may be in no log any more. One
// that is broken is passed over, as etcd does: it may have been killed while writing it.
func newestSnapshot(directory string) (newest uint64, broken error) {
	paths, _ := filepath.Glob(filepath.Join(directory, "*.snap")) // the pattern is good
	for _, path := range paths {
		snapshot, err := snap.Read(zap.NewNop(), path)
		if err != nil {
			broken = &damage{path, err}
			continue
		}
		newest = max(newest, snapshot.GetMetadata().GetIndex())
	}
	return newest, broken
}

// readLog gives the number of the last change, from the first on.
func readLog(ctx context.Context, log wal.Decoder, first uint64) (last uint64, err error) {
	if first > 0 {
		last = first - 1
	}
	defer func() {
		if problem := recover(); problem != nil { // a record that cannot be read
			err = fmt.Errorf("%v", problem)
		}
	}()
	for record := new(walpb.Record); ctx.Err() == nil; {
		if err := log.Decode(record); errors.Is(err, io.EOF) {
			return last, nil
		} else if err != nil {
			return last, err
		}
		switch record.GetType() {
		case wal.CrcType:
			if crc := log.LastCRC(); crc != 0 && record.Validate(crc) != nil {
				return last, wal.ErrCRCMismatch
			}
			log.UpdateCRC(record.GetCrc())
		case wal.EntryType:
			index := wal.MustUnmarshalEntry(record.Data).GetIndex() // may go back, when it was not agreed on
			if index > last+1 {
				return last, fmt.Errorf("changes %d to %d are missing", last+1, index-1)
			}
			last = max(last, index)
		case wal.SnapshotType:
			snapshot := new(walpb.Snapshot)
			if err := proto.Unmarshal(record.Data, snapshot); err != nil {
				return last, err
			}
			last = max(last, snapshot.GetIndex())
		}
	}
	return last, ctx.Err()
}

// noticedFile tells when it is read.
type noticedFile struct {
	*os.File
	read func()
}

func (f *noticedFile) Read(p []byte) (int, error) {
	f.read()
	return f.File.Read(p)
}

func (f *noticedFile) FileInfo() (os.FileInfo, error) { return f.Stat() }
