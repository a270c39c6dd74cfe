package director

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/internal/follow"
)

// maxOutput is how much a program may print: more than a value holds, for the newlines at its end.
const maxOutput = 1 << 20

// Program makes values by a command: it gets the snapshot as JSON on its stdin, credentials included, and what it
// prints is the value, without the newlines at its end.
type Program struct {
	Words   []string      // the program and its arguments
	Stderr  io.Writer     // nil is /dev/null
	Timeout time.Duration // for one run; 0 is none
}

// Direct runs the program. It is a [Director]'s Direct.
func (p Program) Direct(ctx context.Context, s discovery.Snapshot) ([]byte, error) {
	if p.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, p.Timeout, fmt.Errorf("it timed out after %s", p.Timeout))
		defer cancel()
	}
	var output boundedBuffer
	err := follow.Program{Words: p.Words, Stdout: &output, Stderr: p.Stderr}.Run(ctx, s)
	switch {
	case output.full:
		return nil, fmt.Errorf("%s: %w", p.Words[0], errTooMuch)
	case err != nil:
		return nil, fmt.Errorf("%s: %w", p.Words[0], err)
	}
	return bytes.TrimRight(output.text.Bytes(), "\n"), nil
}

var errTooMuch = errors.New("it prints without an end")

// boundedBuffer takes so much and then refuses, which ends the program's pipe.
type boundedBuffer struct {
	text bytes.Buffer
	full bool
}

func (b *boundedBuffer) Write(p []byte) (int, error) {
	if b.text.Len()+len(p) > maxOutput {
		b.full = true
		return 0, errTooMuch
	}
	return b.text.Write(p)
}
