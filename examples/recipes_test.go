package examples_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// recipe is one directory of recipes, and what stands for the store: a server with the documented answers, a
// command with them, or the store itself.
type recipe struct {
	name   string
	answer map[string]string // of a server, by method, path and the credential that it wants
	client string            // the name of a command, and what it prints
	prints string
	words  string // that the command must have got
	set    func(t *testing.T, dir string) []string
	want   map[string]string
}

const canary = "canary-5e1f"

var recipes = []recipe{
	{
		name:   "vault",
		answer: map[string]string{"GET /v1/secret/data/shop X-Vault-Token=canary-token": `{"request_id":"r","data":{"data":{"API_KEY":"` + canary + `","DATABASE_PASSWORD":"p\"$"},"metadata":{"version":3}}}`},
		want:   map[string]string{"API_KEY": canary, "DATABASE_PASSWORD": `p"$`},
	},
	{
		name: "vault-kubernetes",
		answer: map[string]string{
			"POST /v1/auth/kubernetes/login ":                     `{"auth":{"client_token":"canary-token","lease_duration":3600}}`,
			"GET /v1/secret/data/shop X-Vault-Token=canary-token": `{"data":{"data":{"API_KEY":"` + canary + `"}}}`,
		},
		want: map[string]string{"API_KEY": canary},
	},
	{
		name:   "vault-database",
		answer: map[string]string{"GET /v1/database/creds/shop X-Vault-Token=canary-token": `{"lease_id":"l","lease_duration":3600,"renewable":true,"data":{"username":"v-shop-1","password":"` + canary + `"}}`},
		want:   map[string]string{"DATABASE_USER": "v-shop-1", "DATABASE_PASSWORD": canary},
	},
	{
		name:   "aws-parameters",
		client: "aws", words: "ssm get-parameters-by-path --path /shop --recursive --with-decryption --output json",
		prints: `{"Parameters":[{"Name":"/shop/DATABASE_PASSWORD","Type":"SecureString","Value":"` + canary + `","Version":1},{"Name":"/shop/web/LOG_LEVEL","Type":"String","Value":"info"}]}`,
		want:   map[string]string{"DATABASE_PASSWORD": canary, "LOG_LEVEL": "info"},
	},
	{
		name:   "aws-secrets",
		client: "aws", words: "secretsmanager get-secret-value --secret-id shop --query SecretString --output text",
		prints: `{"DATABASE_PASSWORD":"` + canary + `"}`,
		want:   map[string]string{"DATABASE_PASSWORD": canary},
	},
	{
		name: "gcp",
		answer: map[string]string{
			"GET /computeMetadata/v1/instance/service-accounts/default/token Metadata-Flavor=Google":                     `{"access_token":"canary-token","expires_in":3599,"token_type":"Bearer"}`,
			"GET /v1/projects/shop-1/secrets/database-password/versions/latest:access Authorization=Bearer canary-token": `{"name":"projects/1/secrets/database-password/versions/1","payload":{"data":"Y2FuYXJ5LTVlMWY=","dataCrc32c":"1"}}`,
		},
		want: map[string]string{"DATABASE_PASSWORD": canary},
	},
	{
		name: "azure",
		answer: map[string]string{
			"GET /metadata/identity/oauth2/token?api-version=2018-02-01&resource=https%3A%2F%2Fvault.azure.net Metadata=true": `{"access_token":"canary-token","expires_on":"1","token_type":"Bearer"}`,
			"GET /secrets/database-password?api-version=7.4 Authorization=Bearer canary-token":                                `{"value":"` + canary + `","id":"i"}`,
		},
		want: map[string]string{"DATABASE_PASSWORD": canary},
	},
	{name: "1password", client: "op", words: "read --no-newline op://shop/database/password", prints: canary, want: map[string]string{"DATABASE_PASSWORD": canary}},
	{
		name:   "sops",
		client: "sops", words: "--decrypt --output-type json /etc/shop/secrets.yaml",
		prints: `{"API_KEY":"` + canary + `","PORT":8080}`,
		want:   map[string]string{"API_KEY": canary, "PORT": "8080"},
	},
	{name: "age", set: encryptForAge, want: map[string]string{"API_KEY": canary, "GREETING": "two words"}},
	{name: "pass", set: fillPass, want: map[string]string{"DATABASE_PASSWORD": canary}},
	{
		name: "postgres",
		set:  func(*testing.T, string) []string { return []string{"DATABASE_PASSWORD=p@ss/w:rd"} },
		want: map[string]string{"DATABASE_HOST": "db.internal", "DATABASE_USER": "shop", "DATABASE_URL": "postgresql://shop:p%40ss%2Fw%3Ard@db.internal:5432/shop"},
	},
}

// TestRecipes: each recipe gives its variables, tells nobody a secret, and fails when its store does not answer.
func TestRecipes(t *testing.T) {
	t.Parallel()
	for _, program := range []string{"jq", "curl", "age", "age-keygen", "pass", "gpg"} {
		needProgram(t, program)
	}
	for _, r := range recipes {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			env := r.start(t, dir)
			got := run(t, env, envharness, "print", "--environment", "recipes/"+r.name, "--format", "json")
			require.Equal(t, 0, got.exitCode, got.stderr)
			variables := map[string]string{}
			require.NoError(t, json.Unmarshal([]byte(got.stdout), &variables))
			require.Equal(t, r.want, variables)
			require.NotContains(t, got.stderr, "canary")

			if r.name == "postgres" { // it needs nobody, but what it is made of
				parsed, err := url.Parse(variables["DATABASE_URL"])
				require.NoError(t, err)
				password, _ := parsed.User.Password()
				require.Equal(t, "p@ss/w:rd", password)
				env = env[:len(env)-1]
			} else {
				env = r.without(t, env)
			}
			got = run(t, env, envharness, "--environment", "recipes/"+r.name, "--", "echo", "started")
			require.Equal(t, 125, got.exitCode, got.stderr)
			require.NotContains(t, got.stdout+got.stderr, "canary")
			require.Contains(t, got.stderr, "envharness: error: recipes/"+r.name+"/")
		})
	}
}

// start gives the environment in which the recipe's store answers.
func (r recipe) start(t *testing.T, dir string) []string {
	path := filepath.Dir(envharness) + ":" + os.Getenv("PATH")
	env := []string{"HOME=" + dir, "VAULT_ROLE=shop", "PROJECT=shop-1"}
	if r.client != "" {
		writeProgram(t, filepath.Join(dir, r.client), fmt.Sprintf("#!/bin/sh\n[ \"$*\" = '%s' ] || exit 9\nprintf %%s '%s'\n", r.words, r.prints))
		path = dir + ":" + path
	}
	if r.answer != nil {
		server := httptest.NewServer(http.HandlerFunc(r.serve))
		t.Cleanup(server.Close)
		token := filepath.Join(dir, "token")
		require.NoError(t, os.WriteFile(token, []byte("canary-token"), 0o600))
		env = append(env, "VAULT_TOKEN_FILE="+token, "KUBERNETES_TOKEN_FILE="+token, "VAULT_ADDR="+server.URL,
			"GCE_METADATA_HOST="+strings.TrimPrefix(server.URL, "http://"), "SECRET_MANAGER_URL="+server.URL,
			"IDENTITY_URL="+server.URL, "KEY_VAULT_URL="+server.URL)
	}
	env = append(env, "PATH="+path)
	if r.set != nil {
		env = append(env, r.set(t, dir)...)
	}
	return env
}

// serve answers a request that has the credential it needs.
func (r recipe) serve(w http.ResponseWriter, req *http.Request) {
	for line, answer := range r.answer {
		asked, credential, _ := strings.Cut(line[strings.Index(line, " ")+1:], " ")
		name, value, _ := strings.Cut(credential, "=")
		if line[:strings.Index(line, " ")] == req.Method && asked == req.RequestURI && req.Header.Get(name) == value {
			fmt.Fprint(w, answer)
			return
		}
	}
	http.Error(w, `{"errors":["permission denied"]}`, http.StatusForbidden)
}

// without is the environment with a store that refuses: wrong keys, wrong addresses, a client that is not there.
func (r recipe) without(t *testing.T, env []string) []string {
	empty := filepath.Join(t.TempDir(), "empty")
	require.NoError(t, os.WriteFile(empty, []byte("wrong"), 0o600))
	refuses := httptest.NewServer(http.HandlerFunc(recipe{}.serve))
	t.Cleanup(refuses.Close)
	return append(env, "PATH="+filepath.Dir(envharness)+":/usr/bin:/bin", "VAULT_TOKEN_FILE="+empty, "VAULT_ADDR="+refuses.URL,
		"SECRET_MANAGER_URL="+refuses.URL, "KEY_VAULT_URL="+refuses.URL, "AGE_IDENTITY="+empty, "PASSWORD_STORE_DIR="+t.TempDir())
}

func encryptForAge(t *testing.T, dir string) []string {
	identity, secrets := filepath.Join(dir, "age.key"), filepath.Join(dir, "secrets.env.age")
	got := run(t, nil, "age-keygen", "--output", identity)
	require.Equal(t, 0, got.exitCode, got.stderr)
	encrypt := exec.Command("age", "--encrypt", "--identity", identity, "--output", secrets)
	encrypt.Stdin = strings.NewReader("API_KEY=" + canary + "\nGREETING=\"two words\"\n")
	output, err := encrypt.CombinedOutput()
	require.NoError(t, err, "%s", output)
	return []string{"AGE_IDENTITY=" + identity, "SHOP_SECRETS=" + secrets}
}

func fillPass(t *testing.T, dir string) []string {
	env := []string{"HOME=" + dir, "PATH=" + os.Getenv("PATH"), "GNUPGHOME=" + dir, "PASSWORD_STORE_DIR=" + filepath.Join(dir, "store")}
	require.NoError(t, os.Chmod(dir, 0o700))
	t.Cleanup(func() { run(t, env, "gpgconf", "--kill", "all") })
	for _, words := range [][]string{
		{"gpg", "--batch", "--quiet", "--passphrase", "", "--quick-generate-key", "shop@example.org", "default", "default", "never"},
		{"pass", "init", "shop@example.org"},
		{"sh", "-c", "printf 'canary-5e1f\\nuser: shop\\n' | pass insert --multiline shop/database"},
	} {
		got := run(t, env, words[0], words[1:]...)
		require.Equal(t, 0, got.exitCode, got.stderr)
	}
	return env
}

// TestRecipePages: the pages show the recipes as they are, and each recipe has a page.
func TestRecipePages(t *testing.T) {
	t.Parallel()
	var pages strings.Builder
	found, err := filepath.Glob("../docs/recipes/*.md")
	require.NoError(t, err)
	for _, page := range found {
		text, err := os.ReadFile(page)
		require.NoError(t, err)
		pages.Write(text)
		if filepath.Base(page) != "README.md" {
			index, err := os.ReadFile("../docs/recipes/README.md")
			require.NoError(t, err)
			require.Contains(t, string(index), "("+filepath.Base(page)+")")
		}
	}
	files, err := filepath.Glob("recipes/*/*")
	require.NoError(t, err)
	require.Greater(t, len(files), len(recipes))
	for _, file := range files {
		content, err := os.ReadFile(file)
		require.NoError(t, err)
		if strings.HasPrefix(string(content), "#!") {
			require.Truef(t, strings.Contains(pages.String(), "```sh\n"+string(content)+"```\n"), "no page shows %s as it is", file)
		}
	}
}

// TestDirenv: a directory's variables are there for who works in it.
func TestDirenv(t *testing.T) {
	t.Parallel()
	needProgram(t, "direnv")
	dir := t.TempDir()
	require.NoError(t, os.CopyFS(filepath.Join(dir, "environment"), os.DirFS("environments/development")))
	page, err := os.ReadFile("../docs/recipes/direnv.md")
	require.NoError(t, err)
	line := `eval "$(envharness print --environment environment)"` + "\n"
	require.Contains(t, string(page), line)
	require.NoError(t, os.WriteFile(filepath.Join(dir, ".envrc"), []byte("watch_dir environment\n"+line), 0o600))
	env := []string{"HOME=" + dir, "PATH=" + filepath.Dir(envharness) + ":" + os.Getenv("PATH")}
	want := run(t, env, envharness, "print", "--environment", "environments/development", "--format", "nul")
	require.Equal(t, 0, run(t, env, "direnv", "allow", dir).exitCode)
	got := run(t, env, "direnv", "exec", dir, "env", "--null")
	require.Equal(t, 0, got.exitCode, got.stderr)
	for _, entry := range strings.Split(strings.TrimSuffix(want.stdout, "\x00"), "\x00") {
		require.Contains(t, strings.Split(got.stdout, "\x00"), entry)
	}
}
