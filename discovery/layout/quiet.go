package layout

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

const (
	quietTime  = time.Minute
	mostQuiet  = 1000 // keys that are remembered
	mostLogged = 200  // bytes of a key or an error in a log
)

// Quiet is a log that tells of each key once a minute: a record that is malformed stays so, and is read again
// with each question. Records of the log without a key are passed on.
func Quiet(log *slog.Logger) *slog.Logger {
	return slog.New(&quietHandler{Handler: log.Handler(), told: map[string]time.Time{}})
}

type quietHandler struct {
	slog.Handler
	lock sync.Mutex
	told map[string]time.Time
}

func (q *quietHandler) Handle(ctx context.Context, record slog.Record) error {
	key := ""
	record.Attrs(func(a slog.Attr) bool {
		if a.Key == "key" {
			key = a.Value.String()
		}
		return key == ""
	})
	if key != "" && !q.isNews(record.Message+"\x00"+key, record.Time) {
		return nil
	}
	return q.Handler.Handle(ctx, record)
}

// isNews reports whether a text was not told within the last minute.
func (q *quietHandler) isNews(text string, now time.Time) bool {
	q.lock.Lock()
	defer q.lock.Unlock()
	if last, told := q.told[text]; told && now.Sub(last) < quietTime {
		return false
	}
	for old, last := range q.told {
		if len(q.told) < mostQuiet {
			break
		}
		if now.Sub(last) >= quietTime {
			delete(q.told, old)
		}
	}
	if len(q.told) >= mostQuiet { // too many are malformed: some are enough to know
		return false
	}
	q.told[text] = now
	return true
}

// shortened is a text that a log can hold: a key may have a megabyte, and an error quotes parts of one.
func shortened(text string) string {
	if len(text) <= mostLogged {
		return text
	}
	return text[:mostLogged] + "…"
}
