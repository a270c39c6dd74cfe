package examples_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/envharness/envharness/internal/cli"
)

// pod is what the kubelet reads of a pod to start its container, ask it and stop it.
type pod struct {
	Kind string
	Spec struct {
		TerminationGracePeriodSeconds int `yaml:"terminationGracePeriodSeconds"`
		Containers                    []container
	}
}

type container struct {
	Args           []string
	Env            []struct{ Name, Value string }
	ReadinessProbe handler `yaml:"readinessProbe"`
	Lifecycle      struct {
		PreStop handler `yaml:"preStop"`
	}
	VolumeMounts []struct {
		Name      string
		MountPath string `yaml:"mountPath"`
	} `yaml:"volumeMounts"`
	SecurityContext struct {
		RunAsUser                int   `yaml:"runAsUser"`
		ReadOnlyRootFilesystem   bool  `yaml:"readOnlyRootFilesystem"`
		AllowPrivilegeEscalation *bool `yaml:"allowPrivilegeEscalation"`
		Capabilities             struct{ Drop []string }
	} `yaml:"securityContext"`
}

type handler struct {
	Exec struct{ Command []string }
}

// TestPod lets the Docker engine be the kubelet of kubernetes/pod.yaml: the container
// becomes ready, its Secret is rotated, and it is stopped.
func TestPod(t *testing.T) {
	needEngine(t)
	content, err := os.ReadFile("kubernetes/pod.yaml")
	require.NoError(t, err)
	var p pod
	require.NoError(t, yaml.Unmarshal(content, &p))
	require.Equal(t, "Pod", p.Kind)
	require.Len(t, p.Spec.Containers, 1)
	c := p.Spec.Containers[0]

	secret := newSecretVolume(t)
	secret.update("DATABASE_URL", "postgresql://db-1/shop")
	id := startContainer(t, c, secret.dir, buildExample(t))
	exec := func(h handler) result {
		return docker(t, append([]string{"exec", id}, h.Exec.Command...)...)
	}
	logs := func() string {
		got := docker(t, "logs", id)
		return got.stdout + got.stderr
	}
	logged := func(line string) func() bool {
		return func() bool { return strings.Contains(logs(), line+"\n") }
	}
	eventually(t, "ready", func() bool { return exec(c.ReadinessProbe).exitCode == 0 })
	eventually(t, "start", logged("shop --port 8080 has postgresql://db-1/shop"))

	secret.update("DATABASE_URL", "postgresql://db-2/shop")
	eventually(t, "restart", logged("shop --port 8080 has postgresql://db-2/shop"))

	require.Equal(t, result{}, exec(c.Lifecycle.PreStop))
	got := exec(c.ReadinessProbe)
	require.Equal(t, 1, got.exitCode)
	require.Contains(t, got.stderr, "it is drained")

	docker(t, "stop", "--time", strconv.Itoa(p.Spec.TerminationGracePeriodSeconds), id)
	require.Equal(t, "0\n", docker(t, "inspect", "--format", "{{.State.ExitCode}}", id).stdout, logs())
	require.Equal(t, 2, strings.Count(logs(), "shop stopped\n"), "once to restart, once for good: %s", logs())
}

// startContainer starts what the pod says on an image, with a shop that tells what it has.
func startContainer(t *testing.T, c container, environment, image string) (id string) {
	t.Helper()
	shop := filepath.Join(t.TempDir(), "shop")
	writeProgram(t, shop, `#!/bin/sh
		trap 'echo "shop stopped"; exit 0' TERM
		echo "shop $* has $DATABASE_URL"
		while :; do busybox sleep 1 & wait $!; done`+"\n")
	require.NoError(t, os.Chmod(shop, 0o755))

	sources := map[string]string{"environment": environment}
	limits := c.SecurityContext
	require.True(t, limits.ReadOnlyRootFilesystem)
	require.False(t, *limits.AllowPrivilegeEscalation)
	args := []string{"run", "--detach", "--network", "none", "--volume", shop + ":/bin/shop:ro",
		"--read-only", "--security-opt", "no-new-privileges", "--user", strconv.Itoa(limits.RunAsUser)}
	for _, capability := range limits.Capabilities.Drop {
		args = append(args, "--cap-drop", capability)
	}
	for _, m := range c.VolumeMounts {
		if source, ok := sources[m.Name]; ok {
			args = append(args, "--volume", source+":"+m.MountPath+":ro")
		} else {
			args = append(args, "--tmpfs", m.MountPath)
		}
	}
	for _, e := range c.Env {
		args = append(args, "--env", e.Name+"="+e.Value)
	}
	args = append(args, "--env", "ENVHARNESS_REFRESH=1s", image) // nobody wants to wait for the pod's
	got := docker(t, append(args, c.Args...)...)
	require.Equal(t, 0, got.exitCode, got.stderr)
	id = strings.TrimSpace(got.stdout)
	t.Cleanup(func() { docker(t, "rm", "--force", id) })
	return id
}

// secretVolume is a directory as the kubelet makes it for a Secret: every entry is a
// link into ..data, which is a link to a directory that an update replaces.
type secretVolume struct {
	t       *testing.T
	dir     string
	updates int
}

func newSecretVolume(t *testing.T) *secretVolume {
	t.Helper()
	s := &secretVolume{t: t, dir: filepath.Join(t.TempDir(), "environment")}
	require.NoError(t, os.Mkdir(s.dir, 0o755))
	return s
}

func (s *secretVolume) update(name, value string) {
	s.t.Helper()
	s.updates++
	version := fmt.Sprintf("..version-%d", s.updates)
	require.NoError(s.t, os.Mkdir(filepath.Join(s.dir, version), 0o755))
	require.NoError(s.t, os.WriteFile(filepath.Join(s.dir, version, name), []byte(value), 0o644))
	next := filepath.Join(s.dir, "..data_tmp")
	require.NoError(s.t, os.Symlink(version, next))
	require.NoError(s.t, os.Rename(next, filepath.Join(s.dir, "..data")))
	if s.updates == 1 {
		require.NoError(s.t, os.Symlink("..data/"+name, filepath.Join(s.dir, name)))
	}
}

// TestYAMLNamesWhatThereIs looks for subcommands and for variables of options in the
// pod and in the YAML of docs/init.md.
func TestYAMLNamesWhatThereIs(t *testing.T) {
	t.Parallel()
	pod, err := os.ReadFile("kubernetes/pod.yaml")
	require.NoError(t, err)
	var variables []string
	for name := range helpOptions(t) {
		variables = append(variables, cli.Variable("ENVHARNESS", name))
	}
	texts := append(fenced(document(t, "docs/init.md"), "yaml"), string(pod))
	require.Len(t, texts, 3, "Compose, the pod in the document, the pod")
	for _, text := range texts {
		var document yaml.Node
		require.NoError(t, yaml.Unmarshal([]byte(text), &document), text)
		words := scalars(&document)
		requests, settings := 0, 0
		for i, word := range words {
			if word == "envharness" {
				require.Equal(t, 0, run(t, nil, envharness, words[i+1], "--help").exitCode, "envharness %s", words[i+1])
				requests++
			}
			if regexp.MustCompile(`^ENVHARNESS_`).MatchString(word) {
				require.True(t, slices.Contains(variables, word), word)
				settings++
			}
		}
		require.Positive(t, requests, text)
		require.Positive(t, settings, text)
	}
}

// scalars lists the keys and values of a document in their order.
func scalars(node *yaml.Node) []string {
	if node.Kind == yaml.ScalarNode {
		return []string{node.Value}
	}
	var words []string
	for _, child := range node.Content {
		words = append(words, scalars(child)...)
	}
	return words
}
