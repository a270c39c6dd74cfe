//go:build linux

package packaging_test

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/envharness/envharness/internal/testservers"
)

func needEngine(t *testing.T) {
	t.Helper()
	if exec.Command("docker", "version").Run() != nil {
		testservers.Missing(t, "a Docker engine", "apt-get install docker.io, and start it")
	}
}

// loaded loads the image of a program into the engine, for the test.
func loaded(t *testing.T, program, arch string) string {
	t.Helper()
	directory := release(t)
	needEngine(t)
	name := program + ":" + number
	require.Contains(t, output(t, "docker", "load", "--input", filepath.Join(directory, program+"_"+number+"_image_"+arch+".tar")), name)
	t.Cleanup(func() { _ = exec.Command("docker", "image", "rm", "--force", name).Run() })
	return name
}

func TestImages(t *testing.T) {
	for _, program := range programs {
		t.Run(program, func(t *testing.T) {
			image := loaded(t, program, "amd64")
			checkVersion(t, "docker", "run", "--rm", "--read-only", "--cap-drop", "ALL", image)
			var inspected []struct {
				Created      time.Time
				Architecture string
				Config       struct {
					User   string
					Labels map[string]string
				}
			}
			require.NoError(t, json.Unmarshal([]byte(output(t, "docker", "image", "inspect", image)), &inspected))
			require.Equal(t, "65532:65532", inspected[0].Config.User)
			require.Equal(t, "amd64", inspected[0].Architecture)
			require.Equal(t, number, inspected[0].Config.Labels["org.opencontainers.image.version"])
			require.Equal(t, program, inspected[0].Config.Labels["org.opencontainers.image.title"])
			require.Len(t, inspected[0].Config.Labels["org.opencontainers.image.revision"], 40)
		})
	}
}

// TestCopyFromImage is how an image of one's own gets the harness, FROM scratch and from one with a shell.
func TestCopyFromImage(t *testing.T) {
	image := loaded(t, "envharness", "amd64")
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		testservers.Missing(t, "busybox", "apt-get install busybox-static")
	}
	directory := t.TempDir()
	output(t, "cp", busybox, filepath.Join(directory, "busybox"))
	require.NoError(t, os.MkdirAll(filepath.Join(directory, "environment"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(directory, "environment/GREETING"), []byte("#!/bin/sh\necho hello\n"), 0o755))
	for name, test := range map[string]struct{ dockerfile, want string }{
		"from scratch": {"FROM scratch\nCOPY --from=" + image + " /envharness /\nENTRYPOINT [\"/envharness\", \"--\"]\nCMD [\"/envharness\", \"--version\"]\n", "envharness v" + number},
		"with a shell": {"FROM scratch\nCOPY busybox /bin/\nRUN [\"/bin/busybox\", \"--install\", \"-s\", \"/bin\"]\nCOPY --from=" + image + " /envharness /usr/local/bin/\nCOPY environment /environment\n" +
			"ENTRYPOINT [\"envharness\", \"--\"]\nCMD [\"sh\", \"-c\", \"echo $GREETING\"]\n", "hello"},
	} {
		t.Run(name, func(t *testing.T) {
			require.NoError(t, os.WriteFile(filepath.Join(directory, "Dockerfile"), []byte(test.dockerfile), 0o644))
			own := fmt.Sprintf("packaging-test:%d", os.Getpid())
			build := exec.Command("docker", "build", "--tag", own, directory)
			build.Env = append(os.Environ(), "DOCKER_BUILDKIT=0")
			text, err := build.CombinedOutput()
			require.NoError(t, err, "%s", text)
			t.Cleanup(func() { _ = exec.Command("docker", "image", "rm", "--force", own).Run() })
			require.Contains(t, output(t, "docker", "run", "--rm", own), test.want)
		})
	}
}

// TestForeignImage takes the arm64 binary out of its image without running it, and runs it by an emulator.
func TestForeignImage(t *testing.T) {
	need(t, "qemu-aarch64-static")
	image := loaded(t, "envharness", "arm64")
	container := strings.TrimSpace(output(t, "docker", "create", "--platform", "linux/arm64", image))
	t.Cleanup(func() { _ = exec.Command("docker", "rm", "--force", container).Run() })
	binary := filepath.Join(t.TempDir(), "envharness")
	output(t, "docker", "cp", container+":/envharness", binary)
	checkVersion(t, "qemu-aarch64-static", binary)
}

// TestRegistryImage serves as nobody from a volume that the engine makes.
func TestRegistryImage(t *testing.T) {
	image := loaded(t, "envdiscoverd", "amd64")
	container := strings.TrimSpace(output(t, "docker", "run", "--detach", "--read-only", "--cap-drop", "ALL", "--network", "none", image))
	t.Cleanup(func() { _ = exec.Command("docker", "rm", "--force", "--volumes", container).Run() })
	logs := func() string {
		text, _ := exec.Command("docker", "logs", container).CombinedOutput()
		return string(text)
	}
	serving := func() bool { return strings.Contains(logs(), "serving (address ") }
	require.Eventually(t, func() bool { return serving() || !running(container) }, 2*time.Minute, 100*time.Millisecond)
	require.True(t, serving(), logs())
	output(t, "docker", "stop", "--time", "60", container)
	require.Contains(t, logs(), "stopped")
}

func running(container string) bool {
	text, _ := exec.Command("docker", "container", "inspect", "--format", "{{.State.Running}}", container).Output()
	return strings.TrimSpace(string(text)) == "true"
}

// TestPush pushes to a registry of this machine, by the script of the release, and lets the engine pull from there.
func TestPush(t *testing.T) {
	directory := release(t)
	needEngine(t)
	crane := filepath.Join(t.TempDir(), "crane")
	// As `make dist` and the script build, so that all is compiled once.
	output(t, "env", "CGO_ENABLED=0", "go", "-C", "../tools/dist", "build", "-trimpath", "-o", crane, "github.com/google/go-containerregistry/cmd/crane")
	address := testservers.FreeAddress(t)
	server := exec.Command(crane, "registry", "serve", "--address", address)
	require.NoError(t, server.Start())
	t.Cleanup(func() { _ = server.Process.Kill(); _ = server.Wait() })
	require.Eventually(t, func() bool { return exec.Command(crane, "catalog", address).Run() == nil }, 2*time.Minute, 100*time.Millisecond)

	output(t, "../scripts/push-images", address+"/shop", directory)
	for _, program := range programs {
		name := address + "/shop/" + program
		require.Equal(t, number, strings.TrimSpace(output(t, crane, "ls", name)), "a version before a release is not latest")
		require.Contains(t, output(t, crane, "manifest", "--platform", "linux/arm64", name+":"+number), `"layers"`)
	}
	image := address + "/shop/envharness:" + number
	t.Cleanup(func() { _ = exec.Command("docker", "image", "rm", "--force", image).Run() })
	checkVersion(t, "docker", "run", "--rm", image)
}

// TestLayout reads the image of all platforms as the OCI's layout says.
func TestLayout(t *testing.T) {
	directory := release(t)
	for _, program := range programs {
		tree := t.TempDir()
		output(t, "tar", "--extract", "--file", filepath.Join(directory, program+"_"+number+"_image_oci.tar"), "--directory", tree)
		blob := func(digest string, value any) {
			content, err := os.ReadFile(filepath.Join(tree, "blobs", strings.ReplaceAll(digest, ":", "/")))
			require.NoError(t, err)
			require.Equal(t, digest, fmt.Sprintf("sha256:%x", sha256.Sum256(content)))
			if value != nil {
				require.NoError(t, json.Unmarshal(content, value))
			}
		}
		type descriptor struct {
			Digest   string
			Platform struct{ OS, Architecture string }
		}
		type index struct{ Manifests []descriptor }
		var outer, inner index
		text, err := os.ReadFile(filepath.Join(tree, "index.json"))
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(text, &outer))
		require.Len(t, outer.Manifests, 1)
		blob(outer.Manifests[0].Digest, &inner)
		var platforms []string
		for _, image := range inner.Manifests {
			platforms = append(platforms, image.Platform.OS+"/"+image.Platform.Architecture)
			var manifest struct {
				Config descriptor
				Layers []descriptor
			}
			blob(image.Digest, &manifest)
			require.Len(t, manifest.Layers, 1)
			blob(manifest.Config.Digest, nil)
			blob(manifest.Layers[0].Digest, nil)
		}
		require.Equal(t, []string{"linux/amd64", "linux/arm64"}, platforms)
	}
}
