package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/envharness/envharness/discovery"
)

// withdrawal measures the time from TERM to a held envdiscover until a watcher sees that the instance is gone.
func (b *bench) withdrawal(ctx context.Context, envdiscover string) error {
	progress("TERM to withdrawal, %d times", withdrawals)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	snapshots, err := b.registry.Watch(ctx, "held", discovery.Query{})
	if err != nil {
		return err
	}
	var took []time.Duration
	for range withdrawals {
		cmd := exec.Command(envdiscover, "register", "held", "--port", "80", "--host", "10.0.0.1")
		cmd.Env = append(os.Environ(), "ENVDISCOVER_URL=etcd://"+b.address+"/bench")
		cmd.Stderr = os.Stderr
		if err := cmd.Start(); err != nil {
			return err
		}
		for s := range snapshots {
			if len(s.Instances) == 1 {
				break
			}
		}
		begin := time.Now()
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			return err
		}
		for s := range snapshots {
			if len(s.Instances) == 0 {
				break
			}
		}
		took = append(took, time.Since(begin))
		if err := cmd.Wait(); err != nil {
			return err
		}
	}
	slowest := float64(percentile(took, 100).Microseconds()) / 1000
	verdict := "met"
	if slowest > 100 {
		verdict = "**missed**"
	}
	fmt.Printf("| TERM to withdrawal, the slowest of %d | | %.1f ms | ≤ 100 ms | %s |\n", withdrawals, slowest, verdict)
	return nil
}
