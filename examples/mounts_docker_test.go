package examples_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestMountsInContainers runs the examples of mounts under a Docker engine: a container for each of the pod's, a volume
// for each of its volumes, and Compose's secrets as Compose mounts them.
func TestMountsInContainers(t *testing.T) {
	needEngine(t)
	image := importBusybox(t)
	program := filepath.Join(t.TempDir(), "shop")
	writeProgram(t, program, shop)
	base := []string{"--read-only", "--network", "none", "-v", program + ":/bin/shop:ro"}
	harness := []string{"-v", envharness + ":/bin/envharness:ro"}

	t.Run("kubernetes", func(t *testing.T) {
		pod := readPodExample(t)
		volumes := map[string]string{"harness": t.TempDir(), "scripts": t.TempDir(), "secret": t.TempDir(), "run": t.TempDir()}
		writeVolume(t, volumes["scripts"], pod.scripts)
		writeVolume(t, volumes["secret"], pod.secret)

		options := slices.Concat(base, harness, []string{"-v", volumes["harness"] + ":/harness"})
		got := runContainer(t, slices.Concat(options, []string{image}, pod.Spec.InitContainers[0].Command)...)
		require.Equal(t, 0, got.exitCode, got.stderr)

		c := pod.Spec.Containers[0]
		options = slices.Clone(base) // and no harness but the installed one
		for _, e := range c.Env {
			options = append(options, "-e", e.Name+"="+e.Value)
		}
		for _, m := range c.VolumeMounts {
			require.Contains(t, volumes, m.Name)
			mode := "rw"
			if m.ReadOnly {
				mode = "ro"
			}
			options = append(options, "-v", fmt.Sprintf("%s:%s:%s", volumes[m.Name], m.MountPath, mode))
		}
		got = runContainer(t, slices.Concat(options, []string{image}, c.Command, c.Args)...)
		require.Equal(t, 0, got.exitCode, got.stderr)
		require.Empty(t, got.stderr)
		require.Equal(t, podWant(""), got.stdout)
	})

	t.Run("compose", func(t *testing.T) {
		s := readComposeExample(t)
		options := slices.Concat(base, harness, []string{"--entrypoint", s.Entrypoint[0]})
		secrets := t.TempDir()
		for _, name := range s.Secrets {
			file := filepath.Join(secrets, name)
			require.NoError(t, os.WriteFile(file, []byte("secret "+name+"\n"), 0o600))
			options = append(options, "-v", file+":/run/secrets/"+name+":ro")
		}
		for name, value := range s.Environment {
			options = append(options, "-e", name+"="+value)
		}
		got := runContainer(t, slices.Concat(options, []string{image}, s.Entrypoint[1:], s.Command)...)
		require.Equal(t, 0, got.exitCode, got.stderr)
		require.Empty(t, got.stderr)
		require.Equal(t, composeWant, got.stdout)
	})
}

// importBusybox makes an image of busybox and nothing else, which ends with the test.
func importBusybox(t *testing.T) string {
	t.Helper()
	archive := filepath.Join(t.TempDir(), "busybox.tar")
	writeBusybox(t, archive)
	image := fmt.Sprintf("envharness-mounts-test-%d", os.Getpid())
	got := docker(t, "import", archive, image)
	require.Equal(t, 0, got.exitCode, got.stderr)
	t.Cleanup(func() { docker(t, "image", "rm", "--force", image) })
	return image
}
