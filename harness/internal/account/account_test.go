package account_test

import (
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/envharness/envharness/harness/internal/account"
)

var current = account.Account{UID: 7, GID: 8, Home: "/"}

const passwd = `root:x:0:0:root:/root:/bin/sh
# app:x:1:1::/commented:/bin/sh

  app:x:1001:1002:An app:/home/app:/bin/sh
app:x:0:0:a second line:/root:/bin/sh
seven:x:7:70::/seven:/bin/sh
short:x:1003:1004
broken:x::0:::
`

const group = `root:x:0:
app:x:1002:
video:x:44:other,app
again:x:44:app
wheel:x:2000:app
empty:x::nobody
`

func TestFind(t *testing.T) {
	app := account.Account{UID: 1001, GID: 1002, Groups: []uint32{44, 2000}, Home: "/home/app"}
	for spec, want := range map[string]account.Account{
		"app":             app,
		"1001":            app,
		"app:":            app,
		"app:video":       {UID: 1001, GID: 44, Home: "/home/app"},
		"app:55":          {UID: 1001, GID: 55, Home: "/home/app"},
		"4242":            {UID: 4242, GID: 8, Home: "/"},
		"4242:4343":       {UID: 4242, GID: 4343, Home: "/"},
		"4294967294":      {UID: 4294967294, GID: 8, Home: "/"},
		"short":           {UID: 1003, GID: 1004, Home: "/"},
		"00001001:000055": {UID: 1001, GID: 55, Home: "/home/app"},
	} {
		got, err := account.Files{Passwd: passwd, Group: group}.Find(spec, current)
		require.NoError(t, err, spec)
		require.Equal(t, want, got, spec)
	}
}

func TestFindRefuses(t *testing.T) {
	for spec, problem := range map[string]string{
		"stranger":       "no such user",
		"":               "names no user",
		":":              "names no user",
		":wheel":         "names no user",
		"app:stranger":   "no such group",
		"-5":             "no such user",
		"-0":             "no such user",
		"+0":             "no such user",
		"0x10":           "no such user",
		" 0":             "no such user",
		"4294967295":     "is over 4294967294",
		"4294967296":     "is over 4294967294",
		"0:4294967295":   "is over 4294967294",
		"0:-1":           "no such group",
		"broken":         "line 8 of /etc/passwd has no user ID",
		"app:empty":      "line 6 of /etc/group has no group ID",
		"99999999999999": "is over",
	} {
		_, err := account.Files{Passwd: passwd, Group: group}.Find(spec, current)
		require.ErrorContains(t, err, problem, spec)
	}
}

// malformed are IDs that some reader takes for 0, or for another one, or for no change.
var malformed = []string{"", "${UID}", "0x10", "4294967296", "4294967295", "-1", "+1", "1 ", " 1", "1e3", "1_000", "٣", "x"}

func TestFindRefusesMalformedLines(t *testing.T) {
	for _, id := range malformed {
		for line, text := range map[string]account.Files{
			"uid":      {Passwd: "app:x:" + id + ":1:::\n"},
			"gid":      {Passwd: "app:x:1:" + id + ":::\n"},
			"group":    {Passwd: "app:x:1:1:::\n", Group: "video:x:" + id + ":app\n"},
			"own line": {Passwd: "app:x:" + id + "\napp:x:1:1:::\n"},
		} {
			_, err := text.Find("app", current)
			require.ErrorContains(t, err, "line 1 of /etc/", "%s %q", line, id)
		}
		_, err := account.Files{Group: "video:x:" + id + ":\n"}.Find("1:video", current)
		require.ErrorContains(t, err, "line 1 of /etc/group", id)
	}
}

func TestFindToleratesLinesOfOthers(t *testing.T) {
	files := account.Files{Passwd: "other:x:${UID}\n:::\napp:x:1:2:::\n", Group: "other:x:${GID}:others\nx\n"}
	got, err := files.Find("app", current)
	require.NoError(t, err)
	require.Equal(t, account.Account{UID: 1, GID: 2, Home: "/"}, got)
}

// FuzzFind: whatever the files hold, an ID comes from digits of a line or of the question, and never is that of no
// change.
func FuzzFind(f *testing.F) {
	f.Add(passwd, group, "app:video")
	f.Add("app:x:${UID}:0:::", "app:x::app", "app")
	f.Add("a:x:-1:0x10:::", "", "a")
	f.Fuzz(func(t *testing.T, passwd, group, spec string) {
		got, err := account.Files{Passwd: passwd, Group: group}.Find(spec, current)
		if err != nil {
			require.Zero(t, got.UID+got.GID, "nobody could take it for an account")
			return
		}
		known := strings.Join([]string{passwd, group, spec}, "\n")
		for _, id := range append(got.Groups, got.UID, got.GID) {
			require.NotEqual(t, ^uint32(0), id)
			require.True(t, id == current.UID || id == current.GID || strings.Contains(known, strconv.FormatUint(uint64(id), 10)), id)
		}
		require.NotEmpty(t, got.Home)
	})
}
