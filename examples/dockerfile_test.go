package examples_test

import (
	"archive/tar"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/envharness/envharness/internal/testservers"
)

// TestDockerfileExample builds Dockerfile.example as it stands, but for the
// base image, which cannot be pulled everywhere: busybox's place is taken by
// the machine's own, static one.
func TestDockerfileExample(t *testing.T) {
	needEngine(t)
	image := buildExample(t)

	development := filepath.Join(t.TempDir(), "development")
	copyDirectory(t, "environments/development", development)
	require.NoError(t, os.WriteFile(filepath.Join(development, "MOUNTED"), []byte("yes\n"), 0o644))
	mount := development + ":/environment:ro"

	own := []string{
		"DATABASE_URL=postgresql://pgdeveloper:pgdeveloper@localhost/pgdeveloper",
		"MEMCACHE_SERVER=localhost:11211",
		"PAYPAL_CLIENT_KEY=developer-sandbox",
		"PAYPAL_CLIENT_SECRET=not-secret-developer-sandbox",
	}
	mounted := append([]string{"MOUNTED=yes"}, own...)

	tests := map[string]struct {
		options []string
		want    []string
	}{
		"the image's own":     {nil, own},
		"mounted":             {[]string{"-v", mount}, mounted},
		"read-only root":      {[]string{"-v", mount, "--read-only"}, mounted},
		"another user":        {[]string{"-v", mount, "--user", "1000"}, mounted},
		"as little as can be": {[]string{"-v", mount, "--read-only", "--user", "1000:1000", "--cap-drop", "ALL", "--network", "none", "--security-opt", "no-new-privileges"}, mounted},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := runContainer(t, append(test.options, image)...)
			require.Equal(t, 0, got.exitCode, got.stderr)
			require.Empty(t, got.stderr)
			require.Subset(t, strings.Split(got.stdout, "\n"), test.want)
		})
	}

	t.Run("blocks of the documents", func(t *testing.T) { runImageBlocks(t, image) })
	t.Run("becomes the command", func(t *testing.T) {
		got := docker(t, "run", "--rm", image, "sh", "-c", `echo "PID $$: $(tr '\0' ' ' </proc/1/cmdline)"; exit 42`)
		require.Equal(t, 42, got.exitCode, got.stderr)
		require.Contains(t, got.stdout, "PID 1: sh -c ")
	})
	t.Run("says what is missing", func(t *testing.T) {
		got := docker(t, "run", "--rm", image, "no-such-command")
		require.Equal(t, 127, got.exitCode)
		require.Contains(t, got.stderr, "envharness: error: ")
		require.Contains(t, got.stderr, "no-such-command")
	})
}

// runImageBlocks runs what documents tell to do with the image, under its name here.
func runImageBlocks(t *testing.T, image string) {
	sh := func(script string) result {
		t.Helper()
		root, err := filepath.Abs("..")
		require.NoError(t, err)
		env := []string{"HOME=" + t.TempDir(), "DOCKER_HOST=" + os.Getenv("DOCKER_HOST")}
		return run(t, env, "sh", "-ec", "cd '"+root+"'\n"+script)
	}
	const build = "docker build -f Dockerfile.example -t shop .\n"
	block := blockOf(t, "README.md: "+strings.TrimSpace(build))
	require.Contains(t, block, build)
	got := sh(strings.ReplaceAll(strings.Replace(block, build, "", 1), " shop\n", " "+image+"\n"))
	require.Equal(t, 0, got.exitCode, got.stderr)
	require.Equal(t, 2, strings.Count(got.stdout, "\nMEMCACHE_SERVER=localhost:11211\n"), got.stdout)

	got = sh(strings.Replace(blockOf(t, "docs/envharness.md: docker run"), " shop ", " "+image+" ", 1))
	require.Contains(t, got.stdout, "uid=33(www-data) gid=33(www-data)", got.stderr)

	name := image + "-exec"
	require.Equal(t, 0, docker(t, "run", "--detach", "--name", name, image, "sleep", "600").exitCode)
	t.Cleanup(func() { docker(t, "rm", "--force", name) })
	block = blockOf(t, "docs/envharness.md: docker exec")
	require.Contains(t, block, "docker exec -it shop ") // a terminal is not what a test has
	got = sh("echo 'echo $MEMCACHE_SERVER' | " + strings.Replace(block, "-it shop", "-i "+name, 1))
	require.Equal(t, "localhost:11211\n", got.stdout, got.stderr)

	containers := strings.Split(strings.TrimSpace(blockOf(t, "docs/envdiscoverd.md: envdiscoverd --docker")), "\n")
	require.Len(t, containers, 3)
	name = image + "-announced"
	t.Cleanup(func() { docker(t, "rm", "--force", name) })
	address, data := testservers.FreeAddress(t), filepath.Join(t.TempDir(), "data")
	server := fmt.Sprintf("%s/%s --host-ip 10.0.0.5 --listen %s --data %s", filepath.Dir(envdiscoverd(t)), containers[0], address, data)
	container := strings.Replace(containers[1], " nginx", " --name "+name+" "+image+" sleep 600", 1)
	require.NotEqual(t, containers[1], container)
	got = sh(server + " 2>/dev/null &\ntrap \"kill $!\" EXIT\n" + container + "\nexport PATH='" + filepath.Dir(envharness) + "':$PATH DOCKERD=" + address +
		"\n" + containers[2] + " --wait 60s")
	require.Regexp(t, `(?m)^default://10\.0\.0\.5:\d+$`, got.stdout, got.stderr)
}

// runContainer is docker run in two steps, as the client's own warnings, of the
// host's settings for example, come with the first: stderr is the container's alone.
func runContainer(t *testing.T, args ...string) result {
	t.Helper()
	created := docker(t, append([]string{"create", "--rm"}, args...)...)
	require.Equal(t, 0, created.exitCode, created.stderr)
	return docker(t, "start", "--attach", strings.TrimSpace(created.stdout))
}

// needEngine skips the test where no Docker engine answers.
func needEngine(t *testing.T) {
	t.Helper()
	needProgram(t, "docker")
	if got := docker(t, "version"); got.exitCode != 0 {
		missing(t, "a Docker engine", "start one, or run scripts/with-docker go test ./examples")
	}
}

// docker runs the client with this process's way to the engine.
func docker(t *testing.T, args ...string) result {
	t.Helper()
	env := []string{"DOCKER_BUILDKIT=0", "HOME=" + t.TempDir()}
	if host := os.Getenv("DOCKER_HOST"); host != "" {
		env = append(env, "DOCKER_HOST="+host)
	}
	return run(t, env, "docker", args...)
}

// buildExample builds Dockerfile.example and returns the image's name.
func buildExample(t *testing.T) string {
	t.Helper()
	dockerfile, err := os.ReadFile("../Dockerfile.example")
	require.NoError(t, err)
	const base = "FROM debian:12-slim\n"
	require.Equal(t, 1, strings.Count(string(dockerfile), base))

	dir := t.TempDir()
	onBusybox := strings.Replace(string(dockerfile), base, "FROM scratch\nADD busybox.tar /\n", 1)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte(onBusybox), 0o644))
	writeBusybox(t, filepath.Join(dir, "busybox.tar"))
	require.NoError(t, os.Mkdir(filepath.Join(dir, "bin"), 0o755))
	copyFile(t, envharness, filepath.Join(dir, "bin/envharness"), 0o755)
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "examples/environments"), 0o755))
	copyDirectory(t, "environments/development", filepath.Join(dir, "examples/environments/development"))

	image := fmt.Sprintf("envharness-example-test-%d", os.Getpid())
	got := docker(t, "build", "--tag", image, dir)
	require.Equal(t, 0, got.exitCode, "%s%s", got.stdout, got.stderr)
	t.Cleanup(func() { docker(t, "image", "rm", "--force", image) })
	return image
}

// writeBusybox writes an archive with busybox in /bin, under the names that
// the examples and the tests use.
func writeBusybox(t *testing.T, path string) {
	t.Helper()
	needProgram(t, "busybox")
	busybox, err := exec.LookPath("busybox")
	require.NoError(t, err)
	content, err := os.ReadFile(busybox)
	require.NoError(t, err)

	file, err := os.Create(path)
	require.NoError(t, err)
	archive := tar.NewWriter(file)
	require.NoError(t, archive.WriteHeader(&tar.Header{Name: "bin/busybox", Mode: 0o755, Size: int64(len(content))}))
	_, err = archive.Write(content)
	require.NoError(t, err)
	for _, name := range []string{"sh", "cat", "env", "grep", "id", "sleep", "sort", "tr"} {
		require.NoError(t, archive.WriteHeader(&tar.Header{Typeflag: tar.TypeSymlink, Name: "bin/" + name, Linkname: "busybox"}))
	}
	for file, line := range map[string]string{"etc/passwd": "www-data:x:33:33::/:/bin/sh\n", "etc/group": "www-data:x:33:\n"} {
		require.NoError(t, archive.WriteHeader(&tar.Header{Name: file, Mode: 0o644, Size: int64(len(line))}))
		_, err = archive.Write([]byte(line))
		require.NoError(t, err)
	}
	require.NoError(t, archive.Close())
	require.NoError(t, file.Close())
}
