//go:build linux

package packaging_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/envharness/envharness/internal/testservers"
)

// inOverlay runs a script as root of a copy of this machine: its files through an overlay, its processes and its
// network elsewhere. Nothing of this machine changes. The release is in /mnt, $version is its number.
func inOverlay(t *testing.T, script string) string {
	t.Helper()
	directory := release(t)
	if os.Geteuid() != 0 {
		testservers.Missing(t, "root's privilege", "sudo make test")
	}
	const enter = `
mount -t tmpfs tmpfs "$0"
mkdir "$0/upper" "$0/work" "$0/root"
mount -t overlay -o "lowerdir=/,upperdir=$0/upper,workdir=$0/work" overlay "$0/root"
mount --bind "$1" "$0/root/mnt"
mount -t proc proc "$0/root/proc"
mount --rbind /dev "$0/root/dev"
mount -t tmpfs tmpfs "$0/root/run"
mount -t tmpfs tmpfs "$0/root/tmp"
version=$2 exec chroot "$0/root" sh -euc "$3"`
	var stderr bytes.Buffer
	cmd := exec.Command("unshare", "--mount", "--pid", "--fork", "--net", "--kill-child", "sh", "-euc", enter, t.TempDir(), directory, number, script)
	cmd.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", "DEBIAN_FRONTEND=noninteractive"}
	cmd.Stderr = &stderr
	text, err := cmd.Output()
	require.NoError(t, err, "%s%s", text, &stderr)
	return string(text)
}

// What each package of envdiscoverd has set up: a user, its directory, settings; and that it serves as its user.
const serves = `
is() { [ "$1" = "$2" ] || { echo "$1 is not $2"; exit 1; } >&2; }
is "$(stat -c '%U:%G %a' /var/lib/envdiscoverd)" "envdiscoverd:envdiscoverd 700"
is "$(id -gn envdiscoverd)" envdiscoverd
is "$(getent passwd envdiscoverd | cut -d: -f6)" /var/lib/envdiscoverd
ip link set lo up
setpriv --reuid envdiscoverd --regid envdiscoverd --clear-groups sh -c 'set -a; . /etc/default/envdiscoverd; exec envdiscoverd' >/tmp/log 2>&1 &
server=$!
for try in $(seq 600); do
	! curl -fsS http://127.0.0.1:7171/readyz >/dev/null 2>&1 || break
	kill -0 $server || { cat /tmp/log >&2; exit 1; }
	sleep 0.1
done
ENVDISCOVER_URL=etcd://127.0.0.1:7171 envdiscover put A b
kill $server
wait $server
[ -d /var/lib/envdiscoverd/member ] || ls -d /var/lib/envdiscoverd/*
`

const listed = `
for program in envharness envdiscover envdiscoverd; do
	[ -x /usr/bin/$program ] && [ -s /usr/share/bash-completion/completions/$program ] && [ -s /usr/share/fish/vendor_completions.d/$program.fish ]
	$program --version
done
man --where envharness
man --where 8 envdiscoverd
`

// TestDebian installs, upgrades, removes and purges by dpkg.
func TestDebian(t *testing.T) {
	t.Parallel()
	need(t, "dpkg")
	text := inOverlay(t, `
PATH=/usr/sbin:/usr/bin:/sbin:/bin
dpkg --install /mnt/*_linux_amd64.deb
`+listed+`
[ -s /usr/share/zsh/vendor-completions/_envharness ]
[ -s /usr/lib/systemd/system/envdiscoverd.service ]
dpkg --verify envharness envdiscover envdiscoverd
`+serves+`
echo '# mine' >>/etc/default/envdiscoverd
dpkg --install /mnt/envdiscoverd_*_linux_amd64.deb
grep -q mine /etc/default/envdiscoverd
dpkg --remove envdiscoverd
[ ! -e /usr/bin/envdiscoverd ] && [ -e /var/lib/envdiscoverd ] && [ -e /etc/default/envdiscoverd ]
dpkg --purge envdiscoverd
[ ! -e /var/lib/envdiscoverd ] && [ ! -e /etc/default/envdiscoverd ]
dpkg --remove envharness envdiscover
dpkg-deb --show /mnt/envharness_*_linux_arm64.deb`)
	require.Contains(t, text, "envharness v"+number)
	require.Contains(t, text, "/usr/share/man/man8/envdiscoverd.8.gz")
}

// TestRPM installs, upgrades and removes by rpm.
func TestRPM(t *testing.T) {
	t.Parallel()
	need(t, "rpm")
	text := inOverlay(t, `
PATH=/usr/sbin:/usr/bin:/sbin:/bin
rpm() { command rpm --force-debian "$@" 2>/tmp/rpm || { cat /tmp/rpm >&2; exit 1; }; }
rpm --nodeps --install /mnt/*_linux_amd64.rpm
`+listed+`
[ -s /usr/share/zsh/site-functions/_envharness ]
[ -s /usr/lib/systemd/system/envdiscoverd.service ]
rpm --verify --nodeps envharness envdiscover envdiscoverd
`+serves+`
echo '# mine' >>/etc/default/envdiscoverd
rpm --nodeps --upgrade --force /mnt/envdiscoverd_*_linux_amd64.rpm
grep -q mine /etc/default/envdiscoverd
rpm --erase envdiscoverd envharness envdiscover
[ ! -e /usr/bin/envdiscoverd ] && [ -e /var/lib/envdiscoverd ]
rpm -qp --queryformat '%{NAME} %{VERSION} %{ARCH} %{BUILDHOST}\n' /mnt/envharness_*_linux_arm64.rpm`)
	require.Contains(t, text, "envharness v"+number)
	require.Contains(t, text, " aarch64 localhost\n")
}

// TestAPK unpacks what Debian has no package manager of, and runs its script where there is only busybox.
func TestAPK(t *testing.T) {
	t.Parallel()
	need(t, "busybox")
	directory, root := release(t), t.TempDir()
	for _, name := range programs {
		output(t, "tar", "--extract", "--gzip", "--warning=no-unknown-keyword", "--file", filepath.Join(directory, name+"_"+number+"_linux_amd64.apk"), "--directory", root)
		checkTree(t, filepath.Join(root, "usr"), name)
		checkVersion(t, filepath.Join(root, "usr/bin", name))
	}
	for _, path := range []string{"etc/default/envdiscoverd", "etc/init.d/envdiscoverd", "usr/share/zsh/site-functions/_envdiscoverd", ".PKGINFO", ".post-upgrade"} {
		require.FileExists(t, filepath.Join(root, path))
	}
	if os.Geteuid() != 0 {
		testservers.Missing(t, "root's privilege", "sudo make test")
	}
	busybox, err := exec.LookPath("busybox")
	require.NoError(t, err)
	output(t, "sh", "-euc", `
cd "$0"
mkdir -p bin var/lib
cp "$1" bin/busybox
for name in sh grep mkdir chmod chown; do ln -s busybox bin/$name; done
# Debian's busybox was built without these two; with the words of the script they do this.
printf '#!/bin/sh\n[ "$*" = "-S envdiscoverd" ] && echo envdiscoverd:x:99: >>/etc/group\n' >bin/addgroup
printf '#!/bin/sh\n[ "$*" = "-S -D -H -h /var/lib/envdiscoverd -s /sbin/nologin -G envdiscoverd envdiscoverd" ] && echo envdiscoverd:x:99:99::/:/ >>/etc/passwd\n' >bin/adduser
chmod 755 bin/*
echo root:x:0:0::/:/bin/sh >etc/passwd
echo root:x:0: >etc/group
for round in 1 2; do chroot . /bin/sh -euc 'PATH=/bin; . /.post-install' sh 1.2.3-r0; done
grep -q ^envdiscoverd: etc/passwd
[ "$(stat -c %a var/lib/envdiscoverd)" = 700 ]
[ "$(stat -c %u var/lib/envdiscoverd)" = "$(grep ^envdiscoverd: etc/passwd | cut -d: -f3)" ]
chroot . /bin/sh -euc 'PATH=/bin; . /.pre-deinstall' sh 1.2.3-r0
chroot . /bin/sh -euc 'PATH=/bin; . /.post-deinstall' sh 1.2.3-r0
[ -d var/lib/envdiscoverd ]`, root, busybox)
}
