package registryd

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc/metadata"

	"github.com/envharness/envharness/internal/safebuffer"
	"github.com/envharness/envharness/internal/testservers"
)

// ownAddress is an address of this machine that is not loopback.
func ownAddress(t testing.TB) string {
	t.Helper()
	addresses, err := net.InterfaceAddrs()
	require.NoError(t, err)
	for _, address := range addresses {
		network, ok := address.(*net.IPNet)
		if ok && network.IP.To4() != nil && network.IP.IsGlobalUnicast() {
			return network.IP.String()
		}
	}
	testservers.Missing(t, "an address that is not loopback", "ip address add 10.255.255.1/32 dev lo")
	return ""
}

// guarded starts a registry with users: root, and web, who may only read and write what begins with WEB. Its two
// URLs are of loopback and of another address.
func guarded(t *testing.T, options Options) (near, far string) {
	t.Helper()
	options.Auth = true
	options.Listen = []string{"127.0.0.1:0", ownAddress(t) + ":0"}
	options.Insecure = options.Cert == ""
	server, near := start(t, options)
	far = strings.Split(near, "//")[0] + "//" + server.Addresses()[1]
	if options.Cert != "" {
		return near, far
	}
	refusedHere(t, 403, far) // there are no users yet
	makeUsers(t, etcdClient(t, near))
	return near, far
}

func makeUsers(t testing.TB, client *clientv3.Client) {
	t.Helper()
	ctx := t.Context()
	for _, do := range []func() error{
		func() error { _, err := client.RoleAdd(ctx, "root"); return err },
		func() error { _, err := client.UserAdd(ctx, "root", "rootpw"); return err },
		func() error { _, err := client.UserGrantRole(ctx, "root", "root"); return err },
		func() error { _, err := client.RoleAdd(ctx, "web"); return err },
		func() error {
			const prefix = "/envharness/environment/WEB"
			_, err := client.RoleGrantPermission(ctx, "web", prefix, clientv3.GetPrefixRangeEnd(prefix), clientv3.PermissionType(clientv3.PermReadWrite))
			return err
		},
		func() error { _, err := client.UserAdd(ctx, "web", "webpw"); return err },
		func() error { _, err := client.UserGrantRole(ctx, "web", "web"); return err },
		func() error { _, err := client.AuthEnable(ctx); return err },
	} {
		require.NoError(t, do())
	}
}

func as(t testing.TB, user, password, method, url, body string) answer {
	t.Helper()
	request := newRequest(t, method, url, body)
	request.SetBasicAuth(user, password)
	return do(t, http.DefaultClient, request)
}

// refusedHere asserts that nothing but health is told without credentials.
func refusedHere(t testing.TB, status int, url string) {
	t.Helper()
	for _, path := range []string{"/", "/page.js", "/environment", "/environment/WEB", "/services", "/services/web", "/watch", "/metrics", "/prometheus", "/nowhere"} {
		refused(t, status, ask(t, "GET", url+path, ""))
	}
	refused(t, status, ask(t, "PUT", url+"/environment/WEB", "x"))
	refused(t, status, ask(t, "PUT", url+"/services/web/a", `{"host":"h"}`))
	require.Equal(t, 200, ask(t, "GET", url+"/healthz", "").status)
	require.Equal(t, 200, ask(t, "GET", url+"/readyz", "").status)
}

func TestAuth(t *testing.T) {
	log := &safebuffer.Buffer{}
	near, far := guarded(t, Options{Log: logTo(log)})
	for name, url := range map[string]string{"loopback": near, "far": far} {
		t.Run(name, func(t *testing.T) {
			refusedHere(t, 401, url)
			require.Contains(t, ask(t, "GET", url+"/", "").header.Get("Www-Authenticate"), "Basic")
			require.Equal(t, 204, as(t, "web", "webpw", "PUT", url+"/environment/WEB", "x").status)
			require.Equal(t, "x", as(t, "root", "rootpw", "GET", url+"/environment/WEB", "").body)
			refused(t, 403, as(t, "web", "webpw", "GET", url+"/environment/OTHER", ""))
			refused(t, 403, as(t, "web", "webpw", "PUT", url+"/environment/OTHER", "x"))
			refused(t, 403, as(t, "web", "webpw", "GET", url+"/environment", ""))
			refused(t, 403, as(t, "web", "webpw", "PUT", url+"/services/web/a", `{"host":"h"}`))
			require.Equal(t, 200, as(t, "root", "rootpw", "PUT", url+"/services/web/a", `{"host":"h"}`).status)
			require.Equal(t, 200, as(t, "web", "webpw", "GET", url+"/", "").status)

			client := login(t, url, "web", "webpw")
			_, err := client.Get(t.Context(), "/envharness/environment/WEB")
			require.NoError(t, err)
			_, err = client.Get(t.Context(), "/envharness/environment/OTHER")
			require.ErrorIs(t, err, rpctypes.ErrPermissionDenied)
			token, err := client.Authenticate(t.Context(), "web", "webpw")
			require.NoError(t, err)
			for _, header := range []string{token.Token, "Bearer " + token.Token} {
				require.Equal(t, "x", ask(t, "GET", url+"/environment/WEB", "", "Authorization", header).body)
				refused(t, 403, ask(t, "GET", url+"/environment/OTHER", "", "Authorization", header))
			}
			for _, header := range []string{"Bearer", "Bearer x", "x", "Digest x", "Basic x"} {
				refused(t, 401, ask(t, "GET", url+"/environment/WEB", "", "Authorization", header))
			}
			nobody := etcdClient(t, url)
			for what, do := range map[string]func() error{
				"get":    func() error { _, err := nobody.Get(t.Context(), "x"); return err },
				"grant":  func() error { _, err := nobody.Grant(t.Context(), 100); return err },
				"leases": func() error { _, err := nobody.Leases(t.Context()); return err },
				"list":   func() error { _, err := nobody.MemberList(t.Context()); return err },
				"status": func() error { _, err := nobody.Status(t.Context(), strings.TrimPrefix(url, "http://")); return err },
				"users":  func() error { _, err := nobody.UserList(t.Context()); return err },
			} {
				require.ErrorContains(t, do(), "asked for", what)
			}
		})
	}
	for _, secret := range []string{"webpw", "rootpw"} {
		require.NotContains(t, log.String(), secret)
	}
}

func login(t testing.TB, url, user, password string) *clientv3.Client {
	t.Helper()
	client, err := clientv3.New(clientv3.Config{
		Endpoints: []string{strings.TrimPrefix(url, "http://")}, Username: user, Password: password, Logger: zap.NewNop(),
	})
	require.NoError(t, err)
	t.Cleanup(func() { client.Close() })
	return client
}

// TestChangedPassword: a login that is remembered is good no longer than etcd says.
func TestChangedPassword(t *testing.T) {
	url, _ := guarded(t, Options{})
	require.Equal(t, 204, as(t, "web", "webpw", "PUT", url+"/environment/WEB", "x").status)
	root := login(t, url, "root", "rootpw")
	_, err := root.UserChangePassword(t.Context(), "web", "newpw")
	require.NoError(t, err)
	refused(t, 401, as(t, "web", "webpw", "GET", url+"/environment/WEB", ""))
	require.Equal(t, "x", as(t, "web", "newpw", "GET", url+"/environment/WEB", "").body)
	_, err = root.UserDelete(t.Context(), "web")
	require.NoError(t, err)
	refused(t, 401, as(t, "web", "newpw", "GET", url+"/environment/WEB", ""))
}

// TestRevoked: what a user reads on ends when the user is gone, and nobody comes in by a token that is remembered.
func TestRevoked(t *testing.T) {
	t.Parallel()
	url, _ := guarded(t, Options{})
	root := login(t, url, "root", "rootpw")
	_, err := root.UserGrantRole(t.Context(), "web", "root")
	require.NoError(t, err)
	require.Equal(t, 200, as(t, "root", "rootpw", "PUT", url+"/services/web/a?ttl=1h", `{"host":"h"}`).status)

	watch := func(user, password string) (*http.Response, error) {
		request := newRequest(t, "GET", url+"/watch", "")
		request.SetBasicAuth(user, password)
		return http.DefaultClient.Do(request)
	}
	open, err := watch("web", "webpw")
	require.NoError(t, err)
	defer open.Body.Close()
	require.Equal(t, 200, open.StatusCode)
	token, err := etcdClient(t, url).Authenticate(t.Context(), "web", "webpw")
	require.NoError(t, err)
	calls := metadata.AppendToOutgoingContext(t.Context(), rpctypes.TokenFieldNameGRPC, token.Token)
	stream, err := etcdserverpb.NewWatchClient(etcdClient(t, url).ActiveConnection()).Watch(calls)
	require.NoError(t, err)
	require.NoError(t, stream.Send(&etcdserverpb.WatchRequest{RequestUnion: &etcdserverpb.WatchRequest_CreateRequest{
		CreateRequest: &etcdserverpb.WatchCreateRequest{Key: []byte("/"), RangeEnd: []byte("0")},
	}}))
	_, err = stream.Recv()
	require.NoError(t, err)

	_, err = root.UserChangePassword(t.Context(), "web", "newpw")
	require.NoError(t, err)
	again, err := watch("web", "webpw")
	require.NoError(t, err)
	again.Body.Close()
	require.Equal(t, 401, again.StatusCode, "while the other one is open")
	_, err = io.Copy(io.Discard, open.Body)
	require.NoError(t, err)
	_, err = stream.Recv()
	require.Error(t, err)
	fresh, err := watch("web", "newpw")
	require.NoError(t, err)
	fresh.Body.Close()
	require.Equal(t, 200, fresh.StatusCode)
}

// TestNarrowedRole: who may see less than before is asked to come again, and sees less then.
func TestNarrowedRole(t *testing.T) {
	t.Parallel()
	url, _ := guarded(t, Options{})
	root := login(t, url, "root", "rootpw")
	_, err := root.UserGrantRole(t.Context(), "web", "root")
	require.NoError(t, err)
	require.Equal(t, 200, as(t, "root", "rootpw", "PUT", url+"/services/web/a?ttl=1h", `{"host":"h"}`).status)
	watch := func() string {
		request := newRequest(t, "GET", url+"/watch", "")
		request.SetBasicAuth("web", "webpw")
		response, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		t.Cleanup(func() { response.Body.Close() })
		events := &events{bufio.NewScanner(response.Body)}
		return events.next(t)
	}
	require.Contains(t, watch(), `"web"`)
	_, err = root.UserRevokeRole(t.Context(), "web", "root")
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		return watch() == `current {"current":false,"denied":true,"reason":"this user may not do that"}`
	}, patience, 50*time.Millisecond)
}

// TestUnknownUser: who logs in as somebody that there is not, learns that no sooner than that the password is
// wrong.
func TestUnknownUser(t *testing.T) {
	t.Parallel()
	url, _ := guarded(t, Options{})
	took := map[string]time.Duration{}
	for i := range 3 {
		for _, user := range []string{"web", fmt.Sprint("nobody", i)} {
			begin := time.Now()
			refused(t, 401, as(t, user, fmt.Sprint("guess", i), "GET", url+"/environment/WEB", ""))
			took[user[:3]] += time.Since(begin)
		}
	}
	require.GreaterOrEqual(t, took["nob"], 3*failureTime)
	require.GreaterOrEqual(t, took["web"], 3*failureTime)
}

// TestNoUsers: credentials that nobody has asked for are nobody's, so that all who send some are one.
func TestNoUsers(t *testing.T) {
	server, url := start(t, Options{})
	for i := range 20 {
		request := newRequest(t, "GET", url+"/watch", "")
		request.SetBasicAuth("user", fmt.Sprint(i))
		if i%2 == 0 {
			request.Header.Set("Authorization", fmt.Sprint("Bearer ", i))
		}
		response, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		t.Cleanup(func() { response.Body.Close() })
		require.Equal(t, 200, response.StatusCode)
	}
	server.handler.mirrors.lock.Lock()
	defer server.handler.mirrors.lock.Unlock()
	require.Len(t, server.handler.mirrors.byCaller, 1)
}

// TestGuessing: who fails too often has to wait, by either protocol; everybody else of that place does not, and
// those who are known go on.
func TestGuessing(t *testing.T) {
	t.Parallel()
	url, _ := guarded(t, Options{})
	require.Equal(t, 204, as(t, "web", "webpw", "PUT", url+"/environment/WEB", "x").status)
	for i := range failuresAllowed {
		refused(t, 401, as(t, "web", fmt.Sprint("guess", i), "GET", url+"/environment/WEB", ""))
	}
	metrics := func() string { return as(t, "root", "rootpw", "GET", url+"/metrics", "").body }
	require.NotContains(t, metrics(), `envdiscoverd_refused_total{reason="delayed"}`)

	guesses := make(chan error, 20)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	guesser := etcdClient(t, url)
	for range cap(guesses) { // so many that some of them are refused
		go func() {
			_, err := guesser.Authenticate(ctx, "web", "guess")
			guesses <- err
		}()
	}
	delayed := false
	for range cap(guesses) { // those that were let through may answer before
		if delayed = strings.Contains(fmt.Sprint(<-guesses), "too many failed logins"); delayed {
			break
		}
	}
	require.True(t, delayed)
	require.Contains(t, metrics(), `envdiscoverd_refused_total{reason="delayed"}`)
	require.Equal(t, "x", as(t, "web", "webpw", "GET", url+"/environment/WEB", "").body, "who is known")
	_, err := etcdClient(t, url).Authenticate(t.Context(), "root", "rootpw")
	require.NoError(t, err, "another user")
	cancel()
	client := etcdClient(t, url)
	require.Eventually(t, func() bool { // those that are given up are still in line for a moment
		_, err = client.Authenticate(t.Context(), "web", "webpw")
		return !strings.Contains(fmt.Sprint(err), "too many failed logins")
	}, patience, 10*time.Millisecond)
	require.NoError(t, err, "it is later, and no refusal")
}

// TestExternalAuth: an etcd of somebody else's knows the users, too.
func TestExternalAuth(t *testing.T) {
	t.Parallel()
	etcd := testservers.EmbeddedEtcd(t)
	makeUsers(t, etcdClient(t, "http://"+etcd.Address))
	_, url := start(t, Options{Etcd: "etcd://" + etcd.Address, Auth: true})
	refusedHere(t, 401, url)
	require.Equal(t, 204, as(t, "web", "webpw", "PUT", url+"/environment/WEB", "x").status)
	refused(t, 403, as(t, "web", "webpw", "GET", url+"/environment/OTHER", ""))
	refused(t, 401, as(t, "web", "wrong", "GET", url+"/environment/WEB", ""))
	refused(t, 401, ask(t, "GET", url+"/environment/WEB", "", "Authorization", "Bearer x"))
}

// TestSignedTokens: tokens that etcd signs and keeps no list of are over when any user changes. Who comes with a password
// does not notice; who has such a token logs in again.
func TestSignedTokens(t *testing.T) {
	t.Parallel()
	certificates := testservers.NewCertificates(t)
	etcd := testservers.EmbeddedEtcd(t, "-auth-token", fmt.Sprintf("jwt,pub-key=%s,priv-key=%s,sign-method=ES256", certificates.ServerCert, certificates.ServerKey))
	root := etcdClient(t, "http://"+etcd.Address)
	makeUsers(t, root)
	_, url := start(t, Options{Etcd: "etcd://" + etcd.Address, Auth: true})
	login, err := root.Authenticate(t.Context(), "web", "webpw")
	require.NoError(t, err)
	bearer := []string{"Authorization", "Bearer " + login.Token}
	require.Equal(t, 204, as(t, "web", "webpw", "PUT", url+"/environment/WEB", "x").status)
	require.Equal(t, 200, ask(t, "GET", url+"/environment/WEB", "", bearer...).status)

	admin, err := clientv3.New(clientv3.Config{Endpoints: []string{etcd.Address}, Username: "root", Password: "rootpw", Logger: zap.NewNop()})
	require.NoError(t, err)
	defer admin.Close()
	_, err = admin.UserAdd(t.Context(), "other", "otherpw")
	require.NoError(t, err)
	require.Equal(t, 200, as(t, "web", "webpw", "GET", url+"/environment/WEB", "").status)
	refused(t, 401, ask(t, "GET", url+"/environment/WEB", "", bearer...))
}

// TestUsersWithoutAuth: etcd's users count also when --auth does not ask everyone for one.
func TestUsersWithoutAuth(t *testing.T) {
	_, url := start(t, Options{})
	makeUsers(t, etcdClient(t, url))
	refused(t, 401, ask(t, "GET", url+"/environment/WEB", ""))
	require.Equal(t, 204, as(t, "web", "webpw", "PUT", url+"/environment/WEB", "x").status)
	require.Equal(t, 200, ask(t, "GET", url+"/", "").status)
}

func TestTLS(t *testing.T) {
	c := testservers.NewCertificates(t)
	log := &safebuffer.Buffer{}
	_, url := start(t, Options{Cert: c.ServerCert, Key: c.ServerKey, CA: c.CA, Log: logTo(log)})
	with, without := tlsClient(t, c, true), tlsClient(t, c, false)
	require.Equal(t, 204, do(t, with, newRequest(t, "PUT", url+"/environment/A", "x")).status)
	require.Equal(t, "x", do(t, with, newRequest(t, "GET", url+"/environment/A", "", "Host", "any.test")).body)
	refused(t, 403, do(t, without, newRequest(t, "GET", url+"/environment/A", "")))
	require.Equal(t, 200, do(t, without, newRequest(t, "GET", url+"/healthz", "")).status)
	_, err := http.Get(strings.Replace(url, "https", "http", 1) + "/healthz")
	if err == nil { // Go's server answers 400 in plain text
		require.Equal(t, 400, ask(t, "GET", strings.Replace(url, "https", "http", 1)+"/healthz", "").status)
	}

	etcd := func(certificate bool) *clientv3.Client {
		client, err := clientv3.New(clientv3.Config{
			Endpoints: []string{url}, TLS: tlsConfig(t, c, certificate), Logger: zap.NewNop(),
		})
		require.NoError(t, err)
		t.Cleanup(func() { client.Close() })
		return client
	}
	response, err := etcd(true).Get(t.Context(), "/envharness/environment/A")
	require.NoError(t, err)
	require.Len(t, response.Kvs, 1)
	_, err = etcd(false).Get(t.Context(), "x")
	require.ErrorContains(t, err, "certificate")

	t.Run("renewed", func(t *testing.T) {
		other := testservers.NewCertificates(t)
		require.NoError(t, os.WriteFile(c.ServerCert, []byte("half"), 0o600))
		require.Equal(t, 200, do(t, with, newRequest(t, "GET", url+"/healthz", "")).status)
		require.Contains(t, log.String(), "the old one stays")
		for _, pair := range [][2]string{{other.ServerCert, c.ServerCert}, {other.ServerKey, c.ServerKey}, {other.CA, c.CA}} {
			data, err := os.ReadFile(pair[0])
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(pair[1], data, 0o600))
		}
		require.Equal(t, 200, do(t, tlsClient(t, other, true), newRequest(t, "GET", url+"/environment/A", "")).status)
	})
}

func tlsConfig(t testing.TB, c testservers.Certificates, certificate bool) *tls.Config {
	t.Helper()
	pem, err := os.ReadFile(c.CA)
	require.NoError(t, err)
	config := &tls.Config{RootCAs: x509.NewCertPool()}
	require.True(t, config.RootCAs.AppendCertsFromPEM(pem))
	if certificate {
		pair, err := tls.LoadX509KeyPair(c.ClientCert, c.ClientKey)
		require.NoError(t, err)
		config.Certificates = []tls.Certificate{pair}
	}
	return config
}

func tlsClient(t testing.TB, c testservers.Certificates, certificate bool) *http.Client {
	return &http.Client{Timeout: patience, Transport: &http.Transport{
		TLSClientConfig: tlsConfig(t, c, certificate), ForceAttemptHTTP2: true, DisableKeepAlives: true,
	}}
}

// TestAuthTLS is how a registry is opened to other machines.
func TestAuthTLS(t *testing.T) {
	c := testservers.NewCertificates(t)
	near, _ := guarded(t, Options{Cert: c.ServerCert, Key: c.ServerKey})
	client := tlsClient(t, c, false)
	require.Equal(t, 200, do(t, client, newRequest(t, "GET", near+"/healthz", "")).status)
	require.Equal(t, 200, do(t, client, newRequest(t, "GET", near+"/environment", "")).status, "loopback makes the users")
	etcd, err := clientv3.New(clientv3.Config{Endpoints: []string{near}, TLS: tlsConfig(t, c, false), Logger: zap.NewNop(), DialTimeout: time.Minute})
	require.NoError(t, err)
	defer etcd.Close()
	makeUsers(t, etcd)
	refused(t, 401, do(t, client, newRequest(t, "GET", near+"/environment", "")))
	request := newRequest(t, "PUT", near+"/environment/WEB", "x")
	request.SetBasicAuth("web", "webpw")
	require.Equal(t, 204, do(t, client, request).status)
}
