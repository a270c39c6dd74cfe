package securefile_test

import (
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/envharness/envharness/internal/securefile"
)

// stranger is another user than the tests'.
const stranger = 65533

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() == 0 {
		return
	}
	if os.Getenv("ENVHARNESS_TEST_REQUIRE") == "all" {
		t.Fatal("root is needed, to make files of another user")
	}
	t.Skip("root is needed, to make files of another user")
}

// give makes a file the stranger's; a link itself, not where it leads.
func give(t *testing.T, path string) {
	t.Helper()
	needRoot(t)
	require.NoError(t, os.Lchown(path, stranger, stranger))
}

func read(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(content)
}

func write(path, content string) error {
	return securefile.Write(path, []byte(content), 0o600, nil)
}

func names(t *testing.T, dir string) (list []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return list
}

func TestWriteReplacesAsAWhole(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	require.NoError(t, write(path, "one"))
	old, err := os.Open(path)
	require.NoError(t, err)
	defer old.Close()
	require.NoError(t, write(path, "two"))
	require.Equal(t, "two", read(t, path))
	content, err := io.ReadAll(old)
	require.NoError(t, err)
	require.Equal(t, "one", string(content), "who has the old one open")
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode())
	require.Equal(t, []string{"file"}, names(t, dir))
}

func TestWriteLeavesNothingBehind(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	require.NoError(t, os.MkdirAll(filepath.Join(path, "in use"), 0o700))
	require.ErrorIs(t, write(path, "x"), syscall.EISDIR)
	require.ErrorIs(t, write(dir+"/", "x"), syscall.EISDIR)
	require.ErrorIs(t, write(filepath.Join(dir, "missing", "file"), "x"), os.ErrNotExist)
	require.Error(t, write("", "x"))
	require.Equal(t, []string{"file"}, names(t, dir))
}

func TestWriteTakesTheLongestName(t *testing.T) {
	path := filepath.Join(t.TempDir(), strings.Repeat("n", 255))
	require.NoError(t, write(path, "x"))
	require.Equal(t, "x", read(t, path))
}

func TestWriteGivesAway(t *testing.T) {
	needRoot(t)
	path := filepath.Join(t.TempDir(), "file")
	require.NoError(t, securefile.Write(path, []byte("x"), 0o400, &securefile.Owner{UID: 12, GID: 34}))
	info, err := os.Stat(path)
	require.NoError(t, err)
	status := info.Sys().(*syscall.Stat_t)
	require.Equal(t, [3]uint32{12, 34, 0o400}, [3]uint32{status.Uid, status.Gid, uint32(status.Mode) & 0o7777})
}

// tree is a directory with a target and links to it: link leads to the file, way to its directory.
func tree(t *testing.T) (dir, target string) {
	t.Helper()
	dir = t.TempDir()
	target = filepath.Join(dir, "real", "file")
	require.NoError(t, os.Mkdir(filepath.Dir(target), 0o755))
	require.NoError(t, os.WriteFile(target, []byte("old"), 0o600))
	require.NoError(t, os.Symlink("real/../real/file", filepath.Join(dir, "link")))
	require.NoError(t, os.Symlink(filepath.Join(dir, "real"), filepath.Join(dir, "way")))
	return dir, target
}

func TestWriteFollowsOwnLinks(t *testing.T) {
	for _, name := range []string{"link", "way/file", "real/../way/./file", "way//new"} {
		t.Run(strings.ReplaceAll(name, "/", "_"), func(t *testing.T) {
			dir, _ := tree(t)
			require.NoError(t, write(dir+"/"+name, "new"))
			require.Equal(t, "new", read(t, dir+"/"+name))
			info, err := os.Lstat(filepath.Join(dir, "link"))
			require.NoError(t, err)
			require.NotZero(t, info.Mode()&os.ModeSymlink, "the link stays")
		})
	}
}

func TestWriteFollowsNoLinkOfAStranger(t *testing.T) {
	dir, target := tree(t)
	give(t, filepath.Join(dir, "link"))
	give(t, filepath.Join(dir, "way"))
	for _, name := range []string{"link", "way/file", "way/new"} {
		err := write(filepath.Join(dir, name), "secret")
		require.ErrorIs(t, err, securefile.ErrForeign, name)
		require.ErrorContains(t, err, "is a link that another user has made")
	}
	require.Equal(t, "old", read(t, target))
	require.Equal(t, []string{"file"}, names(t, filepath.Dir(target)))
}

// Whoever may rename what a directory holds can move a link of root's there, and without fs.protected_hardlinks
// anybody can give it a second name in a directory that is everybody's.
func TestWriteFollowsNoLinkThatWasMoved(t *testing.T) {
	for name, change := range map[string]func(t *testing.T, shared string){
		"a stranger's directory": give,
		"a group's directory": func(t *testing.T, shared string) {
			needRoot(t)
			os.Chown(shared, -1, stranger)
			os.Chmod(shared, 0o775)
		},
		"everybody's directory":         func(_ *testing.T, shared string) { os.Chmod(shared, 0o777) },
		"a second name in a sticky one": func(_ *testing.T, shared string) { os.Chmod(shared, os.ModeSticky|0o777) },
	} {
		t.Run(name, func(t *testing.T) {
			dir, target := tree(t)
			shared := filepath.Join(dir, "shared")
			require.NoError(t, os.Mkdir(shared, 0o700))
			require.NoError(t, os.Link(filepath.Join(dir, "way"), filepath.Join(shared, "way")))
			change(t, shared)
			require.ErrorIs(t, write(filepath.Join(shared, "way", "file"), "secret"), securefile.ErrForeign)
			require.Equal(t, "old", read(t, target))
		})
	}
}

func TestWriteFollowsOwnLinkInASharedDirectory(t *testing.T) {
	dir, target := tree(t)
	require.NoError(t, os.Chmod(dir, os.ModeSticky|0o777))
	require.NoError(t, write(filepath.Join(dir, "way", "file"), "new"))
	require.Equal(t, "new", read(t, target))
}

func TestWriteEndsInALoop(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.Symlink("b", filepath.Join(dir, "a")))
	require.NoError(t, os.Symlink("a", filepath.Join(dir, "b")))
	require.ErrorIs(t, write(filepath.Join(dir, "a"), "x"), syscall.ELOOP)
	require.ErrorIs(t, write(filepath.Join(dir, "a", "x"), "x"), syscall.ELOOP)
}

func TestWriteToAFifo(t *testing.T) {
	path := filepath.Join(t.TempDir(), "fifo")
	require.NoError(t, syscall.Mkfifo(path, 0o600))
	err := write(path, "x")
	require.ErrorIs(t, err, syscall.ENXIO)
	require.ErrorContains(t, err, "nobody reads")

	reader, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	require.NoError(t, err)
	defer reader.Close()
	require.NoError(t, write(path, "for you"))
	got := make([]byte, 7)
	_, err = io.ReadFull(reader, got)
	require.NoError(t, err)
	require.Equal(t, "for you", string(got))

	err = write(path, strings.Repeat("x", 1<<20))
	require.ErrorIs(t, err, syscall.EAGAIN, "a reader that does not read holds nobody up")
}

func TestWriteToNoFifoOfAStranger(t *testing.T) {
	path := filepath.Join(t.TempDir(), "fifo")
	require.NoError(t, syscall.Mkfifo(path, 0o666))
	give(t, path)
	reader, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	require.NoError(t, err)
	defer reader.Close()
	require.ErrorIs(t, write(path, "secret"), securefile.ErrForeign)
	n, _ := reader.Read(make([]byte, 1))
	require.LessOrEqual(t, n, 0)
}

func TestWriteToADevice(t *testing.T) {
	require.NoError(t, write("/dev/null", "x"))
	info, err := os.Stat("/dev/null")
	require.NoError(t, err)
	require.NotZero(t, info.Mode()&os.ModeCharDevice)
}

func TestWriteToOwnDescriptors(t *testing.T) {
	reader, writer, err := os.Pipe()
	require.NoError(t, err)
	defer reader.Close()
	defer writer.Close()
	number := strconv.Itoa(int(writer.Fd()))
	link := filepath.Join(t.TempDir(), "log")
	require.NoError(t, os.Symlink("/dev/fd/"+number, link))
	for _, path := range []string{"/dev/fd/" + number, "/proc/self/fd/" + number, link} {
		require.NoError(t, write(path, "x"))
		got := make([]byte, 2)
		n, err := reader.Read(got)
		require.NoError(t, err)
		require.Equal(t, "x", string(got[:n]))
	}
	parent := "/proc/" + strconv.Itoa(os.Getppid()) + "/fd/0"
	require.ErrorIs(t, write(parent, "x"), syscall.ELOOP)
}

// What is exchanged while it is looked at does not matter: what was looked at is used.
func TestWriteIsNotOutrun(t *testing.T) {
	dir, target := tree(t)
	link := filepath.Join(dir, "exchanged")
	stop, stopped := make(chan struct{}), make(chan struct{})
	needRoot(t)
	go func() {
		defer close(stopped)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			name := link + strconv.Itoa(i%2)
			if i%2 == 0 {
				os.Mkdir(name, 0o755)
			} else {
				os.Symlink("real", name)
				os.Lchown(name, stranger, stranger)
			}
			os.RemoveAll(link)
			os.Rename(name, link)
		}
	}()
	for range 300 {
		write(filepath.Join(link, "file"), "secret")
	}
	close(stop)
	<-stopped
	require.Equal(t, "old", read(t, target))
}

func TestDir(t *testing.T) {
	parent := t.TempDir()
	d, err := securefile.MakeDir(filepath.Join(parent, "a", "b")+"/", 0o700)
	require.NoError(t, err)
	defer d.Close()
	owner, mode, err := d.Stat()
	require.NoError(t, err)
	require.Equal(t, securefile.Owner{UID: os.Geteuid(), GID: os.Getegid()}, owner)
	require.Equal(t, os.FileMode(0o700), mode)
	require.Empty(t, d.Foreign())

	require.NoError(t, d.Write("A", []byte("value"), 0o600, nil))
	content, info, err := d.Read("A", 3)
	require.NoError(t, err)
	require.Equal(t, "val", string(content))
	require.EqualValues(t, 5, info.Size)
	for _, name := range []string{"", ".", "..", "../x", "a/b", "a\x00"} {
		require.Error(t, d.Write(name, nil, 0o600, nil), "%q", name)
	}
	require.NoError(t, os.Symlink("A", filepath.Join(parent, "a", "b", "link")))
	_, _, err = d.Read("link", 9)
	require.Error(t, err)
	require.NoError(t, d.Remove("A"))
	require.NoError(t, d.Remove("A"))
	require.Equal(t, []string{"link"}, names(t, filepath.Join(parent, "a", "b")))
}

func TestDirIsNoLink(t *testing.T) {
	dir, _ := tree(t)
	for _, name := range []string{"way", "way/", "way//"} {
		_, err := securefile.MakeDir(dir+"/"+name, 0o700)
		require.ErrorContains(t, err, "is a link", name)
	}
	for _, name := range []string{"way", "way/", "way/.", "real", "."} {
		d, err := securefile.OpenDir(dir+"/"+name, true)
		require.NoError(t, err, name)
		d.Close()
	}
	_, err := securefile.OpenDir(filepath.Join(dir, "missing"), false)
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestDirTellsWhoElseHasASay(t *testing.T) {
	parent := t.TempDir()
	path := filepath.Join(parent, "theirs", "mine")
	require.NoError(t, os.MkdirAll(path, 0o700))
	give(t, filepath.Dir(path))
	d, err := securefile.OpenDir(path, false)
	require.NoError(t, err)
	defer d.Close()
	require.Equal(t, filepath.Dir(path), d.Foreign())
}
