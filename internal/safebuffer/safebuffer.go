// Package safebuffer is what tests collect output in while they read it: a log of goroutines, or what a
// process prints.
package safebuffer

import (
	"bytes"
	"sync"
)

// Buffer is a [bytes.Buffer] that goroutines may use at the same time. Its zero value is empty and ready.
type Buffer struct {
	lock sync.Mutex
	text bytes.Buffer
}

// Write appends p. It never fails.
func (b *Buffer) Write(p []byte) (int, error) {
	b.lock.Lock()
	defer b.lock.Unlock()
	return b.text.Write(p)
}

// String is what was written up to now.
func (b *Buffer) String() string {
	b.lock.Lock()
	defer b.lock.Unlock()
	return b.text.String()
}
