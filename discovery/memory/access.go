package memory

import "context"

// MayWrite: everybody may.
func (b *backend) MayWrite(ctx context.Context, _ string) error {
	return b.do(ctx, func() error { return nil })
}
