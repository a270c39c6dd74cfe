package layout

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/envharness/envharness/internal/safebuffer"
)

// TestQuiet: what is malformed is told in few words, and once a minute for each key.
func TestQuiet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log safebuffer.Buffer
		quiet := Quiet(slog.New(slog.NewTextHandler(&log, nil)))
		layout := Native("p")
		read := func(key string) {
			value := `{"` + strings.Repeat("x", 1<<20) + `":1,"ports":{"` + strings.Repeat("y", 1<<20) + `":"secret"}}`
			_, ok := DecodeOne(layout, quiet, Record{Key: key, Value: []byte(value)})
			require.False(t, ok)
		}
		count := func() int { return strings.Count(log.String(), "malformed") }
		long := layout.ServicesPrefix() + "web/" + strings.Repeat("z", 1<<20)
		for range 10 {
			read(layout.ServicesPrefix() + "web/a")
			read(long)
		}
		require.Equal(t, 2, count())
		require.Less(t, len(log.String()), 2000)
		time.Sleep(quietTime)
		read(long)
		require.Equal(t, 3, count())
		for i := range 5 * mostQuiet {
			DecodeOne(layout, quiet, Record{Key: layout.ServicesPrefix() + fmt.Sprint("web/", i), Value: []byte("[]")})
		}
		require.LessOrEqual(t, count(), mostQuiet+3)
		quiet.Info("without a key")
		quiet.Info("without a key")
		require.Equal(t, 2, strings.Count(log.String(), "without a key"))
	})
}
