//go:build linux

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// brood is how many orphans one parent leaves.
const brood = 1000

// orphans makes COUNT orphans, waits until none of them is left in /proc, and prints how many processes are.
// It must be the only one that makes processes in its PID namespace.
func orphans(args []string) {
	count, err := strconv.Atoi(args[0])
	check(err)
	for range count / brood {
		litter()
	}
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline) && len(others()) > 0; {
		time.Sleep(10 * time.Millisecond)
	}
	left := others()
	fmt.Println("orphans left:", len(left))
	for _, one := range left[:min(len(left), 5)] {
		fmt.Println(one)
	}
}

// scatter leaves COUNT orphans, and exits with CODE at once.
func scatter(args []string) {
	count, err := strconv.Atoi(args[0])
	check(err)
	code, err := strconv.Atoi(args[1])
	check(err)
	for range count / brood {
		litter()
	}
	os.Exit(code)
}

// litter makes a brood of orphans.
func litter() {
	parent := fork()
	if parent == 0 {
		for range brood {
			if fork() == 0 {
				leave()
			}
		}
		leave()
	}
	_, err := unix.Wait4(int(parent), nil, 0, nil)
	check(err)
}

// fork is fork(2). The child has but this thread, and may only make system calls.
//
//go:nosplit
func fork() uintptr {
	for {
		child, _, errno := unix.RawSyscall6(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
		if errno == 0 {
			return child
		}
		// As many zombies as there are process IDs: give their parent time.
		unix.RawSyscall6(unix.SYS_SCHED_YIELD, 0, 0, 0, 0, 0, 0)
	}
}

//go:nosplit
func leave() {
	unix.RawSyscall6(unix.SYS_EXIT_GROUP, 0, 0, 0, 0, 0, 0)
}

// others are the names and states of processes that are neither PID 1 nor this one.
func others() []string {
	paths, err := filepath.Glob("/proc/[0-9]*/stat")
	check(err)
	var found []string
	for _, path := range paths {
		pid := filepath.Base(filepath.Dir(path))
		content, err := os.ReadFile(path)
		if pid == "1" || pid == strconv.Itoa(os.Getpid()) || err != nil {
			continue
		}
		found = append(found, strings.Join(strings.Fields(string(content))[:4], " "))
	}
	return found
}
