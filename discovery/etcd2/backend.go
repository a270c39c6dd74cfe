package etcd2

import (
	"context"
	"encoding/base64"
	"hash/maphash"
	"strings"
	"time"
	"unicode/utf8"

	"go.etcd.io/etcd/client/v2"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/discovery/driver"
	"github.com/envharness/envharness/discovery/layout"
)

// backend is one opening of a cluster: the single steps that package driver takes.
type backend struct {
	config     discovery.Config
	layout     layout.Layout
	connection *connection
	registry   *driver.Registry
}

func (b *backend) Close() error {
	b.connection.close()
	return nil
}

// Ping asks for a key, as a read would.
func (b *backend) Ping(ctx context.Context) error {
	_, err := b.Get(ctx, b.layout.ValuesPrefix()+"%", false)
	return err
}

// binaryMark begins the value of a key that is written as base64. v2 answers in JSON, which holds text
// alone; no text for an environment begins with NUL.
const binaryMark = "\x00base64:"

// encodeValue writes text as it stands.
func encodeValue(value []byte) string {
	if text := string(value); utf8.ValidString(text) && !strings.HasPrefix(text, binaryMark) {
		return text
	}
	return binaryMark + base64.StdEncoding.EncodeToString(value)
}

func decodeValue(text string) []byte {
	if encoded, ok := strings.CutPrefix(text, binaryMark); ok {
		if value, err := base64.StdEncoding.DecodeString(encoded); err == nil {
			return value
		}
	}
	return []byte(text)
}

var seed = maphash.MakeSeed()

// itemAt is what stands at a key; nothing and a directory are nothing. Some layouts write the same value over and over,
// so the value is the version, and the index that a write compares is in the node.
func itemAt(key string, node *client.Node) driver.Item {
	if node == nil || node.Dir {
		return driver.Item{Key: key, Gone: true, Note: node}
	}
	version := driver.Version{int64(maphash.String(seed, node.Value)), int64(len(node.Value))}
	return driver.Item{Key: key, Value: decodeValue(node.Value), Version: version, Note: node}
}

// get reads a key with all below it, if recursive. There being none gives nil.
func (b *backend) get(ctx context.Context, key string, recursive, latest bool) (*client.Response, error) {
	return call(ctx, b, func(ctx context.Context, keys client.KeysAPI) (*client.Response, error) {
		response, err := keys.Get(ctx, key, &client.GetOptions{Recursive: recursive, Quorum: latest || !b.config.Stale})
		if failure, ok := failureOf(err); ok && failure.Code == client.ErrorCodeKeyNotFound {
			return &client.Response{Index: failure.Index}, nil
		}
		return response, err
	})
}

func (b *backend) Get(ctx context.Context, key string, latest bool) (driver.Item, error) {
	response, err := b.get(ctx, key, false, latest)
	if err != nil {
		return driver.Item{}, err
	}
	return itemAt(key, response.Node), nil
}

func (b *backend) List(ctx context.Context, prefix string) (driver.Changes, error) {
	response, err := b.get(ctx, strings.TrimSuffix(prefix, "/"), true, false)
	if err != nil {
		return driver.Changes{}, err
	}
	return wholeOf(response), nil
}

// wholeOf gives all that is no directory.
func wholeOf(response *client.Response) driver.Changes {
	c := driver.Changes{Whole: true, Revision: revision(response.Index), Never: response.Node == nil}
	var visit func(node *client.Node)
	visit = func(node *client.Node) {
		if !node.Dir {
			c.Items = append(c.Items, itemAt(node.Key, node))
		}
		for _, child := range node.Nodes {
			visit(child)
		}
	}
	if response.Node != nil {
		visit(response.Node)
	}
	return c
}

func (b *backend) Put(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	return do(ctx, b, func(ctx context.Context, keys client.KeysAPI) error {
		_, err := keys.Set(ctx, key, encodeValue(value), &client.SetOptions{TTL: seconds(ttl)})
		return err
	})
}

func (b *backend) Swap(ctx context.Context, was driver.Item, value []byte) (swapped bool, err error) {
	options := &client.SetOptions{PrevExist: client.PrevNoExist}
	if node := was.Note.(*client.Node); node != nil {
		options = &client.SetOptions{PrevIndex: node.ModifiedIndex}
	}
	return call(ctx, b, func(ctx context.Context, keys client.KeysAPI) (bool, error) {
		_, err := keys.Set(ctx, was.Key, encodeValue(value), options)
		if refused(err, client.ErrorCodeTestFailed, client.ErrorCodeNodeExist, client.ErrorCodeKeyNotFound) {
			return false, nil
		}
		return err == nil, err
	})
}

func (b *backend) Delete(ctx context.Context, key string) (found bool, err error) {
	return call(ctx, b, func(ctx context.Context, keys client.KeysAPI) (bool, error) {
		_, err := keys.Delete(ctx, key, nil)
		if refused(err, client.ErrorCodeKeyNotFound) {
			return false, nil
		}
		return err == nil, err
	})
}
