package failure

import (
	"errors"
	"fmt"
	"io/fs"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestErrorTellsSubjectAndProblem(t *testing.T) {
	require.Equal(t, `a\nb: is missing`, (&Error{Subject: "a\nb", Problem: "is missing"}).Error())
	require.Equal(t, "nothing to do", (&Error{Problem: "nothing to do"}).Error())
	require.ErrorIs(t, &Error{Problem: "is missing", Err: fs.ErrNotExist}, fs.ErrNotExist)
}

func TestHintOfACause(t *testing.T) {
	err := &Error{Problem: "is missing", Next: "make it"}
	require.Equal(t, "make it", Hint(err))
	require.Equal(t, "make it", Hint(fmt.Errorf("cannot start: %w", err)))
	require.Equal(t, "make it", Hint(&Error{Problem: "cannot start", Err: err}))
	require.Empty(t, Hint(errors.New("no")))
	require.Empty(t, Hint(nil))
}
