package node

import (
	"fmt"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// fatalLog is etcd's log without its noise: only why it would end the process, which it does by a panic or an
// exit when it cannot write or its data are damaged. The reason goes into fatal, and what found it stands still:
// nothing is written after it, and the process ends as for every other reason.
func fatalLog(fatal chan<- error) *zap.Logger {
	stop := stopHere{fatal}
	return zap.New(silent{}, zap.WithPanicHook(stop), zap.WithFatalHook(stop))
}

type stopHere struct{ fatal chan<- error }

func (s stopHere) OnWrite(entry *zapcore.CheckedEntry, fields []zapcore.Field) {
	reason := fmt.Errorf("etcd: %s", entry.Message)
	for _, field := range fields {
		if err, ok := field.Interface.(error); ok && field.Type == zapcore.ErrorType {
			reason = fmt.Errorf("%w: %w", reason, err)
		}
	}
	select {
	case s.fatal <- reason:
	default: // the first reason is the reason
	}
	select {}
}

// silent is a log of nothing that hears of what is fatal.
type silent struct{}

func (silent) Enabled(level zapcore.Level) bool           { return level > zapcore.DPanicLevel }
func (s silent) With([]zapcore.Field) zapcore.Core        { return s }
func (silent) Write(zapcore.Entry, []zapcore.Field) error { return nil }
func (silent) Sync() error                                { return nil }
func (s silent) Check(entry zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if s.Enabled(entry.Level) {
		return checked.AddCore(entry, s)
	}
	return checked
}
