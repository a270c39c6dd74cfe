package consul

import (
	"os"
	"testing"

	"github.com/envharness/envharness/internal/testservers"
)

func TestMain(m *testing.M) {
	testservers.ManyAtOnce()
	os.Exit(m.Run())
}
