package cli

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync"

	"github.com/envharness/envharness/internal/text"
)

// The formats of a log.
const (
	LogText = "text"
	LogJSON = "json"
)

// NewLogger makes the log of a program on w: lines for people that begin with the program's name, or JSON.
func NewLogger(w io.Writer, program, level, format string) (*slog.Logger, error) {
	var least slog.Level
	if err := least.UnmarshalText([]byte(level)); err != nil {
		return nil, fmt.Errorf("unknown log level %q: known are debug, info, warn and error", level)
	}
	switch format {
	case LogText:
		return slog.New(&textHandler{w: w, program: program, level: least, mu: new(sync.Mutex)}), nil
	case LogJSON:
		return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: least})), nil
	}
	return nil, fmt.Errorf("unknown log format %q: known are text and json", format)
}

// textHandler writes "program: level: message (name value, name value)", one line a record in one write.
type textHandler struct {
	w       io.Writer
	program string
	level   slog.Level
	attrs   []slog.Attr
	mu      *sync.Mutex
}

func (h *textHandler) Enabled(_ context.Context, level slog.Level) bool { return level >= h.level }

func (h *textHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	with := *h
	with.attrs = append(with.attrs[:len(with.attrs):len(with.attrs)], attrs...)
	return &with
}

// WithGroup changes nothing: lines for people have no groups.
func (h *textHandler) WithGroup(string) slog.Handler { return h }

func (h *textHandler) Handle(_ context.Context, r slog.Record) error {
	var line bytes.Buffer
	line.WriteString(h.program + ": " + levelWord(r.Level) + ": " + OneLine(r.Message))
	before := " ("
	write := func(a slog.Attr) bool {
		value := OneLine(a.Value.String())
		if err, is := a.Value.Any().(error); is {
			value = ErrorLine(err)
		}
		line.WriteString(before + a.Key + " " + value)
		before = ", "
		return true
	}
	for _, a := range h.attrs {
		write(a)
	}
	r.Attrs(write)
	if before == ", " {
		line.WriteByte(')')
	}
	line.WriteByte('\n')
	h.mu.Lock()
	defer h.mu.Unlock()
	_, err := h.w.Write(line.Bytes())
	return err
}

func levelWord(l slog.Level) string {
	switch {
	case l >= slog.LevelError:
		return "error"
	case l >= slog.LevelWarn:
		return "warning"
	case l >= slog.LevelInfo:
		return "info"
	}
	return "debug"
}

// OneLine keeps what is printed in one line and free of what a terminal would obey.
func OneLine(s string) string { return text.OneLine(s) }
