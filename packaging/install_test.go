//go:build linux

package packaging_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestInstall runs what docs/install.md tells to run on a machine, one block after the other, with the release that
// is here as the one that is fetched.
func TestInstall(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../docs/install.md")
	require.NoError(t, err)
	blocks := regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(string(text), -1)
	require.Len(t, blocks, 4)
	var script strings.Builder
	script.WriteString(`
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
curl() { for word; do case $word in https://*/v"$version"/*) cp "/mnt/${word##*/}" . ;; esac; done; }
cd /tmp
rm -rf /usr/local/bin/env*
find /usr /var/lib -name 'env*' | sort >/tmp/before
`)
	for i, block := range blocks {
		script.WriteString(strings.ReplaceAll(block[1], "version=1.2.3", "version="+number))
		if i == 2 {
			script.WriteString(listed)
			script.WriteString("[ \"$(command -v envharness)\" = /usr/local/bin/envharness ]\n")
			script.WriteString("[ -s /usr/local/share/man/man1/envharness.1.gz ] && [ -s /usr/local/lib/systemd/system/envdiscoverd.service ]\n")
		}
	}
	script.WriteString("find /usr /var/lib -name 'env*' | sort >/tmp/after\ndiff /tmp/before /tmp/after >&2\n")
	require.Contains(t, inOverlay(t, strings.Replace(script.String(), "in envharness envdiscover envdiscoverd; do\n	[ -x", "in envharness envdiscoverd; do\n	[ -x", 1)), "v"+number)
}
