package securefile

import (
	"errors"
	"syscall"
)

// Hint is the next step after a write that failed: for a disk that is full or read-only what helps there, else the one
// that is given.
func Hint(err error, otherwise string) string {
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return "make room on that file system, or name a place on another"
	case errors.Is(err, syscall.EROFS):
		return "it is mounted read-only: mount a volume or tmpfs there, or name a place on another"
	}
	return otherwise
}
