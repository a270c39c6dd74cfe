package files

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/discovery/driver"
	"github.com/envharness/envharness/discovery/engines"
	"github.com/envharness/envharness/discovery/layout"
	"github.com/envharness/envharness/discovery/registrytest"
)

// TestConformance: the directory is the server. When it is moved away nobody can ask it, and who comes by a link is
// cut off by the link.
func TestConformance(t *testing.T) {
	home := t.TempDir()
	near, far, away := filepath.Join(home, "near"), filepath.Join(home, "far"), filepath.Join(home, "away")
	require.NoError(t, os.Mkdir(near, 0o700))
	require.NoError(t, os.Symlink(near, far))
	move := func(from, to string) func(testing.TB) {
		return func(t testing.TB) { require.NoError(t, os.Rename(from, to)) }
	}
	url := func(directory string) func(string) string {
		return func(prefix string) string { return "files://" + directory + "/" + prefix }
	}
	dead := filepath.Join(home, "dead")
	registrytest.Run(t, registrytest.Server{
		Engine:  Engine,
		URL:     url(near),
		FarURL:  url(far),
		Kill:    move(near, away),
		Restart: move(away, near),
		Pause:   move(near, away),
		Resume:  move(away, near),
		Cut:     func(t testing.TB) { require.NoError(t, os.Remove(far)) },
		Mend:    func(t testing.TB) { require.NoError(t, os.Symlink(near, far)) },
		Compact: func(testing.TB) {}, // it never knows more than the present
		Revoke: func(t testing.TB, prefix string) {
			b := backendOf(t, url(near)(prefix))
			require.NoError(t, b.alone(t.Context(), b.revoke))
		},
		Malform: func(t testing.TB, prefix, service string) {
			b := backendOf(t, url(near)(prefix))
			require.NoError(t, b.alone(t.Context(), func(d driver.Space) error { return b.malform(d, service) }))
		},
		PlainNames:  true, // those that are too long for a file
		DeniedURL:   deniedURL(t),
		DeadURL:     "files://" + dead + "/x",
		DeadAddress: dead,
		Count:       200,
		Watchers:    20,
	})
}

// TestOneLine makes it known beside the others.
func TestOneLine(t *testing.T) {
	all := discovery.NewEngines(append(slices.Clone(engines.All), Engine)...)
	registry, err := all.Open(t.Context(), "files://"+t.TempDir()+"/x")
	require.NoError(t, err)
	require.NoError(t, registry.Close())
	require.NoError(t, all.Check(t.Context(), "files://"+t.TempDir()+"/x"))
	for _, wrong := range []string{"files://host/x", "files:///"} {
		_, err = all.Open(t.Context(), wrong)
		require.ErrorIs(t, err, discovery.ErrInvalid)
	}
}

func backendOf(t testing.TB, url string) *backend {
	_, config, err := discovery.NewEngines(Engine).Find(url)
	require.NoError(t, err)
	return newBackend(config)
}

func (b *backend) layout() layout.Layout { return layout.Native(filepath.Base(b.path)) }

// revoke removes every registration, leader and lock.
func (b *backend) revoke(d driver.Space) error {
	election, err := b.layout().ElectionKey("X")
	if err != nil {
		return err
	}
	lock, err := b.layout().LockKey("X")
	if err != nil {
		return err
	}
	for _, prefix := range []string{b.layout().ServicesPrefix(), filepath.Dir(election) + "/", filepath.Dir(lock) + "/"} {
		files, err := d.List(prefix)
		if err != nil {
			return err
		}
		for _, item := range files.Items {
			if err := d.Remove(item.Key); err != nil {
				return err
			}
		}
	}
	return nil
}

// malform writes what is no record.
func (b *backend) malform(d driver.Space, service string) error {
	prefix, err := b.layout().ServicePrefix(service)
	if err != nil {
		return err
	}
	for name, data := range map[string]string{
		"empty":       "",
		"text":        "10.0.0.5:80",
		"list":        "[]",
		"null":        "null",
		"ports":       `{"ports":{"http":"eighty"}}`,
		"%zz":         "{}",
		"un%5Fescape": "{}",
		"../loose":    "{}",
		"sub/a":       "{}",
	} {
		if err := d.Write(prefix+name, []byte(data), "", time.Hour); err != nil {
			return err
		}
	}
	return nil
}

// deniedURL is a directory that may not be written, whoever asks; "" where the kernel has none.
func deniedURL(t testing.TB) string {
	directory := t.TempDir()
	require.NoError(t, os.Chmod(directory, 0o500))
	if os.Getuid() == 0 { // who may write everything but what the kernel makes
		directory = "/sys"
	}
	if err := os.Mkdir(filepath.Join(directory, "x"), 0o700); !errors.Is(err, fs.ErrPermission) && !errors.Is(err, syscall.EROFS) {
		t.Logf("nothing is denied to this user: %v", err)
		return ""
	}
	return "files://" + directory + "/x"
}
