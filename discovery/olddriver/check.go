package driver

import (
	"context"

	"github.com/envharness/envharness/discovery"
)

// Check makes the Check of a [discovery.Engine] from its open: a registry is fit for use when it lists its
// values, which reads names alone.
func Check[R interface {
	discovery.Registry
	discovery.Values
}](open func(discovery.Config) (R, error)) func(context.Context, discovery.Config) error {
	return func(ctx context.Context, config discovery.Config) error {
		r, err := open(config)
		if err != nil {
			return err
		}
		defer r.Close()
		_, err = r.List(ctx)
		return err
	}
}
