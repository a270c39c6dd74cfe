package examples_test

import (
	"bytes"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// shop says what it has been given.
const shop = "#!/bin/sh\necho \"shop $*\"\nenv | grep -E '^(DATABASE_URL|DB_PASSWORD|API_KEY|TLS_CRT|TLS_CRT_FILE)=' | sort\n[ -z \"$TLS_CRT_FILE\" ] || cat \"$TLS_CRT_FILE\"\n"

// composeWant is what shop says in compose/compose.yaml.
const composeWant = "shop --port 8080\nAPI_KEY=secret api-key\nDB_PASSWORD=secret db_password\n"

// podWant is what shop says in kubernetes/foreign-image.yaml, below root.
func podWant(root string) string {
	return "shop --port 8080\nDATABASE_URL=postgresql://shop:example@db/shop\nDB_PASSWORD=example\nTLS_CRT_FILE=" + root + "/run/shop/TLS_CRT\nan example certificate"
}

// podExample is what kubernetes/foreign-image.yaml holds.
type podExample struct {
	Spec struct {
		InitContainers []struct{ Command []string } `yaml:"initContainers"`
		Containers     []struct {
			Command, Args []string
			Env           []struct{ Name, Value string }
			VolumeMounts  []struct {
				Name      string
				MountPath string `yaml:"mountPath"`
				ReadOnly  bool   `yaml:"readOnly"`
			} `yaml:"volumeMounts"`
		}
	}
	scripts, secret map[string]string
}

func readPodExample(t *testing.T) podExample {
	t.Helper()
	content, err := os.ReadFile("kubernetes/foreign-image.yaml")
	require.NoError(t, err)
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	var pod podExample
	var configMap struct{ Data map[string]string }
	var secret struct {
		Data map[string]string `yaml:"stringData"`
	}
	require.NoError(t, decoder.Decode(&pod))
	require.NoError(t, decoder.Decode(&configMap))
	require.NoError(t, decoder.Decode(&secret))
	pod.scripts, pod.secret = configMap.Data, secret.Data
	require.Equal(t, []string{"envharness", "install", "/harness"}, pod.Spec.InitContainers[0].Command)
	return pod
}

// TestForeignImage does what the kubelet does with kubernetes/foreign-image.yaml, in a directory in place of each volume.
func TestForeignImage(t *testing.T) {
	t.Parallel()
	pod := readPodExample(t)
	root := t.TempDir()
	for _, dir := range []string{"harness", "environment", "secrets", "run", "bin"} {
		require.NoError(t, os.Mkdir(filepath.Join(root, dir), 0o755))
	}
	writeVolume(t, filepath.Join(root, "environment"), pod.scripts)
	writeVolume(t, filepath.Join(root, "secrets"), pod.secret)
	writeProgram(t, filepath.Join(root, "bin/shop"), shop)

	got := run(t, nil, envharness, "install", filepath.Join(root, "harness"))
	require.Equal(t, 0, got.exitCode, got.stderr)

	c := pod.Spec.Containers[0]
	environ := []string{"PATH=" + filepath.Join(root, "bin") + ":" + os.Getenv("PATH")}
	for _, e := range c.Env {
		if strings.HasPrefix(e.Value, "/") {
			e.Value = root + e.Value
		}
		environ = append(environ, e.Name+"="+e.Value)
	}
	got = run(t, environ, root+c.Command[0], append(c.Command[1:], c.Args...)...)
	require.Equal(t, 0, got.exitCode, got.stderr)
	require.Equal(t, podWant(root), got.stdout)
}

// writeVolume makes a volume as the kubelet does, with its mode for all files.
func writeVolume(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	require.NoError(t, os.Mkdir(filepath.Join(dir, "..1"), 0o755))
	require.NoError(t, os.Symlink("..1", filepath.Join(dir, "..data")))
	for name, content := range files {
		require.NoError(t, os.WriteFile(filepath.Join(dir, "..1", name), []byte(content), 0o644))
		require.NoError(t, os.Symlink("..data/"+name, filepath.Join(dir, name)))
	}
}

// composeService is the service of compose/compose.yaml.
type composeService struct {
	Entrypoint, Command, Secrets []string
	Environment                  map[string]string
}

func readComposeExample(t *testing.T) composeService {
	t.Helper()
	content, err := os.ReadFile("compose/compose.yaml")
	require.NoError(t, err)
	var file struct {
		Services map[string]composeService
		Secrets  map[string]any
	}
	require.NoError(t, yaml.Unmarshal(content, &file))
	s := file.Services["shop"]
	for _, name := range s.Secrets {
		require.Contains(t, file.Secrets, name)
	}
	require.Equal(t, "envharness", s.Entrypoint[0])
	return s
}

// TestComposeSecrets runs what compose/compose.yaml says, with a directory in place of /run/secrets.
func TestComposeSecrets(t *testing.T) {
	t.Parallel()
	s := readComposeExample(t)
	root := t.TempDir()
	for _, name := range s.Secrets {
		require.NoError(t, os.WriteFile(filepath.Join(root, name), []byte("secret "+name+"\n"), 0o777))
	}
	writeProgram(t, filepath.Join(root, "shop"), shop)
	environ := []string{"PATH=" + root + ":" + os.Getenv("PATH")}
	for name, value := range s.Environment {
		environ = append(environ, name+"="+strings.ReplaceAll(value, "/run/secrets", root))
	}
	got := run(t, environ, envharness, append(s.Entrypoint[1:], s.Command...)...)
	require.Equal(t, 0, got.exitCode, got.stderr)
	require.Equal(t, composeWant, got.stdout)
}

// TestSystemdUnit runs what systemd/shop.service says, and hears what systemd would hear.
func TestSystemdUnit(t *testing.T) {
	t.Parallel()
	content, err := os.ReadFile("systemd/shop.service")
	require.NoError(t, err)
	require.Contains(t, string(content), "\nType=notify\n")
	_, line, found := strings.Cut(string(content), "\nExecStart=")
	require.True(t, found)
	line, _, _ = strings.Cut(line, "\n")

	root := t.TempDir()
	for _, dir := range []string{"credentials", "run", "environment"} {
		require.NoError(t, os.Mkdir(filepath.Join(root, dir), 0o755))
	}
	require.Contains(t, string(content), "\nLoadCredential=db-password:")
	require.NoError(t, os.WriteFile(filepath.Join(root, "credentials/db-password"), []byte("secret"), 0o400))
	writeProgram(t, filepath.Join(root, "environment/DATABASE_URL"), "#!/bin/sh\necho \"db:$DB_PASSWORD\"\n")
	writeProgram(t, filepath.Join(root, "shop"), shop+envharness+" notify READY=1 || exit 1\n")
	line = strings.NewReplacer("/usr/local/bin/envharness", envharness, "/usr/local/bin/shop", root+"/shop", "${CREDENTIALS_DIRECTORY}", root+"/credentials",
		"/run/shop", root+"/run", "/etc/shop/", root+"/").Replace(line)

	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(root, "notify"), Net: "unixgram"})
	require.NoError(t, err)
	defer socket.Close()
	words := strings.Fields(line)
	cmd := exec.Command(words[0], words[1:]...)
	cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+filepath.Join(root, "notify"), "CREDENTIALS_DIRECTORY="+root+"/credentials")
	output, err := cmd.CombinedOutput()
	require.NoError(t, err, string(output))
	require.Equal(t, "shop \nDATABASE_URL=db:secret\nDB_PASSWORD=secret\n", string(output))
	require.NoError(t, socket.SetReadDeadline(time.Now().Add(time.Minute)))
	message := make([]byte, 100)
	n, err := socket.Read(message)
	require.NoError(t, err)
	require.Equal(t, "READY=1", string(message[:n]))
}
