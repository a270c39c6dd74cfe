package docker

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/internal/safebuffer"
)

// refusing is a registry whose layout can write nothing.
type refusing struct {
	discovery.Registry
	asked atomic.Int32
}

func (r *refusing) Register(context.Context, discovery.Instance, time.Duration, ...discovery.RegisterOption) (discovery.Registration, error) {
	r.asked.Add(1)
	return nil, fmt.Errorf("this layout cannot write it: %w", discovery.ErrInvalid)
}

// TestWhatALayoutCannotWrite is told once, with the container's name, and tried again when it is another.
func TestWhatALayoutCannotWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		registry, logs := &refusing{}, &safebuffer.Buffer{}
		a := newPublisher(publisherConfig{registry: registry, rest: time.Minute, again: func(string) {}, log: slog.New(slog.NewTextHandler(logs, nil))})
		in := discovery.Instance{Service: "a", ID: "x", Host: "one", Metadata: map[string]string{containerKey: "shop"}}
		a.want("c", []discovery.Instance{in})
		time.Sleep(time.Hour)
		require.EqualValues(t, 1, registry.asked.Load())
		require.Equal(t, 1, strings.Count(logs.String(), "container=shop service=a"), logs)
		in.Host = "two"
		a.want("c", []discovery.Instance{in})
		synctest.Wait()
		require.EqualValues(t, 2, registry.asked.Load())
		a.want("c", nil)
		synctest.Wait()
		require.Empty(t, a.containers())
		a.detach()
	})
}
