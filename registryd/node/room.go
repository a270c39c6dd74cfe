package node

import (
	"context"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

type roomKey struct{}

// WithRoom lets a call to GRPC ask take for the room of its answer, in bytes, before that is sent. take does not
// wait: the answer is there. A call whose context has no such function is not bounded.
func WithRoom(ctx context.Context, take func(size int) error) context.Context {
	return context.WithValue(ctx, roomKey{}, take)
}

// rangesAtOnce is how many answers to reads are put together at a time: each can be of many megabytes.
const rangesAtOnce = 8

// boundAnswers lets an answer that may be large go only where there is room for it.
func (e *embedded) boundAnswers(ctx context.Context, request any, _ *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
	take, ok := ctx.Value(roomKey{}).(func(int) error)
	if !ok || !isRead(request) {
		return handle(ctx, request)
	}
	select {
	case e.ranges <- struct{}{}:
		defer func() { <-e.ranges }()
	case <-ctx.Done():
		return nil, status.FromContextError(ctx.Err()).Err()
	}
	answer, err := handle(ctx, request)
	if message, ok := answer.(proto.Message); ok && err == nil {
		if err := take(proto.Size(message)); err != nil {
			return nil, status.Error(codes.Unavailable, err.Error())
		}
	}
	return answer, err
}

func isRead(request any) bool {
	switch request.(type) {
	case *etcdserverpb.RangeRequest, *etcdserverpb.TxnRequest:
		return true
	}
	return false
}
