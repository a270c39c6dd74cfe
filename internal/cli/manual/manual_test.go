package manual

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/envharness/envharness/internal/testservers"
)

// TestPagesAreRead lets man(1) and mandoc(1) read every page: neither has a warning.
func TestPagesAreRead(t *testing.T) {
	t.Parallel()
	pages, err := filepath.Glob("../../../man/*.[178]")
	require.NoError(t, err)
	require.Greater(t, len(pages), 20)
	for program, remedy := range map[string]string{"man": "apt-get install man-db groff", "mandoc": "apt-get install mandoc"} {
		if _, err := exec.LookPath(program); err != nil {
			testservers.Missing(t, program, remedy)
		}
	}
	words, err := exec.Command("mandoc", append([]string{"-T", "lint", "-W", "warning"}, pages...)...).CombinedOutput()
	require.NoError(t, err, "%s", words)
	for _, page := range pages {
		man := exec.Command("man", "--local-file", "--warnings", "-E", "UTF-8", page)
		man.Env = append(os.Environ(), "MANWIDTH=80", "LC_ALL=C.UTF-8")
		stderr, err := os.CreateTemp(t.TempDir(), "")
		require.NoError(t, err)
		man.Stderr = stderr
		text, err := man.Output()
		require.NoError(t, err)
		require.Contains(t, string(text), "NAME")
		words, err := os.ReadFile(stderr.Name())
		require.NoError(t, err)
		require.Empty(t, string(words), page)
	}
}

func TestMarkdown(t *testing.T) {
	for markdown, want := range map[string]string{
		"Some `--code` and [a link](x.md), well-known.":  ".SH X\nSome \\fB\\-\\-code\\fR and a link, well-known.\n",
		".begins with a dot":                             ".SH X\n\\&.begins with a dot\n",
		"- one\n  goes on\n- two":                        ".SH X\n.IP \\(bu 2\none goes on\n.IP \\(bu 2\ntwo\n",
		"1. one\n2. two":                                 ".SH X\n.IP 1. 4\none\n.IP 2. 4\ntwo\n",
		"```sh\necho '\\n'\n```":                         ".SH X\n.RS 4\n.nf\necho \\(aq\\en\\(aq\n.fi\n.RE\n",
		"| | a |\n|---|---|\n| `x \\| y` | z |":          ".SH X\n.TP\n\\fBx | y\\fR\nz\n",
		"| of | a | `b` |\n|---|---|---|\n| x | y | z |": ".SH X\n.TP\nx\n\\fIa\\fR: y\n.br\n\\fIb\\fR: z\n",
		"## More\n\ntext":                                ".SH X\n.SH MORE\ntext\n",
		"- [one](#one)\n- [two](#two)":                   ".SH X\n",
	} {
		page := roff{lines: []string{".SH X"}}
		page.markdown(markdown)
		require.Equal(t, want, page.text(), markdown)
	}
}
