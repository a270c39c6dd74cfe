package discovery_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/envharness/envharness/discovery"
)

// fake is an engine that keeps nothing but its configuration.
var fake = discovery.Engine{
	Scheme:  "fake",
	Secure:  true,
	Options: []discovery.Option{{Name: "colour"}},
	Layouts: []string{"native", "other"},
	Open:    func(context.Context, discovery.Config) (discovery.Registry, error) { return nil, nil },
}

func find(t *testing.T, url string) (discovery.Config, error) {
	t.Helper()
	_, config, err := discovery.NewEngines(fake).Find(url, discovery.WithGetenv(func(string) string { return "" }))
	return config, err
}

func TestConfig(t *testing.T) {
	c, err := find(t, "fakes://us%40er:p%2Fw@h1,h2:1,[::1]:2,[::2]/a/b/?timeout=1s&layout=other&stale=1&ca=/ca&cert=/c&key=/k&server-name=n&user-file=/u&token-file=/t&colour=red")
	require.NoError(t, err)
	require.True(t, c.Secure)
	require.Equal(t, []string{"h1:9", "h2:1", "[::1]:2", "[::2]:9"}, c.Addresses(9))
	require.Equal(t, "a/b", c.Prefix)
	require.Equal(t, "us@er", c.User)
	require.Equal(t, discovery.Secret("p/w"), c.Password)
	require.Equal(t, "other", c.Layout)
	require.Equal(t, time.Second, c.Timeout)
	require.True(t, c.Stale)
	require.Equal(t, []string{"/ca", "/c", "/k", "n", "/u", "/t"}, []string{c.CA, c.Cert, c.Key, c.ServerName, c.UserFile, c.TokenFile})
	require.Equal(t, map[string]string{"colour": "red"}, c.Options)
	require.NotContains(t, c.String(), "p%2Fw")
	require.NotContains(t, c.String(), "p/w")

	c, err = find(t, "fake://")
	require.NoError(t, err)
	require.Equal(t, []string{"localhost:9"}, c.Addresses(9))
	require.Equal(t, "native", c.Layout)
	require.Equal(t, discovery.DefaultTimeout, c.Timeout)
}

func TestBadURLs(t *testing.T) {
	const canary = "canary"
	for bad, say := range map[string]string{
		"":                                     "SCHEME://",
		"localhost:2379":                       "SCHEME://",
		"fake:h":                               "SCHEME://",
		"fake://u:canary@h:0":                  "port",
		"fake://u:canary@h:99999":              "port",
		"fake://u:canary@h:http":               "port",
		"fake://u:canary@h1,,h2":               "empty",
		"fake://u:canary@::1":                  "brackets",
		"fake://u:canary@[zz]":                 "IPv6",
		"fake://u:x/canary@h":                  "%2F",
		"fake://u:x?canary@h":                  "%3F",
		"fake://u:x#canary@h":                  "%23",
		"fake://u:canary@x/canary@h":           "%2F",
		"fake://u:canary%zz@h":                 "escaped",
		"fake://u:canary@h/%zz":                "escaped",
		"fake://u:canary@h#x":                  "fragment",
		"fake://u:canary@h?nonsense=1":         `unknown query key "nonsense"`,
		"fake://u:canary@h?timeout=5":          "timeout",
		"fake://u:canary@h?timeout=-5s":        "timeout",
		"fake://u:canary@h?stale=perhaps":      "stale",
		"fake://u:canary@h?layout=baroque":     "native, other",
		"fake://u:canary@h?ca=/ca":             "fakes://",
		"fakes://u:canary@h?cert=/c":           "together",
		"fake://u:canary@h?stale=1&stale=0":    "more than once",
		"fake://u:canary@h?colour=%zz&stale=1": "query",
	} {
		_, err := find(t, bad)
		require.ErrorIs(t, err, discovery.ErrInvalid, bad)
		require.ErrorContains(t, err, say, bad)
		require.NotContains(t, err.Error(), canary, bad)
	}
	_, err := find(t, "other://u:canary@h")
	require.ErrorIs(t, err, discovery.ErrUnknownEngine)
	require.ErrorContains(t, err, "fake, fakes")
	require.NotContains(t, err.Error(), canary)
}

func TestTwoEnginesForOneSchemePanic(t *testing.T) {
	require.Panics(t, func() { discovery.NewEngines(fake, discovery.Engine{Scheme: "fakes"}) })
}

func TestLoginAndToken(t *testing.T) {
	variables := map[string]string{"ENVDISCOVER_USER": "eu", "ENVDISCOVER_PASSWORD": "ep", "ENVDISCOVER_TOKEN": "et"}
	getenv := discovery.WithGetenv(func(name string) string { return variables[name] })
	directory := t.TempDir()
	path := filepath.Join(directory, "secret")
	require.NoError(t, os.WriteFile(path, []byte("fu:f:p\r\nmore\n"), 0o600))
	for text, want := range map[string]discovery.Credentials{
		"fake://h":                           {User: "eu", Password: "ep"},
		"fake://u@h":                         {User: "u", Password: "ep"},
		"fake://u:p@h":                       {User: "u", Password: "p"},
		"fake://u:p@h?user-file=" + path:     {User: "fu", Password: "f:p"},
		"fake://h?user-file=/nowhere/secret": {},
	} {
		_, c, err := discovery.NewEngines(fake).Find(text, getenv)
		require.NoError(t, err)
		login, err := c.Login()
		if want.IsZero() {
			require.ErrorIs(t, err, discovery.ErrInvalid)
		} else {
			require.NoError(t, err)
		}
		require.Equal(t, want, login)
	}
	_, c, err := discovery.NewEngines(fake).Find("fake://h?token-file="+path, getenv)
	require.NoError(t, err)
	token, err := c.Token()
	require.NoError(t, err)
	require.Equal(t, discovery.Secret("fu:f:p"), token)
	_, c, err = discovery.NewEngines(fake).Find("fake://h", getenv)
	require.NoError(t, err)
	token, err = c.Token()
	require.NoError(t, err)
	require.Equal(t, discovery.Secret("et"), token)
}

func FuzzRedact(f *testing.F) {
	f.Add("fake", "u", "h1,h2:1/x?y=z")
	f.Add("", "", "")
	f.Add("fake", "a@b:c", "%zz")
	f.Fuzz(func(t *testing.T, scheme, user, rest string) {
		const canary = "canary7391"
		text := scheme + "://" + user + ":" + canary + "@" + rest
		if strings.Contains(scheme, "://") || strings.Contains(rest, "canary") {
			return // then the password is not where a password stands
		}
		require.NotContains(t, discovery.Redact(text), canary)
		if _, err := find(t, text); err != nil {
			require.NotContains(t, err.Error(), canary)
		}
	})
}
