package examples_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/envharness/envharness/internal/testservers"
)

// Why a block of shell is not run. The list is short on purpose.
const (
	fetches    = "fetches from the Internet"
	foreign    = "is of the program that one moves from"
	isTemplate = "has a blank for its reader to fill in, or a key of a machine's own"
)

// notRun are the blocks that no test runs, by page and first line.
var notRun = map[string]string{
	"README.md: git clone https://github.com/envharness/envharness":                                         fetches,
	"README.md: CGO_ENABLED=0 go install github.com/envharness/envharness/cmd/...@latest":                   fetches,
	"docs/install.md: rpm --install envharness_1.2.3_linux_amd64.rpm":                                       fetches, // and installs beside Debian's packages, which TestPackages does
	"docs/install.md: go install github.com/envharness/envharness/cmd/...@v1.2.3":                           fetches,
	"docs/install.md: gh attestation verify envharness_1.2.3_linux_amd64.deb --repo envharness/envharness":  fetches,
	"docs/migrating/chamber-summon.md: chamber exec shop/common shop/web -- my-server":                      foreign,
	"docs/migrating/envconsul.md: envconsul -consul-addr 10.0.0.1:8500 -prefix my-app -upcase -sanitize my": foreign,
	"docs/migrating/gosu-su-exec.md: set -e":                                                                foreign,
	"docs/migrating/registrator.md: docker run -d --name=registrator":                                       foreign,
	"docs/migrating/totem-discover.md: npm install -g docker-discover":                                      foreign,
	"docs/recipes/age.md: age --encrypt --recipient age1…":                                                  isTemplate,
	"docs/recipes/systemd.md: systemd-creds encrypt --name=db-password":                                     isTemplate,
}

// runElsewhere are the pages whose other blocks a test of another name runs.
var runElsewhere = map[string]string{
	"README.md: docker build":                         "TestDockerfileExample",
	"README.md: curl -X POST":                         "TestReadmeShowsTheProposal",
	"README.md: curl http":                            "TestReadmeShowsTheProposal",
	"docs/envdiscoverd.md: curl -X POST":              "TestReadmeShowsTheProposal",
	"docs/envdiscoverd.md: curl http":                 "TestReadmeShowsTheProposal",
	"docs/envdiscoverd.md: envdiscoverd --docker":     "TestDockerfileExample",
	"docs/envharness.md: docker run":                  "TestDockerfileExample",
	"docs/envharness.md: docker exec":                 "TestDockerfileExample",
	"docs/install.md: ":                               "TestInstall",
	"docs/operating.md: ":                             "TestRestore",
	"docs/migrating/registrator.md: ":                 "TestMovingFromRegistrator",
	"docs/migrating/lighthouse.md: ":                  "TestMovingFromLighthouse",
	"docs/recipes/direnv.md: watch_dir environment":   "TestDirenv",
	"docs/entries.md: curl -fsS":                      "TestShellBlocks",
	"docs/envdiscover.md: envdiscover direct":         "TestShellBlocks",
	"docs/envdiscover.md: envdiscover lock":           "TestShellBlocks",
	"docs/envdiscover.md: envharness --init":          "TestShellBlocks",
	"docs/envdiscoverd.md: envdiscoverd --containers": "TestShellBlocks",
	"docs/migrating/chamber-summon.md: envharness":    "TestShellBlocks",
	"docs/migrating/envconsul.md: envharness --init":  "TestShellBlocks",
	"docs/migrating/totem-discover.md: envdiscoverd":  "TestShellBlocks",
	"docs/migrating/vault-env.md: exec vault kv get":  "TestShellBlocks",
}

// TestEveryShellBlockIsRun accounts for all blocks of shell in the documents: what a reader copies has been run.
func TestEveryShellBlockIsRun(t *testing.T) {
	t.Parallel()
	tests := sourceOfTests(t)
	used := map[string]bool{}
	for _, b := range allShellBlocks(t) {
		if isRecipe(t, b.text) {
			continue // TestRecipes runs it
		}
		fate := ""
		for _, list := range []map[string]string{notRun, runElsewhere} {
			for key := range list {
				if strings.HasPrefix(b.name, key) && len(key) > len(fate) {
					fate = key
				}
			}
		}
		require.NotEmpty(t, fate, "no test runs %q:\n%s", b.name, b.text)
		used[fate] = true
	}
	for key := range notRun {
		require.True(t, used[key], "no document has %q", key)
	}
	for key, test := range runElsewhere {
		require.True(t, used[key], "no document has %q", key)
		require.Contains(t, tests, "func "+test+"(")
	}
}

// shellBlock is a block of a document; its name is the page and the first line that is no comment.
type shellBlock struct{ name, text string }

func allShellBlocks(t *testing.T) (blocks []shellBlock) {
	t.Helper()
	recipes, err := filepath.Glob("../docs/recipes/*.md")
	require.NoError(t, err)
	pages := documents(t)
	for _, page := range recipes {
		pages = append(pages, strings.TrimPrefix(page, "../"))
	}
	for _, page := range pages {
		for _, text := range fenced(document(t, page), "(?:sh|shell|bash)") {
			first := regexp.MustCompile(`(?m)^[^#\n].*`).FindString(text)
			blocks = append(blocks, shellBlock{page + ": " + first, text})
		}
	}
	require.Greater(t, len(blocks), 40)
	return blocks
}

// blockOf is the text of the block that a page has with this beginning.
func blockOf(t *testing.T, name string) string {
	t.Helper()
	blocks := allShellBlocks(t)
	i := slices.IndexFunc(blocks, func(b shellBlock) bool { return strings.HasPrefix(b.name, name) })
	require.GreaterOrEqual(t, i, 0, name)
	return blocks[i].text
}

// isRecipe tells whether a text is one of the recipes.
func isRecipe(t *testing.T, text string) bool {
	t.Helper()
	files, err := filepath.Glob("recipes/*/*")
	require.NoError(t, err)
	return slices.ContainsFunc(files, func(file string) bool {
		content, err := os.ReadFile(file)
		require.NoError(t, err)
		return string(content) == text
	})
}

func sourceOfTests(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	for _, pattern := range []string{"*_test.go", "../packaging/*_test.go", "../cmd/*/*_test.go"} {
		files, err := filepath.Glob(pattern)
		require.NoError(t, err)
		for _, file := range files {
			text, err := os.ReadFile(file)
			require.NoError(t, err)
			all.Write(text)
		}
	}
	return all.String()
}

// TestShellBlocks runs blocks as they stand, in a network of their own, with programs in the place of the reader's.
func TestShellBlocks(t *testing.T) {
	t.Parallel()
	for _, program := range []string{"ip", "curl", "timeout"} {
		needProgram(t, program)
	}
	envdiscoverd(t)
	background := func(block string) string {
		return regexp.MustCompile(`(?m) *(#.*)?$`).ReplaceAllString(strings.TrimSpace(block), " &") + "\n"
	}
	const serving = "until curl -fsS http://127.0.0.1:7171/readyz >/dev/null 2>&1; do sleep 0.05; done\n"
	for name, test := range map[string]struct {
		files  map[string]string
		script string // FIRST, SECOND … are the blocks
		blocks []string
		want   string
	}{
		"registry": {
			files: map[string]string{
				"pool":    "#!/bin/sh\necho postgresql://pool/shop\n",
				"migrate": "#!/bin/sh\necho migrated\n",
				"report":  "#!/bin/sh\necho reported\n",
			},
			blocks: []string{
				"docs/envdiscoverd.md: envdiscoverd --containers", "docs/entries.md: curl -fsS",
				"docs/envdiscover.md: envdiscover direct", "docs/envdiscover.md: envdiscover lock",
			},
			script: background("FIRST") + serving + "cat >announce <<'END'\nSECONDEND\n" +
				"CONTAINER_HOST=10.0.0.5 DOCKERD=127.0.0.1:7171 sh announce && envdiscover get DATABASE_URL\n" +
				"exec 3>&1 >followed\n" + background("THIRD") +
				"until grep -q pool followed; do sleep 0.05; done\nexec >&3\nFOURTH",
			want: "postgresql://app@10.0.0.5/shop\nmigrated\nreported\n",
		},
		"totem": {
			blocks: []string{"docs/migrating/totem-discover.md: envdiscoverd"},
			script: background("FIRST") + serving + "echo serves\n",
			want:   "serves\n",
		},
		"rolling": {
			files:  map[string]string{"restart": "#!/bin/sh\n", "serve": "#!/bin/sh\nexec \"$@\"\n", "my-server": "#!/bin/sh\necho serves\n"},
			blocks: []string{"docs/envdiscover.md: envharness --init"},
			script: "FIRST",
			want:   "serves\n",
		},
		"summon": {
			files: map[string]string{
				"env/common/SSL_CERT": "common\n", "env/production/SSL_CERT": "production\n",
				"my-server": "#!/bin/sh\ncat \"$SSL_CERT_FILE\"\n",
			},
			blocks: []string{"docs/migrating/chamber-summon.md: envharness"},
			script: "FIRST",
			want:   "production",
		},
		"envconsul": {
			files: map[string]string{
				"environment/my-app.env": "DB_HOST=10.0.0.7\n", // as --names upper of envdiscover gives it
				"my-server":              "#!/bin/sh\necho \"$DB_HOST\"\n",
			},
			blocks: []string{"docs/migrating/envconsul.md: envharness --init"},
			script: "export ENVHARNESS_ENVIRONMENT=$PWD/environment\nFIRST",
			want:   "10.0.0.7\n",
		},
		"vault": {
			files:  map[string]string{"vault": "#!/bin/sh\necho \"$*\"\n"},
			blocks: []string{"docs/migrating/vault-env.md: exec vault kv get"},
			script: "FIRST",
			want:   "kv get -mount=secret -field=AWS_SECRET_ACCESS_KEY accounts/aws\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := programs(t, test.files)
			script := test.script
			for i, block := range test.blocks {
				text := blockOf(t, block)
				place := []string{"FIRST", "SECOND", "THIRD", "FOURTH"}[i]
				if strings.Contains(script, place+" &\n") {
					script, text = strings.Replace(script, place+" &\n", place, 1), background(text)
				}
				text = regexp.MustCompile(`([ =])/(restart|serve|env)\b`).ReplaceAllString(text, "$1"+dir+"/$2")
				script = strings.Replace(script, place, text, 1)
			}
			require.Equal(t, test.want, inSandbox(t, dir, script))
		})
	}
}

// programs writes files into a directory of their own; those that begin with #! can be executed.
func programs(t *testing.T, files map[string]string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for name, text := range files {
		mode := os.FileMode(0o644)
		if strings.HasPrefix(text, "#!") {
			mode = 0o755
		}
		path := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(text), mode))
	}
	return dir
}

// inSandbox runs a script in dir, with its programs in PATH and namespaces of its own that end what it leaves in the
// background. It gives what the script prints.
func inSandbox(t *testing.T, dir, script string) string {
	t.Helper()
	env := []string{
		"PATH=" + dir + ":" + filepath.Dir(envharness) + ":" + os.Getenv("PATH"),
		"HOME=" + dir, "STATE_DIRECTORY=" + filepath.Join(dir, "state"),
	}
	setUp := "set -e\nmount -t tmpfs tmpfs /run\nmount -t tmpfs tmpfs /dev/shm\nip link set lo up\n" +
		"ip address add 10.0.0.5/24 dev lo\nip route add default via 10.0.0.1 dev lo\ncd '" + dir + "'\n"
	words := append(unshare(t, "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"), "sh", "-c", setUp+script)
	got := run(t, env, "timeout", append([]string{"--kill-after=1", "100"}, words...)...)
	require.Equal(t, 0, got.exitCode, "%s\n%s%s", script, got.stdout, got.stderr)
	return got.stdout
}

// TestMovingFromLighthouse runs what the page shows against a ZooKeeper of this machine: what one command registers
// another one's program gets.
func TestMovingFromLighthouse(t *testing.T) {
	t.Parallel()
	server := testservers.DebianZooKeeper(t)
	dir := programs(t, map[string]string{"write-haproxy": "#!/bin/sh\ncat >>\"${0%/*}/seen\"\n"})
	script := ""
	for _, name := range []string{"docs/migrating/lighthouse.md: envdiscover register", "docs/migrating/lighthouse.md: envdiscover watch"} {
		block := blockOf(t, name)
		require.Contains(t, block, "zk://zk1,zk2/lighthouse")
		script += strings.TrimSpace(strings.Replace(block, "zk1,zk2", server.Address, 1)) + " &\n"
	}
	script = strings.Replace(script, "localhost:6379", server.Address, 1) // something that listens
	script = "cd '" + dir + "'\n" + script + "until grep -q '\"port\\|6379' seen; do sleep 0.05; done 2>/dev/null\n"
	words := append(unshare(t, "--pid", "--fork", "--kill-child"), "sh", "-ec", script)
	env := []string{"PATH=" + filepath.Dir(envharness) + ":" + os.Getenv("PATH"), "CONTAINER_HOST=127.0.0.1"}
	got := run(t, env, "timeout", append([]string{"--kill-after=1", "100"}, words...)...)
	require.Equal(t, 0, got.exitCode, "%s%s", got.stdout, got.stderr)
}
