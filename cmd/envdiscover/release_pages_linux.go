package main

import (
	"bytes"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// releasePages gives back the pages of the program's own file that the start has looked at, for a command that holds for months:
// what is needed again comes from the page cache, at a fault each.
func releasePages() {
	smaps, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		return
	}
	for _, m := range unchanged(smaps) {
		_, _, _ = unix.Syscall(unix.SYS_MADVISE, m.from, m.to-m.from, unix.MADV_DONTNEED)
	}
}

// mapping is a range of addresses.
type mapping struct{ from, to uintptr }

// unchanged reads proc_pid_smaps(5), and gives the mappings of files that hold what the files have: nobody can write to
// them, and nothing in them is this process's own, as relocations and breakpoints are.
func unchanged(smaps []byte) (all []mapping) {
	var last mapping
	var ofFile bool
	for line := range bytes.Lines(smaps) {
		fields := bytes.Fields(line)
		switch {
		case len(fields) >= 5 && len(fields[1]) == 4: // 00400000-00c5b000 r-xp 00000000 fe:00 106104 /usr/bin/envdiscover
			last, ofFile = rangeOf(fields[0]), fields[1][1] == '-' && len(fields) == 6 && fields[5][0] == '/'
		case ofFile && string(fields[0]) == "Anonymous:" && string(fields[1]) == "0":
			all = append(all, last)
		}
	}
	return all
}

// rangeOf reads FROM-TO, in hexadecimal.
func rangeOf(text []byte) mapping {
	from, to, _ := bytes.Cut(text, []byte("-"))
	begin, _ := strconv.ParseUint(string(from), 16, 64)
	end, _ := strconv.ParseUint(string(to), 16, 64)
	return mapping{uintptr(begin), uintptr(end)}
}
