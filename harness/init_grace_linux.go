package harness

import "time"

// grace is the time that a stop, or the end of COMMAND, may take.
type grace struct {
	length     time.Duration
	ends       time.Time
	timer      *time.Timer
	withdrawal *time.Timer // when COMMAND gets the signal although the service has not been withdrawn
}

func newGrace(length time.Duration) *grace {
	return &grace{length: length, timer: newStoppedTimer(), withdrawal: newStoppedTimer()}
}

func newStoppedTimer() *time.Timer {
	t := time.NewTimer(time.Hour)
	t.Stop()
	return t
}

func (g *grace) begin() {
	g.ends = time.Now().Add(g.length)
	g.timer.Reset(g.length)
}

// limitWithdrawal leaves COMMAND the last quarter.
func (g *grace) limitWithdrawal() { g.withdrawal.Reset(g.length * 3 / 4) }
