package consul

import (
	"os"
	"testing"

	"github.com/envharness/envharness/internal/testservers/parallel"
)

func TestMain(m *testing.M) {
	os.Exit(parallel.Tests{M: m}.Run())
}
