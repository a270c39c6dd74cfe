package examples_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// workflow is what the tests below look at in a file of .github/workflows.
type workflow struct {
	Permissions any `yaml:"permissions"`
	Jobs        map[string]struct {
		Uses        string         `yaml:"uses"`
		Permissions map[string]any `yaml:"permissions"`
		Steps       []workflowStep `yaml:"steps"`
	} `yaml:"jobs"`
}

type workflowStep struct {
	Uses string         `yaml:"uses"`
	Run  string         `yaml:"run"`
	With map[string]any `yaml:"with"`
}

// TestWorkflows: what CI and releases run is there, others' actions are pinned by their commit, and nothing has more
// rights than it needs.
func TestWorkflows(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../.github/workflows/*.yml")
	require.NoError(t, err)
	require.Len(t, files, 2)
	makefile, err := os.ReadFile("../Makefile")
	require.NoError(t, err)
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		var w workflow
		require.NoError(t, yaml.Unmarshal(text, &w), file)
		require.NotNil(t, w.Permissions, "%s: without permissions, jobs have those of the repository's settings", file)
		require.NotContains(t, string(text), "write-all")
		for _, used := range regexp.MustCompile(`uses: (\S+)(.*)`).FindAllStringSubmatch(string(text), -1) {
			if !strings.HasPrefix(used[1], "./") {
				require.Regexp(t, `^[a-z-]+/[a-z-]+@[0-9a-f]{40}$`, used[1], file)
				require.Regexp(t, `^ # v\d+\.\d+\.\d+$`, used[2], "%s: %s needs its version in a comment", file, used[1])
			}
		}
		for name, job := range w.Jobs {
			if job.Uses != "" {
				require.FileExists(t, filepath.Join("..", job.Uses), name)
			}
			checkSteps(t, job.Steps, string(makefile))
		}
	}
}

// checkSteps looks for what steps run, and whether a release's version can be read.
func checkSteps(t *testing.T, steps []workflowStep, makefile string) {
	t.Helper()
	whole := false
	for _, step := range steps {
		if strings.HasPrefix(step.Uses, "actions/checkout@") {
			require.Equal(t, false, step.With["persist-credentials"], "no step pushes by git")
			whole = step.With["fetch-depth"] == 0
		}
		for _, target := range regexp.MustCompile(`(?m)(?:^|&& )make ([a-z-]+)`).FindAllStringSubmatch(step.Run, -1) {
			require.Contains(t, makefile, "\n"+target[1]+":", step.Run)
			require.True(t, whole || !strings.HasPrefix(target[1], "dist"), "%s: a version is read from the whole history", step.Run)
		}
		for _, script := range regexp.MustCompile(`(?:^|\s)((?:scripts|\.ci)/[a-z-]+)`).FindAllStringSubmatch(step.Run, -1) {
			info, err := os.Stat(filepath.Join("..", script[1]))
			require.NoError(t, err)
			require.NotZero(t, info.Mode()&0o111, "%s cannot be executed", script[1])
		}
	}
}
