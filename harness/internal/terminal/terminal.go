// Package terminal knows the terminal that the harness shares with COMMAND: who is in front of it, and how wide it is.
package terminal

import (
	"os"

	"golang.org/x/sys/unix"
)

// Width is the number of columns of a terminal, and 100 for anything else.
func Width(file *os.File) int {
	const usual = 100
	size, err := unix.IoctlGetWinsize(int(file.Fd()), unix.TIOCGWINSZ)
	if err != nil || size.Col == 0 {
		return usual
	}
	return int(size.Col)
}
